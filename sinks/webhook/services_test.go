package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/templates"
)

// A complaint is what a service has against a document.
type complaint []string

func (c *complaint) unless(good bool, format string, args ...any) {
	if !good {
		*c = append(*c, fmt.Sprintf(format, args...))
	}
}

// isLink accepts an absolute address of the web.
func isLink(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// outsideCode gives a text of markdown without what stands as code.
func outsideCode(s string) string {
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// Block Kit of Slack: https://docs.slack.dev/reference/block-kit/blocks and
// .../composition-objects/text-object; 50 blocks, header 150 characters, text 1 to 3,000, button 75,
// link 3,000; more than about 13,000 in all is refused. Mentions and links begin with <.
func checkSlack(body []byte) (c complaint) {
	type text struct {
		Type, Text string
		Emoji      *bool
		Verbatim   *bool
	}
	var doc struct {
		Text   string
		Blocks []struct {
			Type      string
			Text      *text
			Elements  []text
			Accessory *struct {
				Type, URL string
				Text      text
			}
		}
	}
	strict(&c, body, &doc)
	c.unless(len(body) <= 13_000, "%d bytes", len(body))
	c.unless(doc.Text != "" && !strings.ContainsAny(doc.Text, "<>"), "text %q", doc.Text)
	c.unless(len(doc.Blocks) > 0 && len(doc.Blocks) <= 50, "%d blocks", len(doc.Blocks))
	check := func(t *text, most int, kinds ...string) {
		if t == nil {
			c.unless(false, "no text")
			return
		}
		n := utf8.RuneCountInString(t.Text)
		c.unless(slices.Contains(kinds, t.Type) && n > 0 && n <= most, "text of type %s with %d characters", t.Type, n)
		if t.Type == "mrkdwn" {
			c.unless(!strings.ContainsAny(t.Text, "<>"), "a mention or a link in %s", t.Text)
			c.unless(!strings.Contains(outsideCode(t.Text), "@"), "@ outside of code in %s", t.Text)
			c.unless(t.Emoji == nil, "emoji is for plain_text")
		} else {
			c.unless(t.Verbatim == nil, "verbatim is for mrkdwn")
		}
	}
	for _, b := range doc.Blocks {
		switch b.Type {
		case "header":
			check(b.Text, 150, "plain_text")
		case "section":
			check(b.Text, 3000, "plain_text", "mrkdwn")
		case "context":
			c.unless(len(b.Elements) > 0 && len(b.Elements) <= 10, "%d elements", len(b.Elements))
			for i := range b.Elements {
				check(&b.Elements[i], 3000, "plain_text", "mrkdwn")
			}
		default:
			c.unless(false, "block %q", b.Type)
		}
		if b.Accessory != nil {
			c.unless(b.Type == "section" && b.Accessory.Type == "button" && isLink(b.Accessory.URL) && len(b.Accessory.URL) <= 3000, "accessory %+v", b.Accessory)
			check(&b.Accessory.Text, 75, "plain_text")
		}
	}
	return c
}

// Incoming webhooks of Mattermost: https://docs.mattermost.com/developers/integrate/webhooks/incoming; a
// post has at most 16,383 characters. Mentions work everywhere but in code.
func checkMattermost(body []byte) (c complaint) {
	var doc struct{ Text, Username string }
	strict(&c, body, &doc)
	n := utf8.RuneCountInString(doc.Text)
	c.unless(n > 0 && n <= 16_383, "%d characters", n)
	outside := outsideCode(doc.Text)
	c.unless(!strings.ContainsAny(outside, "@<>"), "a mention or HTML outside of code: %s", outside)
	for _, link := range strings.Split(outside, "](")[1:] {
		c.unless(strings.HasPrefix(link, page+"/incidents/"), "a link to %.40s", link)
	}
	c.unless(!strings.Contains(strings.ReplaceAll(outside, page, ""), "://"), "a foreign link outside of code: %s", outside)
	return c
}

// Webhooks of Teams workflows take Adaptive Cards, in 28 KB:
// https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using,
// https://adaptivecards.io/explorer/. Text blocks know markdown, text runs do not.
func checkTeams(body []byte) (c complaint) {
	type inline struct {
		Type, Text, Weight, Size, Color string
		IsSubtle                        bool
	}
	var doc struct {
		Type        string
		Attachments []struct {
			ContentType string
			ContentURL  *string
			Content     struct {
				Schema  string `json:"$schema"`
				Type    string
				Version string
				MSTeams struct{ Width string }
				Body    []struct {
					Type, Spacing string
					Separator     bool
					Inlines       []inline
					Actions       []struct{ Type, Title, URL string }
				}
			}
		}
	}
	strict(&c, body, &doc)
	c.unless(len(body) <= 28<<10, "%d bytes", len(body))
	c.unless(doc.Type == "message" && len(doc.Attachments) == 1, "type %q", doc.Type)
	for _, a := range doc.Attachments {
		card := a.Content
		c.unless(a.ContentType == "application/vnd.microsoft.card.adaptive" && a.ContentURL == nil && card.Type == "AdaptiveCard" &&
			card.Schema == "http://adaptivecards.io/schemas/adaptive-card.json" && card.Version <= "1.5" && len(card.Body) > 0, "card %s %s", card.Type, card.Version)
		for _, e := range card.Body {
			c.unless(slices.Contains([]string{"", "None", "Small", "Default", "Medium", "Large"}, e.Spacing), "spacing %q", e.Spacing)
			switch e.Type {
			case "RichTextBlock":
				c.unless(len(e.Inlines) > 0, "a block without text")
				for _, r := range e.Inlines {
					c.unless(r.Type == "TextRun" && r.Text != "" && slices.Contains([]string{"", "Bolder"}, r.Weight) &&
						slices.Contains([]string{"", "Large"}, r.Size) && slices.Contains([]string{"", "Attention", "Warning"}, r.Color), "text run %+v", r)
				}
			case "ActionSet":
				for _, o := range e.Actions {
					c.unless(o.Type == "Action.OpenUrl" && o.Title != "" && strings.HasPrefix(o.URL, page+"/incidents/"), "action %+v", o)
				}
			default:
				c.unless(false, "element %q", e.Type)
			}
		}
	}
	return c
}

// ntfy: https://docs.ntfy.sh/publish/#publish-as-json. A message of more than 4,096 bytes becomes a file.
func checkNtfy(body []byte) (c complaint) {
	var doc struct {
		Topic, Title, Message, Click string
		Priority                     int
		Tags                         []string
	}
	strict(&c, body, &doc)
	c.unless(doc.Topic == "alerts", "topic %q", doc.Topic)
	c.unless(doc.Message != "" && len(doc.Message) <= 4096, "message of %d bytes", len(doc.Message))
	c.unless(doc.Title != "" && len(doc.Title) <= 250 && !strings.ContainsAny(doc.Title, "\r\n"), "title %q", doc.Title)
	c.unless(doc.Priority >= 1 && doc.Priority <= 5, "priority %d", doc.Priority)
	c.unless(len(doc.Tags) > 0, "no tags")
	c.unless(doc.Click == "" || doc.Click == page, "click %q", doc.Click)
	return c
}

// Events API v2 of PagerDuty: https://developer.pagerduty.com/docs/send-alert-event.
func checkPagerDuty(body []byte) (c complaint) {
	var doc struct {
		RoutingKey  string `json:"routing_key"`
		EventAction string `json:"event_action"`
		DedupKey    string `json:"dedup_key"`
		Client      string
		ClientURL   string `json:"client_url"`
		Links       []struct{ Href, Text string }
		Payload     struct {
			Summary, Source, Severity, Timestamp string
			Component, Group, Class              string
			CustomDetails                        map[string]any `json:"custom_details"`
		}
	}
	strict(&c, body, &doc)
	p := doc.Payload
	c.unless(len(body) <= 512<<10, "%d bytes", len(body))
	c.unless(len(doc.RoutingKey) == 32 && doc.EventAction == "trigger", "%q %q", doc.RoutingKey, doc.EventAction)
	c.unless(doc.DedupKey != "" && len(doc.DedupKey) <= 255, "dedup_key %q", doc.DedupKey)
	c.unless(p.Summary != "" && utf8.RuneCountInString(p.Summary) <= 1024, "summary of %d", utf8.RuneCountInString(p.Summary))
	c.unless(p.Source != "", "no source")
	c.unless(slices.Contains([]string{"critical", "error", "warning", "info"}, p.Severity), "severity %q", p.Severity)
	if p.Timestamp != "" {
		_, err := time.Parse(time.RFC3339, p.Timestamp)
		c.unless(err == nil, "timestamp %q", p.Timestamp)
	}
	for _, l := range doc.Links {
		c.unless(strings.HasPrefix(l.Href, page+"/incidents/") && l.Text != "", "link %+v", l)
	}
	return c
}

// strict reads one document with known keys alone.
func strict(c *complaint, body []byte, doc any) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(doc)
	c.unless(err == nil && !d.More(), "not the document: %v", err)
	for _, r := range string(body) {
		c.unless(r >= ' ' || r == '\n', "control character %U", r)
		c.unless(r != '\u202e' && r != '\ufffd', "character %U", r)
	}
}

const page = "https://flowsnitch.example/x"

var services = map[string]struct {
	check  func([]byte) complaint
	status int
}{
	"slack": {checkSlack, 200}, "mattermost": {checkMattermost, 200}, "teams": {checkTeams, 202},
	"ntfy": {checkNtfy, 200}, "pagerduty": {checkPagerDuty, 202},
}

// service is a server that refuses what the vendor's would.
func service(t *testing.T, name string) (cfg Config, got *[][]byte) {
	t.Helper()
	got = new([][]byte)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		c := services[name].check(body)
		c.unless(err == nil && r.Method == "POST" && r.Header.Get("Content-Type") == "application/json" && r.Header.Get("X-Test") == "a: b", "%s %v", r.Method, r.Header)
		*got = append(*got, body)
		if len(c) > 0 {
			t.Errorf("%s: %s\n%s", name, strings.Join(c, "; "), body)
			w.WriteHeader(400)
			return
		}
		w.WriteHeader(services[name].status)
	}))
	t.Cleanup(s.Close)
	cfg = config(KindTemplate)
	cfg.Template, cfg.URL, cfg.Topic, cfg.Page = name, secret.Text(s.URL), "alerts", page
	cfg.RoutingKey = secret.Text(strings.Repeat("0123", 8))
	cfg.Headers = []secret.Text{"X-Test: a: b"}
	return cfg, got
}

// hostile are texts that would break a document, or mean something to its reader.
var hostile = []string{
	`"}], "text": "injected", "x": [{"`, `\`, `\u0022`, "line\r\nbreak\x00\x1b[31m\u2028\u202e", "@channel @here @all @everyone <!channel> <@U123> <at>all</at>",
	"[click](https://evil.example) <https://evil.example|click> https://evil.example", "*b* _i_ ~s~ `c` ```block``` # h\n> q\n- l | a | b |",
	"<script>alert(1)</script> &amp; <img src=x>", "{{.RoutingKey}} {{json .}} ${x} $(x) %s %n", strings.Repeat("é👍&<\"\\", 500), "\xff\xfe bad UTF-8"[2:],
}

// TestServices: each service accepts what its template makes: of one and of many offenders,
// of alerts, of hostile text in every place; and nothing foreign means anything there.
func TestServices(t *testing.T) {
	for _, name := range templates.Names {
		t.Run(name, func(t *testing.T) {
			cfg, got := service(t, name)
			fresh := func() *Hook { return newHook(t, cfg) }
			send(t, fresh(), hit(0, event.High))
			send(t, fresh(), alert("own_address_listed", "ours is listed"))
			for _, text := range hostile {
				var many []event.Event
				for n := range 24 {
					e := hit(n, event.Severity(n%4))
					eventtest.Poison(&e, text)
					e.Kind, e.Direction, e.Country, e.ASNumber, e.ASName = event.KindHit, event.Outbound, text, 64496, text
					many = append(many, e)
				}
				a := alert(text, text)
				a.Sensor = text
				many = append(many, a)
				send(t, fresh(), many...)
				send(t, fresh(), many[3])
				send(t, fresh(), a)
			}
			cfg.MaxTLP = "red"
			send(t, fresh(), hostileHit(), hit(1, event.Critical))
			if len(*got) < 30 {
				t.Errorf("%d documents", len(*got))
			}
			t.Logf("%d documents, the first: %s", len(*got), (*got)[0])
		})
	}
}

// TestPagerDuty: one event for each offender with a key that stays, five in a message, and
// one for all others.
func TestPagerDuty(t *testing.T) {
	cfg, got := service(t, "pagerduty")
	cfg.Interval = time.Second
	h := newHook(t, cfg)
	var events []event.Event
	for n := range 30 {
		events = append(events, hit(n, event.Severity(2+n%2)))
	}
	send(t, h, events...)
	var keys []string
	for _, b := range *got {
		var doc struct {
			DedupKey string `json:"dedup_key"`
			Payload  struct{ Summary, Severity string }
		}
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, doc.DedupKey+" "+doc.Payload.Severity)
	}
	want := []string{"flowsnitch/pi-oslo/203.0.113.2 critical", "flowsnitch/pi-oslo/203.0.113.4 critical", "flowsnitch/pi-oslo/203.0.113.6 critical",
		"flowsnitch/pi-oslo/203.0.113.8 critical", "flowsnitch/pi-oslo/203.0.113.10 critical", "flowsnitch/pi-oslo/more critical"}
	if !slices.Equal(keys, want) || !strings.Contains(string((*got)[5]), "25 more offenders and alerts") {
		t.Errorf("got %q", keys)
	}
}

// TestKeys: long names of sensors and alerts leave each offender a key of its own.
func TestKeys(t *testing.T) {
	cfg, got := service(t, "pagerduty")
	one, other := hit(0, event.High), hit(1, event.High)
	alerting := alert(strings.Repeat("ä", 300), "x")
	for _, e := range []*event.Event{&one, &other, &alerting} {
		e.Sensor = strings.Repeat("å", 300)
	}
	send(t, newHook(t, cfg), one, other, alerting)
	keys := map[string]bool{}
	for _, b := range *got {
		var doc struct {
			DedupKey string `json:"dedup_key"`
		}
		if err := json.Unmarshal(b, &doc); err != nil || !utf8.ValidString(doc.DedupKey) {
			t.Fatal(err, doc)
		}
		keys[doc.DedupKey] = true
	}
	if len(keys) != 3 {
		t.Errorf("%v", keys)
	}
}

// TestTLP: what is labelled amber or red leaves by no kind, in no field, unless max_tlp allows
// it; the event is notified all the same, with a word on what is left out.
func TestTLP(t *testing.T) {
	labelled := func(labels ...string) event.Event {
		e := hit(0, event.High)
		e.Reason, e.Unknown = "secret-c2 listed by secretfeed (90); outbound, answered", &event.Unknown{Body: `"x":"secret"`}
		e.Indicators = nil
		for _, l := range labels {
			i := event.Indicator{Prefix: hit(0, event.High).Indicators[0].Prefix, Feed: "openfeed", Score: 50, Category: "scan", TLP: l}
			if l != "" && l != "green" && l != "WHITE" {
				i.Feed, i.Category, i.Ref, i.Description, i.NativeID = "secretfeed", "secret-c2", "https://secret.example", "secret", "secret-id"
			}
			e.Indicators = append(e.Indicators, i)
		}
		return e
	}
	kinds := map[string]func(*Config){
		"json": func(c *Config) { c.Kind = KindJSON }, "kind slack": func(c *Config) { c.Kind = KindSlack },
		"slack": nil, "mattermost": nil, "teams": nil, "ntfy": nil, "pagerduty": nil,
	}
	for kind, change := range kinds {
		url, _, body := server(t, 200)
		cfg := config(KindTemplate)
		cfg.URL, cfg.RoutingKey = secret.Text(url), "0123456789abcdef0123456789abcdef"
		if change == nil {
			cfg.Template = kind
		} else {
			change(&cfg)
		}
		for _, tt := range []struct {
			most, word string
			open, kept bool
			event      event.Event
		}{
			{"green", "2 listings not shown (TLP)", true, false, labelled("", "amber", "WHITE", "RED")},
			{"green", "1 listing not shown (TLP)", false, false, labelled("red")},
			{"amber", "1 listing not shown (TLP)", false, true, labelled("amber", "amber+strict")},
			{"red", "", true, true, labelled("", "red", "amber")},
			{"green", "1 listing not shown (TLP)", false, false, labelled("a label nobody knows")},
			{"green", "1 listing not shown (TLP)", false, false, with(labelled("red"), func(e *event.Event) { e.Kind, e.Alert = event.KindAlert, "own_address_listed" })},
		} {
			cfg.MaxTLP = tt.most
			send(t, newHook(t, cfg), tt.event)
			text := string(*body)
			if kind == "json" && tt.word != "" {
				tt.word = `"listings_not_shown":` + tt.word[:1]
			}
			if strings.Contains(text, "secret") != tt.kept || strings.Contains(text, "openfeed") != tt.open || !strings.Contains(text, tt.word) || !strings.Contains(text, "203.0.113.1") {
				t.Errorf("%s, max_tlp %s, want %q: %s", kind, tt.most, tt.word, text)
			}
		}
	}
}

// TestTemplateFile: a template of the operator makes documents of any type; its mistakes are
// found before anything is sent.
func TestTemplateFile(t *testing.T) {
	url, got, body := server(t, 200)
	cfg := config(KindTemplate)
	cfg.URL, cfg.ContentType, cfg.TemplateFile = secret.Text(url), "text/plain; charset=utf-8", filepath.Join(t.TempDir(), "t")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(cfg.TemplateFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`{{.Title}}{{range .Notices}}|{{.Offender}} {{markdown "a@b [x](y)"}} {{quiet "@all"}}{{end}}`)
	if err := cfg.CheckFiles(); err != nil {
		t.Fatal(err)
	}
	send(t, newHook(t, cfg), hit(0, event.High), hit(1, event.High))
	want := "flowsnitch pi-oslo: high contact with 203.0.113.1 and 1 more|203.0.113.1 a@\u200bb \\[x\\]\\(y\\) @\u200ball|203.0.113.2 a@\u200bb \\[x\\]\\(y\\) @\u200ball"
	if string(*body) != want || got.Header.Get("Content-Type") != cfg.ContentType {
		t.Errorf("got %s, %v", *body, got.Header)
	}
	for text, complaint := range map[string]string{
		`{{.Titel}}`:            "can't evaluate field Titel",
		`{{.Title`:              "unclosed action",
		`{{nope}}`:              `function "nope" not defined`,
		`{{index .Notices 99}}`: "out of range",
		`{{(index .Notices 0).Evidence | len | index .Notices}}{{(index (index .Notices 0).Evidence 0)}}`: "out of range", // an alert has none
		`{{range .Notices}}{{range .Evidence}}{{range 3000}}{{printf "%0100d" .}}{{end}}{{end}}{{end}}`:   "too long",
		`{{define "x"}}{{render "x" .}}{{end}}{{render "x" .}}`:                                           "render calls itself",
		"\xff":                      "is not UTF-8",
		strings.Repeat(" ", 65<<10): "at most 65536",
	} {
		write(text)
		if err := cfg.CheckFiles(); err == nil || !strings.HasPrefix(err.Error(), "template_file: ") || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%.60s: got %v, want %s", text, err, complaint)
		}
		if _, err := New(cfg); err == nil {
			t.Errorf("%.60s: accepted", text)
		}
	}
	cfg.ContentType = "application/json"
	write(`{"text": "{{(index .Notices 0).Reason}}"}`)
	if err := cfg.CheckFiles(); err == nil || !strings.Contains(err.Error(), "is not JSON; put {{json .Field}}") {
		t.Errorf("got %v", err)
	}
	write(`{"text": {{json (index .Notices 0).Reason}}, "link": {{json .Page}}}`)
	cfg.Each = true
	if err := cfg.CheckFiles(); err == nil || !strings.Contains(err.Error(), "out of range") { // what is not named has no notice
		t.Errorf("got %v", err)
	}
}

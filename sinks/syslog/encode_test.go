package syslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/google/uuid"
	"github.com/leodido/go-syslog/v4/rfc3164"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

func testConfig(transport string, change ...func(*Config)) Config {
	cfg := DefaultConfig()
	cfg.Transport, cfg.Servers = transport, []string{"127.0.0.1:514"}
	for _, f := range change {
		f(&cfg)
	}
	return cfg.filled()
}

func encode(cfg Config, e event.Event) string { return string(newEncoder(cfg).append(nil, &e)) }

// TestMessage shows each form as it stands on the wire.
func TestMessage(t *testing.T) {
	pid := fmt.Sprint(os.Getpid())
	local := at.Local().Format("Jan _2 15:04:05")
	for _, tt := range []struct {
		want   string // the message begins so
		change func(*Config)
	}{
		{"<130>1 2026-11-02T23:00:00.123456Z pi-oslo flowsnitch " + pid + " hit - hit src=10.0.0.5 spt=51515 dst=203.0.113.9 dpt=443 " +
			"proto=tcp feed=feodo sev=critical dir=outbound ", func(*Config) {}},
		{"<130>" + local + " pi-oslo flowsnitch[" + pid + "]: hit src=10.0.0.5 ", func(c *Config) { c.Protocol = RFC3164 }},
		{"<130>" + local + " flowsnitch[" + pid + "]: hit src=10.0.0.5 ", func(c *Config) { c.Transport, c.Protocol = Unix, RFC3164 }},
		{"<130>" + local + ` pi-oslo flowsnitch[` + pid + `]: {"integration":"flowsnitch",`, func(c *Config) { c.Protocol, c.Format = RFC3164, "json" }},
		{"<130>" + local + ` pi-oslo flowsnitch[` + pid + `]: @cee: {"integration":"flowsnitch",`, func(c *Config) {
			c.Protocol, c.Format, c.CEE = RFC3164, "json", true
		}},
		{"<130>" + local + " pi-oslo CEF:0|flowsnitch|flowsnitch|0|c2|", func(c *Config) { c.Protocol, c.Format = RFC3164, "cef" }},
		{"<130>" + local + " pi-oslo LEEF:2.0|flowsnitch|", func(c *Config) { c.Protocol, c.Format = RFC3164, "leef" }},
		{"<130>1 2026-11-02T23:00:00.123456Z pi-oslo - " + pid + " hit - LEEF:1.0|flowsnitch|", func(c *Config) { c.Format = "leef1" }},
		{"<26>1 2026-11-02T23:00:00.123456Z collector snitch " + pid + ` hit [flowsnitch@32473 id="0192f7c0-1234-7abc-8def-0123456789ab" ` +
			`severity="critical" score="95" offender="203.0.113.9" feed="feodo" category="c2"] CEF:0|`, func(c *Config) {
			c.Facility, c.Hostname, c.AppName, c.EnterpriseID, c.Format = "daemon", "collector", "snitch", 32473, "cef"
		}},
		{"<130>1 2026-11-02T23:00:00.123456Z pi-oslo flowsnitch " + pid + " hit - hit src=203.0.113.9 spt=443 dst=10.0.0.5 ",
			func(c *Config) { c.AlertIP = form.AlertIndicator }},
	} {
		if got := encode(testConfig(UDP, tt.change), hit()); !strings.HasPrefix(got, tt.want) {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestSeverity(t *testing.T) {
	for s, want := range map[event.Severity]string{event.Critical: "<130>", event.High: "<132>", event.Medium: "<133>", event.Low: "<134>", 9: "<130>"} {
		e := hit()
		e.Severity = s
		if got := encode(testConfig(UDP), e); !strings.HasPrefix(got, want) {
			t.Errorf("%v: got %.10s, want %s", s, got, want)
		}
	}
}

// TestEveryMessage: whatever an event says, in every form, the message is one line,
// within its limit, well-formed, and says no more than it should.
func TestEveryMessage(t *testing.T) {
	for _, protocol := range []string{RFC5424, RFC3164} {
		for _, format := range []string{"text", "json", "ecs", "ocsf", "cef", "leef", "leef1"} {
			for _, limit := range []int{0, 1180, 2048, 65_000} {
				if limit == 1180 && (format == "ecs" || format == "ocsf") {
					continue // is not allowed
				}
				cfg := testConfig(UDP, func(c *Config) {
					c.Protocol, c.Format, c.Limit = protocol, format, limit
					c.AppName, c.CEE = strings.Repeat("a", 32), c.isJSON()
					if protocol == RFC5424 {
						c.EnterpriseID, c.AppName = 1<<32-1, strings.Repeat("a", 48)
					}
				})
				if err := cfg.Validate(); err != nil {
					t.Fatal(err)
				}
				for i, e := range samples() {
					checkMessage(t, cfg, i, e)
				}
			}
		}
	}
}

func checkMessage(t *testing.T, cfg Config, i int, e event.Event) {
	t.Helper()
	got := encode(cfg, e)
	name := fmt.Sprintf("%s %s limit %d, event %d: %.150q", cfg.Protocol, cfg.Format, cfg.Limit, i, got)
	if len(got) > cfg.Limit {
		t.Errorf("%d bytes: %s", len(got), name)
	}
	if strings.ContainsAny(got, "\n\r\x00") || !utf8.ValidString(got) || strings.Contains(got, "\ufeff") {
		t.Errorf("a character is not allowed: %s", name)
	}
	body := bodyOf(t, cfg, got, name)
	switch cfg.Format {
	case "json":
		checkJSON(t, strings.TrimPrefix(body, "@cee: "), name, &e)
	case "ecs":
		checkECS(t, strings.TrimPrefix(body, "@cee: "), name, &e)
	case "ocsf":
		checkOCSF(t, strings.TrimPrefix(body, "@cee: "), name, &e)
	case "cef":
		if strings.Count(strings.NewReplacer(`\\`, "", `\|`, "").Replace(strings.Split(body, " ")[0]), "|") < 5 || !strings.HasPrefix(body, "CEF:0|") {
			t.Errorf("no CEF: %s", name)
		}
	case "leef", "leef1":
		if !strings.HasPrefix(body, "LEEF:") {
			t.Errorf("no LEEF: %s", name)
		}
	default:
		if !strings.HasPrefix(body, string(e.Kind)) && len(e.Kind) < 10 {
			t.Errorf("no text: %s", name)
		}
	}
	const contact = 100 // bytes of its keys in the longest form
	if e.Contact != (uuid.UUID{}) && !strings.Contains(body, e.Contact.String()) && len(got)+contact <= cfg.Limit {
		t.Errorf("the contact is missing though there is room: %s", name)
	}
	if n := strings.Count(body, "8.8.8.8"); n > 0 && !strings.Contains(fmt.Sprint(e.Reason), "8.8.8.8") {
		t.Errorf("forged: %s", name)
	}
}

// bodyOf parses a message with a parser of another project and gives its body.
func bodyOf(t *testing.T, cfg Config, message, name string) string {
	t.Helper()
	if cfg.Protocol == RFC3164 {
		// The parser wants a tag, which CEF and LEEF have not; what it is to find is the
		// rest behind the header.
		m, err := rfc3164.NewParser(rfc3164.WithBestEffort()).Parse([]byte(message))
		if m == nil {
			t.Errorf("%v: %s", err, name)
			return ""
		}
		parsed := m.(*rfc3164.SyslogMessage)
		parts := strings.SplitN(message[len("<130>Nov  2 23:00:00 "):], " ", 3)
		if parsed.Timestamp == nil || parsed.Hostname == nil && parts[0] != "-" {
			t.Errorf("no timestamp or host name: %s", name)
		}
		if cfg.isTagged() {
			if parsed.Appname == nil || *parsed.Appname != cfg.AppName {
				t.Errorf("no tag: %s", name)
			}
			return parts[2]
		}
		return strings.Join(parts[1:], " ")
	}
	m, err := rfc5424.NewParser().Parse([]byte(message))
	if err != nil {
		t.Errorf("%v: %s", err, name)
		return ""
	}
	parsed := m.(*rfc5424.SyslogMessage)
	if cfg.EnterpriseID != 0 {
		params := (*parsed.StructuredData)[fmt.Sprintf("flowsnitch@%d", cfg.EnterpriseID)]
		if params["severity"] == "" || len(params) > 6 || params["x"] != "" {
			t.Errorf("structured data %v: %s", params, name)
		}
	}
	return *parsed.Message
}

func checkJSON(t *testing.T, body, name string, e *event.Event) {
	t.Helper()
	var got struct {
		Integration, Kind, ID, Contact, Srcip string
		Flowsnitch                            struct{ Offender, Severity string }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Integration != "flowsnitch" || got.ID != e.ID.String() {
		t.Errorf("%v: %s", err, name)
	}
	if got.Kind != string(e.Kind) && len(e.Kind) < 10 || got.Contact != "" && got.Contact != e.Contact.String() {
		t.Errorf("not its kind and contact: %s", name)
	}
	if got.Flowsnitch.Severity != e.Severity.String() || e.Offender.IsValid() && got.Flowsnitch.Offender != e.Offender.String() {
		t.Errorf("not the offender and its severity: %s", name)
	}
	if strings.Count(body, `"srcip":`) > 1 {
		t.Errorf("srcip twice: %s", name)
	}
}

func checkECS(t *testing.T, body, name string, e *event.Event) {
	t.Helper()
	var got struct {
		Event      struct{ ID string }
		Flowsnitch struct{ Offender, Severity string }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Event.ID != e.ID.String() || got.Flowsnitch.Severity != e.Severity.String() ||
		e.Offender.IsValid() && got.Flowsnitch.Offender != e.Offender.String() {
		t.Errorf("%v: %s", err, name)
	}
}

func checkOCSF(t *testing.T, body, name string, e *event.Event) {
	t.Helper()
	var got struct {
		Metadata struct{ UID string }
		Severity event.Severity `json:"severity_id"`
		Unmapped struct{ Offender string }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Metadata.UID != e.ID.String() || got.Severity != e.Severity+2 ||
		e.Offender.IsValid() && got.Unmapped.Offender != e.Offender.String() {
		t.Errorf("%v: %s", err, name)
	}
}

// TestRelease: the version of the program is in the headers of CEF and LEEF.
func TestRelease(t *testing.T) {
	for format, want := range map[string]string{"cef": "CEF:0|flowsnitch|flowsnitch|1.2.0|", "leef": "LEEF:2.0|flowsnitch|flowsnitch|1.2.0|"} {
		got := encode(testConfig(UDP, func(c *Config) { c.Format, c.Release = format, "1.2.0" }), hit())
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

// TestShorter: what is cut first is what matters least, and it is counted.
func TestShorter(t *testing.T) {
	e := hit()
	e.Indicators[0].Description = strings.Repeat("d", 250)
	e.Indicators[0].Ref = strings.Repeat("r", 600)
	encoder := newEncoder(testConfig(UDP, func(c *Config) { c.Format = "json" }))
	got := encoder.append(nil, &e)
	for _, want := range []string{`"feed":"feodo"`, `"exporter_name":"edge-1"`, `"reason":"c2 listed by`, `"bytes":1234`, `"indicator":"203.0.113.9/32"`} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("%s is missing: %s", want, got)
		}
	}
	if encoder.short != 1 {
		t.Errorf("%d shortened, want 1", encoder.short)
	}
	plain := hit()
	encoder.append(nil, &plain)
	if encoder.short != 1 {
		t.Errorf("an ordinary event is too long for a datagram")
	}
}

// TestShorterRule: of an alert of a rule the lists go first.
func TestShorterRule(t *testing.T) {
	e := eventtest.RuleAlert()
	e.Rule = eventtest.Longest().Rule
	for _, format := range []string{"json", "ecs", "ocsf"} {
		encoder := newEncoder(testConfig(UDP, func(c *Config) { c.Format, c.Limit = format, 1180 }))
		got := encoder.append(nil, &e)
		for _, want := range []string{`"name":"swarm"`, `swarm: 89 sources tried 192.0.2.25 tcp/25 at oslo within 6h`, `"left_out":`} {
			if len(got) > 1180 || format == "json" && !bytes.Contains(got, []byte(want)) {
				t.Errorf("%s: %s in %d bytes: %s", format, want, len(got), got)
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, true, uint8(1))
	}
	formats := []string{"text", "json", "ecs", "ocsf", "cef", "leef", "leef1"}
	f.Fuzz(func(t *testing.T, s string, modern bool, form uint8) {
		e := hit()
		if form >= 128 {
			e = eventtest.RuleAlert()
		}
		eventtest.Poison(&e, s)
		cfg := testConfig(UDP, func(c *Config) {
			c.Format = formats[int(form)%len(formats)]
			c.Protocol, c.EnterpriseID = RFC3164, 0
			if modern {
				c.Protocol, c.EnterpriseID = RFC5424, 32473
			}
		})
		checkMessage(t, cfg, 0, e)
	})
}

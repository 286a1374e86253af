package configs_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form"
)

// What follows does with decoders and rules what OSSEC and Wazuh do with them, as far
// as these files use it. The daemons themselves are in no Debian package.

type xmlDecoder struct {
	Name     string `xml:"name,attr"`
	Parent   string `xml:"parent"`
	Program  string `xml:"program_name"`
	Prematch string `xml:"prematch"`
	PCRE2Pre string `xml:"prematch_pcre2"`
	Regex    struct {
		Offset string `xml:"offset,attr"`
		Expr   string `xml:",chardata"`
	} `xml:"regex"`
	PCRE2 string `xml:"pcre2"`
	Order string `xml:"order"`
}

type xmlRule struct {
	ID        int      `xml:"id,attr"`
	Level     int      `xml:"level,attr"`
	Frequency int      `xml:"frequency,attr"`
	DecodedAs string   `xml:"decoded_as"`
	IfSID     string   `xml:"if_sid"`
	IfMatched string   `xml:"if_matched_sid"`
	SameSrc   *string  `xml:"same_srcip"`
	Same      []string `xml:"same_field"`
	Match     string   `xml:"match"`
	Status    string   `xml:"status"`
	Fields    []struct {
		Name string `xml:"name,attr"`
		Expr string `xml:",chardata"`
	} `xml:"field"`
	Description string `xml:"description"`
}

// readXML reads elements that have no root, as these files are.
func readXML[T any](t *testing.T, name, element string) []T {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(artifact(t, name))))
	var all []T
	for {
		tok, err := d.Token()
		if tok == nil {
			if len(all) == 0 {
				t.Fatalf("%s: %v", name, err)
			}
			return all
		}
		if start, ok := tok.(xml.StartElement); ok && start.Name.Local == element {
			var v T
			if err := d.DecodeElement(&v, &start); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all = append(all, v)
		}
	}
}

// preDecode takes the header of a syslog line off, as OSSEC's pre-decoder does.
func preDecode(text string) (program, body string) {
	m := regexp.MustCompile(`^(?:\w{3} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}[+-]\d\d:\d\d) \S+ ([\w-]+)(?:\[\d+\])?: (.*)$`).FindStringSubmatch(text)
	if m == nil {
		return "", text
	}
	return m[1], m[2]
}

// decode gives the name of the first decoder that takes a line, and its fields. The
// simple expressions of OSSEC in these files mean the same in Go.
func decode(t *testing.T, decoders []xmlDecoder, text string) (name string, fields map[string]string) {
	t.Helper()
	program, body := preDecode(text)
	fields = map[string]string{}
	parent := slices.IndexFunc(decoders, func(d xmlDecoder) bool {
		return d.Program != "" && regexp.MustCompile(d.Program).MatchString(program) ||
			d.PCRE2Pre != "" && regexp.MustCompile(d.PCRE2Pre).MatchString(body)
	})
	if parent < 0 {
		return "", nil
	}
	used := ""
	for _, d := range decoders {
		if d.Parent != decoders[parent].Name || used != "" && d.Name != used {
			continue
		}
		rest := body
		if d.Prematch != "" {
			at := regexp.MustCompile(d.Prematch).FindStringIndex(body)
			if at == nil {
				continue
			}
			rest = body[at[1]:]
		}
		m := regexp.MustCompile(d.PCRE2 + d.Regex.Expr).FindStringSubmatch(rest)
		if m == nil {
			continue
		}
		used = d.Name
		for i, field := range strings.Split(d.Order, ",") {
			if field = strings.TrimSpace(field); fields[field] == "" {
				fields[field] = m[i+1]
			}
		}
	}
	return decoders[parent].Name, fields
}

// judge gives the rule that a line ends at.
func judge(t *testing.T, rules []xmlRule, decoder, body string, fields map[string]string) xmlRule {
	t.Helper()
	var best xmlRule
	for more := true; more; {
		more = false
		for _, r := range rules {
			if r.IfMatched == "" && child(r, best, decoder) && matches(r, body, fields) {
				best, more = r, true
				break
			}
		}
	}
	return best
}

func child(r, of xmlRule, decoder string) bool {
	if of.ID == 0 {
		return r.DecodedAs == decoder
	}
	return slices.Contains(strings.Split(r.IfSID, ", "), fmt.Sprint(of.ID))
}

func matches(r xmlRule, body string, fields map[string]string) bool {
	if !regexp.MustCompile(r.Match).MatchString(body) || !regexp.MustCompile(r.Status).MatchString(fields["status"]) {
		return false
	}
	for _, f := range r.Fields {
		if value, ok := fields[f.Name]; !ok || !regexp.MustCompile(f.Expr).MatchString(value) {
			return false
		}
	}
	return true
}

// versionOne gives a native line as it was in version 1.
func versionOne(t *testing.T, native string) string {
	t.Helper()
	head := regexp.MustCompile(`^\{"integration":"flowsnitch",("@timestamp":"[^"]+"),"v":2,"kind":("\w+"),("id":"[^"]+")`)
	if !head.MatchString(native) {
		t.Fatalf("not as version 2 begins: %s", native)
	}
	old := head.ReplaceAllString(native, `{"integration":"flowsnitch","v":1,"event":$2,$3,$1`)
	return regexp.MustCompile(`"version":"(\d+)"`).ReplaceAllString(old, `"version":$1`)
}

// ossecLines gives an event in every form that OSSEC may get.
func ossecLines(t *testing.T, e event.Event, alertIP string) map[string]string {
	native := line(t, form.Native, form.Options{AlertIP: alertIP}, e)
	text := line(t, form.Text, form.Options{AlertIP: alertIP}, e)
	return map[string]string{
		"hit log":         native,
		"version 1":       versionOne(t, native),
		"text in a file":  line(t, form.Text, form.Options{AlertIP: alertIP, Stamped: true}, e),
		"text by syslog":  "Nov 20 23:00:00 pi flowsnitch[1]: " + text,
		"JSON by syslog":  "Nov  2 23:00:00 pi flowsnitch[1]: " + native,
		"shortest syslog": "Nov 20 23:00:00 pi flowsnitch[1]: " + line(t, form.Text, form.Options{AlertIP: alertIP, Limit: 480}, e),
	}
}

// wantFields says what OSSEC must find in an event.
func wantFields(e event.Event, native bool) map[string]string {
	want := map[string]string{"status": e.Severity.String()}
	if len(e.Indicators) > 0 {
		want["extra_data"] = e.Indicators[0].Feed
	}
	if e.Kind == event.KindAlert {
		if r := e.Rule; r != nil && native { // what the group has of it
			want["protocol"], want["action"], want["extra_data"] = r.Of("protocol"), r.Of("direction"), r.Of("feed")
		}
		return want
	}
	if e.Src.IsValid() {
		want["srcip"], want["dstip"] = e.Src.String(), e.Dst.String()
	}
	if e.HasPorts {
		want["srcport"], want["dstport"] = fmt.Sprint(e.SrcPort), fmt.Sprint(e.DstPort)
	}
	if e.HasProtocol {
		want["protocol"] = map[uint8]string{6: "tcp", 47: "gre"}[e.Protocol]
	}
	if e.Direction != "" {
		want["action"] = string(e.Direction)
	}
	return want
}

// wantRule says at which rule an event must end, of those that both files have.
func wantRule(e event.Event) int {
	grave := e.Severity >= event.High
	switch e.Kind {
	case event.KindHit:
		if e.Retro {
			return 100240 + int(e.Severity)
		}
		return 100201 + int(e.Severity)
	case event.KindUpdate:
		return map[bool]int{false: 100210, true: 100211}[grave]
	case event.KindAlert:
		if e.Rule != nil {
			return [...]int{100222, 100223, 100224, 100224}[e.Severity]
		}
		return map[bool]int{false: 100220, true: 100221}[grave]
	}
	return 100230
}

func TestOSSEC(t *testing.T) {
	decoders := readXML[xmlDecoder](t, "ossec/flowsnitch_decoder.xml", "decoder")
	rules := readXML[xmlRule](t, "ossec/flowsnitch_rules.xml", "rule")
	for name, e := range samples() {
		for form, text := range ossecLines(t, e, form.AlertFlow) {
			decoder, fields := decode(t, decoders, text)
			want := wantFields(e, strings.Contains(text, `"kind":`) || strings.Contains(text, `"event":`))
			for _, field := range []string{"srcip", "srcport", "dstip", "dstport", "protocol", "extra_data", "status", "action"} {
				got := fields[field]
				if got == "-" || got == "0" && !e.HasPorts {
					got = "" // the text form has a word for nothing
				}
				if got != want[field] {
					t.Errorf("%s, %s: %s is %q, want %q in %s", name, form, field, got, want[field], text)
				}
			}
			_, body := preDecode(text)
			if r := judge(t, rules, decoder, body, fields); r.ID != wantRule(e) {
				t.Errorf("%s, %s: rule %d, want %d for %s", name, form, r.ID, wantRule(e), text)
			}
		}
	}
}

// TestOSSECBlocks holds what active response finds in srcip.
func TestOSSECBlocks(t *testing.T) {
	decoders := readXML[xmlDecoder](t, "ossec/flowsnitch_decoder.xml", "decoder")
	for alertIP, want := range map[string]string{form.AlertFlow: "10.0.0.5", form.AlertIndicator: "203.0.113.9"} {
		for form, text := range ossecLines(t, sample(event.KindHit), alertIP) {
			if _, fields := decode(t, decoders, text); fields["srcip"] != want {
				t.Errorf("%s, %s: blocks %s, want %s", alertIP, form, fields["srcip"], want)
			}
		}
		for form, text := range ossecLines(t, sample(event.KindAlert), alertIP) {
			if _, fields := decode(t, decoders, text); fields["srcip"] != "" {
				t.Errorf("%s, %s: an alert blocks %s", alertIP, form, fields["srcip"])
			}
		}
	}
}

// flatten makes the fields that Wazuh's JSON decoder makes.
func flatten(t *testing.T, text string) map[string]string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if m, ok := v.(map[string]any); ok {
			for key, value := range m {
				walk(strings.TrimPrefix(path+"."+key, "."), value)
			}
			return
		}
		fields[path] = fmt.Sprint(v)
	}
	walk("", doc)
	return fields
}

func TestWazuh(t *testing.T) {
	rules := readXML[xmlRule](t, "wazuh/flowsnitch_rules.xml", "rule")
	for name, e := range samples() {
		want := wantRule(e)
		if e.Kind == event.KindHit && !e.Retro && e.Severity >= event.High && len(e.Indicators) > 0 {
			want = 100205 // C2
			if e.Site != "" {
				want = 100212
			}
		}
		native := line(t, form.Native, form.Options{}, e)
		for _, text := range []string{native, versionOne(t, native)} {
			fields := flatten(t, text)
			if !regexp.MustCompile(`^{\s*"`).MatchString(text) || len(fields) > 256 {
				t.Errorf("%s: %d fields in %s", name, len(fields), text)
			}
			if r := judge(t, rules, "json", text, fields); r.ID != want {
				t.Errorf("%s: rule %d, want %d for %s", name, r.ID, want, text)
			}
		}
	}
}

// TestWazuhFields holds that rules and descriptions name only fields that we write,
// and none that is filled from elsewhere.
func TestWazuhFields(t *testing.T) {
	allowed := schemaPaths(t)
	for _, r := range readXML[xmlRule](t, "wazuh/flowsnitch_rules.xml", "rule") {
		for _, f := range r.Fields {
			if !allowed[f.Name] {
				t.Errorf("rule %d: field %s is never written", r.ID, f.Name)
			}
		}
		for _, field := range r.Same {
			if !allowed[field] {
				t.Errorf("rule %d: field %s is never written", r.ID, field)
			}
		}
		for _, m := range regexp.MustCompile(`\$\(([^)]+)\)`).FindAllStringSubmatch(r.Description, -1) {
			if !allowed[m[1]] {
				t.Errorf("rule %d: $(%s) is never written", r.ID, m[1])
			}
		}
	}
}

// repeated gives the rules with a frequency that lines of one moment set off. As in Wazuh, a
// field that must be the same and is missing never is.
func repeated(t *testing.T, rules []xmlRule, lines []string) []int {
	t.Helper()
	var fired []int
	for _, r := range rules {
		if r.Frequency == 0 {
			continue
		}
		same := r.Same
		if r.SameSrc != nil {
			same = append(slices.Clone(same), "srcip")
		}
		counts := map[string]int{}
		for _, text := range lines {
			fields := flatten(t, text)
			var key []string
			for _, name := range same {
				if value, ok := fields[name]; ok {
					key = append(key, value)
				}
			}
			if len(key) == len(same) && fmt.Sprint(judge(t, rules, "json", text, fields).ID) == r.IfMatched {
				counts[strings.Join(key, " ")]++
			}
		}
		for _, n := range counts {
			if n >= r.Frequency {
				fired = append(fired, r.ID)
			}
		}
	}
	return fired
}

// TestWazuhSites: what repeats is a host, which is an address at a site; without sites it is
// the address.
func TestWazuhSites(t *testing.T) {
	rules := readXML[xmlRule](t, "wazuh/flowsnitch_rules.xml", "rule")
	lines := func(n int, site string) (list []string) {
		e := sample(event.KindHit)
		e.Site = site
		return slices.Repeat([]string{line(t, form.Native, form.Options{}, e)}, n)
	}
	for name, tt := range map[string]struct {
		lines []string
		want  []int
	}{
		"no sites":  {lines(5, ""), []int{100209}},
		"too few":   {lines(4, ""), nil},
		"one site":  {lines(5, "oslo"), []int{100213}},
		"two sites": {slices.Concat(lines(4, "oslo"), lines(4, "bergen"), lines(4, "")), nil},
	} {
		if got := repeated(t, rules, tt.lines); !slices.Equal(got, tt.want) {
			t.Errorf("%s: rules %v, want %v", name, got, tt.want)
		}
	}
}

// TestRules holds what both daemons ask of a file of rules.
func TestRules(t *testing.T) {
	for _, name := range []string{"ossec/flowsnitch_rules.xml", "wazuh/flowsnitch_rules.xml"} {
		seen := map[string]bool{}
		for _, r := range readXML[xmlRule](t, name, "rule") {
			id := fmt.Sprint(r.ID)
			if r.ID < 100_000 || r.ID > 120_000 || r.Level > 16 || r.Description == "" || seen[id] {
				t.Errorf("%s: rule %+v", name, r)
			}
			for _, parent := range strings.Split(r.IfSID+r.IfMatched, ", ") {
				if parent != "" && !seen[parent] {
					t.Errorf("%s: rule %s comes after %s, which it needs", name, parent, id)
				}
			}
			if strings.HasPrefix(name, "ossec") && strings.Contains(r.Description, "$(") {
				t.Errorf("rule %s: OSSEC prints $() as it is", id)
			}
			seen[id] = true
		}
	}
}

func TestWazuhLocalfile(t *testing.T) {
	type localfile struct {
		Format   string `xml:"log_format"`
		Location string `xml:"location"`
	}
	files := readXML[localfile](t, "wazuh/localfile.xml", "localfile")
	if len(files) != 1 || files[0].Format != "json" || !strings.HasSuffix(files[0].Location, "/hits.json") {
		t.Errorf("got %+v", files)
	}
}

package rules_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// holds compares a table of the page with what it must be.
func holds(t *testing.T, name, table string) {
	t.Helper()
	_, rest, _ := strings.Cut(readme(t), "<!-- "+name+" -->\n")
	got, _, ok := strings.Cut(rest, "<!-- end -->")
	if !ok || got != table {
		t.Errorf("README.md: the table of %s must be\n%s", name, table)
	}
}

// ofField is what has a field.
func ofField(f *rule.Field) string {
	switch {
	case f.Hits && f.Contacts:
		return "both"
	case f.Hits:
		return "hits"
	case f.Contacts:
		return "contacts"
	}
	return "logins"
}

// TestFields: the table of fields has all of them.
func TestFields(t *testing.T) {
	kinds := map[rule.Kind]string{rule.Address: "address, prefix", rule.Number: "number", rule.Text: "text", rule.YesNo: "`yes`, `no`", rule.Protocol: "keyword, number"}
	var b strings.Builder
	b.WriteString("| field | of | values | group-by, counted | meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, f := range rule.Fields {
		of := ofField(f)
		values := kinds[f.Kind]
		if f.Kind == rule.Word {
			values = "`" + strings.Join(f.Words, "`, `") + "`"
		}
		use := map[bool]string{true: "yes"}[f.Group]
		if f.Summable() {
			use = "summed up"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Name, of, values, use, f.Help)
	}
	holds(t, "fields", b.String())
}

// TestShipped: the table of shipped rules is that of the files, and each has a file of its name.
func TestShipped(t *testing.T) {
	var b strings.Builder
	b.WriteString("| rule | over | condition | by | in | level | title |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, e := range rulebook.Load(rulebook.Config{Shipped: true}).Entries {
		if !e.Generate {
			continue
		}
		if e.Off != "" && e.Over != rule.Logins {
			t.Errorf("%s is off: %s", e.Name, e.Off)
		}
		var by []string
		for _, f := range e.Correlation.GroupBy {
			by = append(by, f.Name)
		}
		c := &e.Correlation
		fmt.Fprintf(&b, "| [`%s`](%s.yml) | %s | %s | %s | %s | %s | %s |\n", e.Name, e.Name, e.Over, e.Describe(), strings.Join(by, ", "), c.Window(), e.Level, e.Title)
		if e.File != rulebook.ShippedPrefix+e.Name+".yml" {
			t.Errorf("%s is in %s", e.Name, e.File)
		}
	}
	holds(t, "shipped", b.String())
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestExamples: every example is a rule that runs.
func TestExamples(t *testing.T) {
	blocks := yamlBlock.FindAllStringSubmatch(readme(t), -1)
	if len(blocks) < 4 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, m := range blocks {
		list, bad := rule.Read("README.md", []byte(m[1]))
		good, wrong := rule.Check(list)
		if len(bad)+len(wrong) > 0 || len(good) == 0 {
			t.Errorf("%v %v\n%s", bad, wrong, m[1])
		}
	}
}

// TestTypes: every type is explained, and the limits are those of the reader.
func TestTypes(t *testing.T) {
	text := readme(t)
	for n := rule.EventCount; n <= rule.Rise; n++ {
		if !strings.Contains(text, "| `"+n.String()+"` |") {
			t.Errorf("README.md does not explain %s", n)
		}
	}
	for _, want := range []string{"up to " + rule.Short(rule.MaxTimespan), fmt.Sprintf("of 3 to %d", rule.MaxSteps), "`" + rule.DefaultCooldown.String()[:3] + "`"} {
		if !strings.Contains(text, want) {
			t.Errorf("README.md does not have %q", want)
		}
	}
}

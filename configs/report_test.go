package configs

import (
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/sinks/webhook"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/mail"
)

// TestReport: a report that could never be sent is an error before anything starts.
func TestReport(t *testing.T) {
	hook := func(name, kind string) Sink {
		return Sink{Webhook: &webhook.Config{Name: name, Kind: kind, Mail: mail.Config{Server: name + ".example:25", To: []string{"soc@example.net"}}}}
	}
	for want, change := range map[string]func(*Config){
		`every: "now" is not valid`:                                 func(c *Config) { c.Report.Every = "now" },
		"to: is missing":                                            func(c *Config) { c.Report.To = nil },
		`to: "Noc <noc@example.net>" is not an address`:             func(c *Config) { c.Report.To = []string{"Noc <noc@example.net>"} },
		`max_tlp: "white" is not a label`:                           func(c *Config) { c.Report.MaxTLP = "white" },
		"every: a report needs a mail server":                       func(c *Config) { c.Sinks = c.Sinks[:1] },
		`sink: there is no webhook sink of kind mail with the name`: func(c *Config) { c.Report.Sink = "chat" },
		"every: reports are made of incidents":                      func(c *Config) { c.Incidents.Enabled = false },
	} {
		c := Default()
		c.Sinks = []Sink{hook("chat", webhook.KindSlack), hook("a", webhook.KindMail), hook("b", webhook.KindMail)}
		c.Report.Every, c.Report.To = "monday 07:00", []string{"noc@example.net"}
		if err := c.validateReport(); err != nil {
			t.Fatal(err)
		}
		if m, err := c.ReportMail(); err != nil || m.Server != "a.example:25" || m.To[0] != "noc@example.net" {
			t.Errorf("%+v, %v", m, err)
		}
		c.Report.Sink = "b"
		if m, err := c.ReportMail(); err != nil || m.Server != "b.example:25" {
			t.Errorf("%+v, %v", m, err)
		}
		c.Report.Sink = ""
		change(&c)
		if err := c.validateReport(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

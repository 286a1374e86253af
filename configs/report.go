package configs

import (
	"errors"
	"fmt"

	"github.com/flowsnitch/flowsnitch/sinks/webhook"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/mail"
)

func (c *Config) validateReport() error {
	if err := c.Report.Validate(); err != nil {
		return err
	}
	if c.Report.Every == "" {
		return nil
	}
	if !c.Incidents.Enabled {
		return errors.New("every: reports are made of incidents, and incidents.enabled is false")
	}
	_, err := c.ReportMail()
	return err
}

// ReportMail gives the mail server that reports are sent by, with their addresses. It is that
// of a webhook sink.
func (c *Config) ReportMail() (mail.Config, error) {
	for i := range c.Sinks {
		h := c.Sinks[i].Webhook
		if h == nil || h.Kind != webhook.KindMail || c.Report.Sink != "" && h.Name != c.Report.Sink {
			continue
		}
		to := h.Mail
		to.To = c.Report.To
		return to, nil
	}
	if c.Report.Sink != "" {
		return mail.Config{}, fmt.Errorf("sink: there is no webhook sink of kind mail with the name %q", c.Report.Sink)
	}
	return mail.Config{}, errors.New("every: a report needs a mail server; add a webhook sink of kind mail, whose server is used")
}

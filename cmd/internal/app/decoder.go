package app

import (
	"context"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/sites"
	"go.uber.org/zap"
)

// A decoder is what all workers know of the exporters, with the file that keeps it over a
// restart.
type decoder struct {
	cfg       *configs.Config
	exporters *decode.Exporters
	templates *templateFile
	since     time.Time // of the instance
	ran       bool      // workers have been started
	log       *zap.Logger

	decoded func() decode.Stats // of all workers
}

func newDecoder(cfg *configs.Config, since time.Time, date func() time.Time, b *background, log *zap.Logger) *decoder {
	d := &decoder{cfg: cfg, exporters: decode.NewExporters(cfg.Limits), since: since, log: log}
	ReadTunnels(d.exporters, cfg)
	d.exporters.SetSites(cfg.Contact.ExporterSites())
	d.templates = newTemplateFile(cfg.StateDir, d.exporters, date, log)
	b.every("the expiry of exporters", often, d.exporters.Sweep)
	saving := trouble{log: log, begins: "templates cannot be saved; after a restart data is not decoded until exporters resend them", ends: "templates are saved again"}
	b.every("saving templates", often, func(time.Time) { saving.tell(d.templates.save(false)) })
	return d
}

// Register shows and judges what came and what was lost.
func (d *decoder) Register(c *observe.Component) {
	listed := func() ExporterStatus { return d.status(maxListed) }
	check := &exporterCheck{
		limits: d.cfg.Health, caps: d.cfg.Limits, named: d.cfg.Exporters, decoded: d.decodeStatus,
		exporters: func() ExporterStatus { return d.status(anyNumber) }, since: func() time.Time { return d.since },
	}
	c.Add(observe.Printed("decoded", d.decodeStatus, printDecoded), observe.Printed("exporters", listed, printExporters),
		observe.Silent("exporter_totals", func() []ExporterTotals { return exporterTotals(listed().List) }), check.checks())
}

// Start takes up what the last run has left.
func (d *decoder) Start() error {
	d.nameExporters(d.cfg.Exporters)
	d.templates.open()
	return nil
}

// Stop saves what the next run takes up. Where no worker has run, the file of the last run is
// left as it is: it may be of a crash, or could not be read as a whole.
func (d *decoder) Stop(context.Context) error {
	if !d.ran {
		return nil
	}
	return d.templates.save(true)
}

// Reconfigure takes up which exporters always find room. Their other keys need a restart.
func (d *decoder) Reconfigure(cfg *configs.Config) error {
	d.nameExporters(cfg.Exporters)
	return nil
}

// Takes no key as a whole.
func (d *decoder) Takes(*configs.Config, string) bool { return false }

// nameExporters names the exporters of the configuration to the decoder.
func (d *decoder) nameExporters(exporters []sites.Exporter) {
	var addrs []netip.Addr
	for _, e := range exporters {
		addrs = append(addrs, e.Address)
	}
	d.exporters.SetNamed(addrs)
}

func (d *decoder) decodeStatus() DecodeStatus { return decodeStatus(d.decoded()) }

// status lists the exporters that sent most.
func (d *decoder) status(most int) ExporterStatus {
	s := exporterStatus(d.exporters, d.cfg.Exporters, most)
	s.Restored, s.File = d.templates.restored, d.templates.status()
	return s
}

// ReadTunnels sets which packets inside tunnels are read, by the configuration.
func ReadTunnels(x *decode.Exporters, cfg *configs.Config) {
	ends := intel.NewNetworks(append(cfg.AllHome(), cfg.SFlow.TunnelEndpoints...))
	x.ReadTunnels(cfg.SFlow.Tunnels, ends.Contains)
}

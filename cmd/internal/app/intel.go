package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/correlate"
	"github.com/flowsnitch/flowsnitch/intel/feeds"
	"go.uber.org/zap"
)

// operatorScore is the score of the operator's own lists: their word is final.
const operatorScore = 90

// An intelReport says what became of the lists.
type intelReport struct {
	built   time.Time
	version string
	table   intel.Report
	parsed  []ParsedFile
}

// A ParsedFile is what a file of listed prefixes held.
type ParsedFile struct {
	Feed     string        `json:"feed"`
	File     string        `json:"file"`
	Format   string        `json:"format"`
	Verdict  feeds.Verdict `json:"verdict"`
	Accepted int           `json:"accepted"`
	Rejected int           `json:"rejected"`
}

// Complaint says what is wrong with a file that is used nevertheless; empty = nothing.
func (p *ParsedFile) Complaint() string {
	switch {
	case p.Rejected > 0:
		return fmt.Sprintf("%d rows were not understood, %d were; 'flowsnitch intel parse %s' shows them", p.Rejected, p.Accepted, p.File)
	case p.Verdict == feeds.Empty:
		return "nothing in it"
	}
	return ""
}

// BuildTable compiles the operator's lists, deny prefixes and feeds into a table, and
// tells what each file held.
func BuildTable(cfg *configs.Config, lists []string) (*intel.Table, []ParsedFile, error) {
	t, r, err := buildTable(cfg, lists)
	return t, r.parsed, err
}

func buildTable(cfg *configs.Config, lists []string) (*intel.Table, intelReport, error) {
	b := intel.NewBuilder(intel.Policy{Allow: cfg.Intel.Allow, Home: cfg.Home, MaxIndicators: cfg.Intel.MaxIndicators})
	r := intelReport{built: time.Now()}
	for _, p := range cfg.Intel.Deny {
		b.Add(intel.Indicator{Prefix: p, Feed: "deny", Score: operatorScore, Category: "deny"}, intel.OriginOperator)
	}
	var errs []error
	for _, f := range append(listFeeds(lists), cfg.Intel.Feeds...) {
		p, err := addFile(b, f, r.built)
		r.parsed = append(r.parsed, p)
		if err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, r, err
	}
	r.version = r.built.UTC().Format("20060102T150405.000Z")
	t, report := b.Build(r.version)
	r.table = report
	return t, r, nil
}

// listFeeds gives the files of --intel as feeds of the operator.
func listFeeds(lists []string) []configs.Feed {
	var out []configs.Feed
	for _, path := range lists {
		name := filepath.Base(path)
		out = append(out, configs.Feed{
			Name: strings.TrimSuffix(name, filepath.Ext(name)), File: path, Score: operatorScore, Operator: true,
		})
	}
	return out
}

// addFile parses one file into the builder.
func addFile(b *intel.Builder, f configs.Feed, now time.Time) (ParsedFile, error) {
	p := ParsedFile{Feed: f.Name, File: f.File, Format: f.Format}
	file, err := OpenList(f.File)
	if err != nil {
		return p, fmt.Errorf("list %w", err)
	}
	defer file.Close()
	origin := intel.OriginFeed
	if f.Operator {
		origin = intel.OriginOperator
	}
	r, err := feeds.Parse(file, feeds.Options{Format: f.Format, Now: now}, func(e feeds.Entry) error {
		if e.Exclude {
			b.Exclude(f.Name, e.Prefix)
			return nil
		}
		b.Add(withDefaults(e.Indicator, f), origin)
		return nil
	})
	p.Format, p.Verdict, p.Accepted, p.Rejected = r.Format, r.Verdict, r.Accepted, r.Rejected
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return p, fmt.Errorf("list %s: the compressed file ends in the middle", f.File)
	case err != nil:
		return p, fmt.Errorf("list %s: %w", f.File, err)
	case r.Verdict == feeds.Truncated || r.Verdict == feeds.Mismatch:
		return p, fmt.Errorf("list %s: %s: the document is not complete", f.File, r.Verdict)
	case r.Verdict == feeds.NoPrefix:
		return p, fmt.Errorf("list %s: no prefix in it; line %d is %q: %s", f.File, r.Samples[0].Line, r.Samples[0].Text, r.Samples[0].Reason)
	}
	return p, nil
}

// OpenList opens a file of listed prefixes. The error begins with its path, once.
func OpenList(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err == nil {
		info, e := file.Stat()
		if err = e; e == nil && info.IsDir() {
			err = errors.New("is a directory, not a list")
		}
		if err != nil {
			file.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, pathCause(err))
	}
	return file, nil
}

// pathCause strips the path that package os puts into its errors.
func pathCause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// withDefaults gives an entry the feed's name and what the entry itself leaves out.
func withDefaults(ind intel.Indicator, f configs.Feed) intel.Indicator {
	ind.Feed = f.Name
	if ind.Score == 0 {
		ind.Score = uint8(f.Score)
	}
	if ind.Category == "" {
		ind.Category = f.Category
	}
	if ind.TLP == "" {
		ind.TLP = f.TLP
	}
	return ind
}

// loadIntel builds the first table.
func (a *App) loadIntel() error {
	t, r, err := buildTable(&a.cfg, a.opts.Lists)
	if err != nil {
		return err
	}
	a.adopt(t, r)
	return nil
}

// adopt puts a table in force and says what it holds.
func (a *App) adopt(t *intel.Table, r intelReport) {
	a.store.Swap(t)
	// The old set and what the building left behind are as large as the new one.
	// On a small machine that memory is needed now, not when the collector gets
	// round to it; a hundred milliseconds of one core once a reload are cheap.
	debug.FreeOSMemory()
	a.mu.Lock()
	a.report = r
	a.mu.Unlock()
	for i := range r.parsed {
		if c := r.parsed[i].Complaint(); c != "" {
			a.log.Warn("list " + r.parsed[i].File + ": " + c)
		}
	}
	for _, f := range r.table.Feeds {
		for reason, n := range f.Refused {
			a.log.Info("entries of a feed are not used", zap.String("feed", f.Feed),
				zap.String("reason", string(reason)), zap.Int("entries", n))
		}
	}
	for _, own := range r.table.OwnListed {
		if own.Prefix.Addr().IsPrivate() || own.Prefix.Addr().IsLinkLocalUnicast() {
			continue // everybody's private space on a list is carelessness, no news
		}
		a.log.Warn("an address of our own is listed; it is not used, but it is news",
			zap.Stringer("prefix", own.Prefix), zap.String("feed", own.Feed))
	}
}

// nameExporters tells the decoder which exporters the configuration names.
func (a *App) nameExporters(exporters []correlate.Exporter) {
	var addrs []netip.Addr
	for _, e := range exporters {
		addrs = append(addrs, e.Address)
	}
	a.exporters.SetNamed(addrs)
}

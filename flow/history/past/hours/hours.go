package hours

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// openHours is how many hours are open at once. Inputs are in order but for what several
// sources, or the times of long flows, shift.
const openHours = 4

// ErrOrder is the error of an input whose rows are in no order of time.
var ErrOrder = errors.New("the rows are not in the order of time; sort them with nfdump -O tstart")

// NoExporter is the source of datagrams whose exporter is not known, as one without a source
// does not exist. In files there is none instead.
var NoExporter = netip.IPv4Unspecified()

// Config is where the files of hours go, and how they are made.
type Config struct {
	Folder   string // of the files
	Disk     disk.FS
	Recorder recorder.Config // of each hour
	Edge     bool            // write with little memory
	// Program and Home are for readers of the files.
	Program, Home string
	// Wrote is called with the path of each file; its error ends the import.
	Wrote func(path string) error
	// Ended is called with the counters of each hour.
	Ended func(recorder.Stats)
	// MostAgain is how often hours may come again without a look at how many there are; 0 = 20,000.
	MostAgain uint64
}

// Hours are the tables of an import, one for each open hour of receipt. They are the handler
// of its decoder, and belong to one goroutine.
type Hours struct {
	cfg      Config
	recorder recorder.Config // of the hours that are opened next
	open     []*hour         // the one that was used last is the last
	// evicted hours, and how many of them came again: an input that is not in the order
	// of time at all makes a file for every few rows.
	evicted, again uint64
	closed         map[int64]struct{} // hours that have been written
	rows           table.Rows
	buffer         []row.Row
}

// New makes the hours of one import, none of which is open.
func New(cfg Config) *Hours {
	if cfg.MostAgain == 0 {
		cfg.MostAgain = maxAgain
	}
	return &Hours{cfg: cfg, recorder: cfg.Recorder, closed: make(map[int64]struct{}), buffer: make([]row.Row, 0, 512)}
}

// An hour has the contacts of flows that were received within it.
type hour struct {
	at       int64 // s since 1970 UTC
	pool     *recorder.Pool
	recorder *recorder.Recorder
}

// Records puts the records of a datagram into the hour that Turn has chosen.
func (h *Hours) Records(s *decode.Set) { h.open[len(h.open)-1].recorder.Records(s) }

// Turn makes the hour of a time the one that Records uses.
func (h *Hours) Turn(ctx context.Context, t time.Time) error {
	at := t.Unix() - t.Unix()%3600
	for i, o := range h.open {
		if o.at == at {
			h.open = append(slices.Delete(h.open, i, i+1), o)
			return nil
		}
	}
	if len(h.open) == openHours {
		if err := h.evict(ctx); err != nil {
			return err
		}
	}
	if _, was := h.closed[at]; was {
		h.again++
		if h.again > h.cfg.MostAgain && h.again > h.evicted/4 {
			return ErrOrder
		}
	}
	o := &hour{at: at, pool: recorder.NewPool(h.recorder)}
	o.recorder = o.pool.Recorder()
	h.open = append(h.open, o)
	return nil
}

// maxAgain is how often hours may come again without a look at how many there are.
const maxAgain = 20_000

// WriteFull writes the tables of the hour in use that are full. It is called after each datagram.
func (h *Hours) WriteFull() error {
	o := h.open[len(h.open)-1]
	for {
		select {
		case t := <-o.pool.Handed():
			err := h.write(o, t)
			o.pool.Return(t)
			if err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// Scale prepares for flows whose counters are multiplied by the sampling rate, or are not.
func (h *Hours) Scale(ctx context.Context, is bool) error {
	if is == h.recorder.Scaled {
		return nil
	}
	if err := h.Close(ctx); err != nil {
		return err
	}
	h.recorder = h.cfg.Recorder
	if is {
		h.recorder.Scaled, h.recorder.Sampling = true, nil
	}
	return nil
}

// Close writes all hours.
func (h *Hours) Close(ctx context.Context) error {
	for len(h.open) > 0 {
		if err := h.evict(ctx); err != nil {
			return err
		}
	}
	return nil
}

// evict writes the hour that was used longest ago.
func (h *Hours) evict(ctx context.Context) error {
	o := h.open[0]
	h.open = slices.Delete(h.open, 0, 1)
	h.evicted++
	h.closed[o.at] = struct{}{}
	o.recorder.Flush()
	for _, t := range o.pool.Drain() {
		if err := h.write(o, t); err != nil {
			return err
		}
	}
	h.cfg.Ended(o.pool.Stats())
	return ctx.Err()
}

// write makes a file of a table.
func (h *Hours) write(o *hour, t recorder.Handed) error {
	if t.Table.Len() == 0 {
		return nil
	}
	cfg := &h.cfg
	from := time.Unix(o.at, 0).UTC()
	counts := t.Table.Counts()
	w, err := file.Create(passing{cfg.Disk}, cfg.Folder, file.Name{From: from, To: from.Add(time.Hour), Level: file.Hour},
		file.Form{Edge: cfg.Edge, Rows: int64(t.Table.Len())},
		file.Info{Program: cfg.Program, Home: cfg.Home, Lost: counts.Lost, Folded: counts.Folded})
	if err != nil {
		return err
	}
	defer w.Abort()
	names := o.pool.Names()
	names.Exporters = slices.Clone(names.Exporters)
	for i, a := range names.Exporters {
		if a == NoExporter {
			names.Exporters[i] = netip.Addr{}
		}
	}
	h.rows.Open(t.Table, names)
	for more := true; more; {
		h.buffer = h.buffer[:0]
		for len(h.buffer) < cap(h.buffer) && more {
			var r row.Row
			if more = h.rows.Next(&r); more {
				h.buffer = append(h.buffer, r)
			}
		}
		if err := w.Write(h.buffer); err != nil {
			return err
		}
	}
	name, err := w.Commit()
	if err != nil {
		return err
	}
	return cfg.Wrote(filepath.Join(cfg.Folder, name.Folder(), name.String()))
}

// passing is the disk for files that do not last: they need not be on it before they are merged.
type passing struct{ disk.FS }

func (p passing) Open(path string) (disk.File, error) { return p.OpenFile(path, os.O_RDONLY, 0) }

func (p passing) OpenFile(path string, flag int, mode fs.FileMode) (disk.File, error) {
	f, err := p.FS.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	return passingFile{f}, nil
}

type passingFile struct{ disk.File }

func (passingFile) Sync() error { return nil }

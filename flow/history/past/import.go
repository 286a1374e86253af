package past

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/capture/file"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/past/hours"
	"github.com/flowsnitch/flowsnitch/flow/history/past/imports"
	"github.com/flowsnitch/flowsnitch/flow/history/past/ipfix"
	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump"
	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/field"
	"github.com/flowsnitch/flowsnitch/flow/history/recorder"
	"github.com/flowsnitch/flowsnitch/flow/history/table"
)

// Config is what to import where.
type Config struct {
	Root     string // the folder of all imports, see [imports.Folder]
	Name     string // of the import, see [imports.CheckName]
	Append   bool   // add to one that is there
	MaxBytes int64  // of its files
	Edge     bool   // write them with little memory
	// Recorder decides who is inside, and what is not kept. Its Caps are those of the tables of
	// one hour, of which 4 are open at once; zero = by Edge.
	Recorder recorder.Config
	// Exporters makes what the decoder knows of exporters: limits, sites, tunnels.
	Exporters func() *decode.Exporters
	// Zone is the time zone in which nfdump ran; nil = that of this machine.
	Zone *time.Location
	// Sampling is the rate at which the flows of nfdump were sampled; 0 = not known.
	Sampling uint32
	// Exporter is that of rows of nfdump without one; invalid = none.
	Exporter netip.Addr
	// Program and Home are for readers of the files.
	Program, Home string
	// Progress is called after each datagram, with its time; may be nil.
	Progress func(time.Time)
	Disk     disk.FS
	// Space gives the free bytes and the size of a file system; nil = [disk.Space].
	Space func(path string) (free, total uint64, err error)

	mostAgain uint64 // for tests
}

// An Import is one that has begun. It belongs to one goroutine; Finish or Abort must follow.
type Import struct {
	cfg   Config
	aside *imports.Aside
	hours *hours.Hours
	total Total
}

// Errors of imports whose files need too much room.
var (
	ErrFull   = errors.New("the import is larger than history.import_max_bytes")
	ErrNoRoom = errors.New("the disk is nearly full")
)

// A Total is what became of all inputs.
type Total struct {
	// Flows by what became of them; their sum is the number of flows that were read.
	Kept, Folded, Lost, Internal, Excluded, NoAddress uint64
	// Transit are those of Kept without an end of ours.
	Transit uint64
	// Files and Bytes are what was written.
	Files, Bytes int64
	// Again are days that were in the import before. The same flows would count twice.
	Again int
}

// count adds the flows of one hour.
func (t *Total) count(s recorder.Stats) {
	t.Kept, t.Folded, t.Lost = t.Kept+s.Kept, t.Folded+s.Folded, t.Lost+s.Lost
	t.Internal, t.Excluded, t.NoAddress = t.Internal+s.Internal, t.Excluded+s.Excluded, t.NoAddress+s.NoAddress
	t.Transit += s.Transit
}

// Flows is the number of flows that were read.
func (t *Total) Flows() uint64 {
	return t.Kept + t.Folded + t.Lost + t.Internal + t.Excluded + t.NoAddress
}

// Open begins an import. Another one of the same name is an error unless it is to be added to.
func Open(cfg Config) (*Import, error) {
	if cfg.Zone == nil {
		cfg.Zone = time.Local
	}
	if cfg.Space == nil {
		cfg.Space = disk.Space
	}
	if cfg.Recorder.Caps == (table.Caps{}) {
		cfg.Recorder.Caps = table.Caps{V4: 131_072, V6: 32_768}
		if cfg.Edge {
			cfg.Recorder.Caps = table.Caps{V4: 16_384, V6: 4_096}
		}
	}
	cfg.Recorder.Early = 1 << 30 // a full table is written at once
	aside, err := imports.Begin(cfg.Disk, cfg.Root, cfg.Name, cfg.Append)
	if err != nil {
		return nil, err
	}
	im := &Import{cfg: cfg, aside: aside}
	im.hours = hours.New(hours.Config{
		Folder: aside.Folder, Disk: cfg.Disk, Recorder: cfg.Recorder, Edge: cfg.Edge, Program: cfg.Program, Home: cfg.Home,
		Wrote: im.wrote, Ended: im.total.count, MostAgain: cfg.mostAgain,
	})
	return im, nil
}

// wrote counts a file, and compares all of them with the cap and with the room on the disk. The
// files of hours are larger than those of days that they become in the end.
func (im *Import) wrote(path string) error {
	info, err := im.cfg.Disk.Stat(path)
	if err != nil {
		return err
	}
	im.total.Files++
	im.total.Bytes += info.Size()
	if total := im.total.Bytes + im.aside.Before; total > im.cfg.MaxBytes/4*5 {
		return fmt.Errorf("%w (%d MB)", ErrFull, im.cfg.MaxBytes/1e6)
	}
	return im.hasRoom()
}

// hasRoom looks at the disk.
func (im *Import) hasRoom() error {
	free, size, err := im.cfg.Space(im.cfg.Root)
	if err != nil {
		return nil // it cannot tell; writing will
	}
	if free < disk.Spare(size) {
		return fmt.Errorf("%w: %d MB of %d MB are free", ErrNoRoom, free/1e6, size/1e6)
	}
	return nil
}

// A Source is what one input was.
type Source struct {
	// Capture has its frames, with what the decoder has of them, when it was one.
	Capture *capture.Stats
	Decode  decode.Stats
	// Rows has those of nfdump otherwise.
	Rows nfdump.Report
}

// Flows is how many flows were read.
func (s *Source) Flows() uint64 { return s.Rows.Rows + s.Decode.Records() }

// Read takes one input, a capture or the output of nfdump, gzip-compressed or not; name is for
// errors, which begin with it. What was read before an error stays, until Finish or Abort.
func (im *Import) Read(ctx context.Context, name string, in io.Reader) (Source, error) {
	b, _, err := file.Unpack(in)
	if err != nil {
		return Source{}, fmt.Errorf("%s: %w", name, err)
	}
	begin, _ := b.Peek(4)
	switch {
	case file.IsCapture(begin):
		if err := im.hours.Scale(ctx, false); err != nil {
			return Source{}, fatalError{err}
		}
		return im.capture(ctx, name, b)
	case bytes.HasPrefix(begin, []byte{0x0c, 0xa5}) || bytes.HasPrefix(begin, []byte{0xa5, 0x0c}):
		return Source{}, fmt.Errorf("%s: a file of nfcapd; print it with 'nfdump -r FILE -o json' (or -o csv) and give that on standard input", name)
	case bytes.HasPrefix(begin, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return Source{}, fmt.Errorf("%s: compressed with zstd; unpack it with zstdcat and give that on standard input", name)
	}
	if err := im.hours.Scale(ctx, true); err != nil {
		return Source{}, fatalError{err}
	}
	source, err := im.rows(ctx, b)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return source, err
}

// capture reads datagrams, with exporters of its own.
func (im *Import) capture(ctx context.Context, name string, in io.Reader) (s Source, err error) {
	r, err := capture.NewReader(in, name)
	if err != nil {
		return Source{}, err
	}
	d := decode.New(im.cfg.Exporters(), im.hours)
	for err == nil {
		var dg flow.Datagram
		if dg, err = r.Next(); err != nil {
			break
		}
		dg.Frame = r.Frame()
		if dg.Received.IsZero() || dg.Received.Unix() < 0 {
			err = fmt.Errorf("%s: frame %d has no time, and without one nothing is known of when its flows were", name, dg.Frame)
			break
		}
		if err = im.take(ctx, d, &dg); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}
	stats := r.Stats()
	s.Capture, s.Decode = &stats, d.Stats()
	if errors.Is(err, io.EOF) {
		err = nil
		if s.Decode.Datagrams() == 0 {
			err = fmt.Errorf("%s: no NetFlow, IPFIX or sFlow in it", name)
		}
	}
	return s, err
}

// take decodes one datagram into the tables of its hour.
func (im *Import) take(ctx context.Context, d *decode.Decoder, dg *flow.Datagram) error {
	if err := ctx.Err(); err != nil {
		return fatalError{err}
	}
	if err := im.hours.Turn(ctx, dg.Received); err != nil {
		return fatalError{err}
	}
	d.Decode(dg)
	if err := im.hours.WriteFull(); err != nil {
		return fatalError{err}
	}
	if im.cfg.Progress != nil {
		im.cfg.Progress(dg.Received)
	}
	return nil
}

// A fatalError is one after which the import cannot go on.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// Fatal reports whether an error of Read ends the import: its folder cannot take more. Others
// are those of one input.
func Fatal(err error) bool {
	_, is := errors.AsType[fatalError](err)
	return is
}

// maxMessages is how many messages are open at once, one for each exporter.
const maxMessages = 256

// rows reads what nfdump has printed.
func (im *Import) rows(ctx context.Context, in io.Reader) (s Source, err error) {
	r, err := nfdump.NewReader(in, im.cfg.Zone)
	if err != nil {
		return Source{}, err
	}
	d := decode.New(im.cfg.Exporters(), im.hours)
	open := make(map[netip.Addr]*ipfix.Message)
	send := func(m *ipfix.Message) error {
		if m.Empty() {
			return nil
		}
		dg := m.Datagram()
		err := im.take(ctx, d, &dg)
		m.Begin(0)
		return err
	}
	// Its error ends the import, so the rest stays.
	sendAll := func() error {
		for _, m := range open {
			if err := send(m); err != nil {
				return err
			}
		}
		clear(open)
		return nil
	}
	var f field.Flow
	for err == nil {
		if err = r.Next(&f); err != nil {
			break
		}
		if !f.Exporter.IsValid() {
			f.Exporter = im.cfg.Exporter
		}
		if !f.Exporter.IsValid() {
			f.Exporter = hours.NoExporter
		}
		m := open[f.Exporter]
		if m == nil {
			if len(open) == maxMessages {
				if err = sendAll(); err != nil {
					break
				}
			}
			m = &ipfix.Message{Exporter: f.Exporter}
			open[f.Exporter] = m
		}
		if !m.Takes(&f) {
			if err = send(m); err != nil {
				break
			}
			m.Begin(f.At())
		}
		m.Add(&f, im.rate(&f))
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if !Fatal(err) {
		err = errors.Join(err, sendAll())
	}
	s.Rows = r.Report()
	return s, err
}

// unknownRate is that of rows that were sampled at a rate which nfdump does not print: it is
// at least this.
const unknownRate = 2

// rate is the sampling rate of a row. Its counters are multiplied by it already.
func (im *Import) rate(f *field.Flow) uint32 {
	switch {
	case im.cfg.Sampling > 1:
		return im.cfg.Sampling
	case f.Sampled:
		return unknownRate
	}
	return 1
}

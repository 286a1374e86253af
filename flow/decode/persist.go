package decode

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode/sampling"
	"github.com/flowsnitch/flowsnitch/flow/decode/sequence"
	"github.com/flowsnitch/flowsnitch/flow/decode/template"
)

// stateFormat is the version of the state file. A line of it is the CRC-32 (IEEE)
// of its JSON in 8 hexadecimal digits, a space, the JSON of one [stateLine] and a
// line feed. The first line is a header. Every line stands for itself, so that a
// damaged one takes nothing else along.
const stateFormat = 1

// maxStateLine bounds a line: the longest template is 64 KiB, 88 KiB in base64.
const maxStateLine = 128 << 10

// The kinds of lines.
const (
	kindHeader   = "header"
	kindExporter = "exporter"
	kindStream   = "stream"
	kindTemplate = "template"
	kindSampler  = "sampler" // of a stream; with no version, of the exporter
	kindScope    = "scope"   // the same for a part of the exporter
)

// A stateLine is one line of the state file. Kind decides which fields count.
type stateLine struct {
	Kind string `json:"kind"`

	Format int  `json:"format,omitempty"`
	Clean  bool `json:"clean,omitempty"`
	// Merits is set when First and Proven are there: files of earlier versions lack them.
	Merits bool `json:"merits,omitempty"`

	Exporter netip.Addr   `json:"exporter,omitzero"`
	Seen     time.Time    `json:"seen,omitzero"`  // when it, or the stream, last sent anything
	First    time.Time    `json:"first,omitzero"` // when it, or the stream, sent the first record
	Proven   bool         `json:"proven,omitempty"`
	Version  flow.Version `json:"version,omitempty"`
	Domain   uint32       `json:"domain,omitempty"`
	Agent    netip.Addr   `json:"agent,omitzero"`
	Port     uint16       `json:"port,omitempty"`

	Split     bool            `json:"split,omitempty"`
	Contested bool            `json:"contested,omitempty"`
	Init      int64           `json:"init,omitempty"` // ms since 1970
	Sequence  *sequence.State `json:"sequence,omitempty"`

	Options bool   `json:"options,omitempty"`
	Raw     []byte `json:"raw,omitempty"`  // the template record as it came
	Used    bool   `json:"used,omitempty"` // data came for it
	// Ports are the UDP source ports that the template came from, the latest first.
	Ports []uint16 `json:"ports,omitempty"`

	ID    *uint64  `json:"id,omitempty"` // of a sampler; none: the rate for all
	Rate  uint32   `json:"rate,omitempty"`
	Kinds uint8    `json:"kinds,omitempty"` // of the scope
	Scope []uint64 `json:"scope,omitempty"` // by place of the kind
}

// Changes counts what is new in what Save writes, other than sequence numbers: whoever
// saves on change compares it with what it was.
func (x *Exporters) Changes() uint64 { return x.changes.Load() }

// Unrest counts changes that may wait to be saved: templates that are changed to and
// fro, and what was forgotten.
func (x *Exporters) Unrest() uint64 { return x.unrest.Load() }

// Save writes templates, samplers and sequence numbers of all exporters, for Load
// after a restart. clean means that no datagram will be decoded after this: the
// flows that exporters send until Load are then known exactly by their sequence.
//
// now is by the clock that stamps datagrams, date is the calendar date then: the
// former may be years off, and set while the program runs.
func (x *Exporters) Save(w io.Writer, clean bool, now, date time.Time) error {
	var buf bytes.Buffer
	if err := appendLine(&buf, stateLine{Kind: kindHeader, Format: stateFormat, Clean: clean, Merits: true}); err != nil {
		return err
	}
	list, _ := x.all()
	for _, e := range list {
		e.mu.Lock()
		err := e.save(&buf, shift{now, date})
		e.mu.Unlock()
		if err != nil {
			return err
		}
		if _, err := buf.WriteTo(w); err != nil {
			return fmt.Errorf("state of exporters: %w", err)
		}
	}
	_, err := buf.WriteTo(w)
	if err != nil {
		return fmt.Errorf("state of exporters: %w", err)
	}
	return nil
}

func appendLine(buf *bytes.Buffer, l stateLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("state of exporters: %w", err)
	}
	fmt.Fprintf(buf, "%08x %s\n", crc32.ChecksumIEEE(b), b)
	return nil
}

// A shift puts times of one clock on another. Ages stay as they are.
type shift struct{ from, to time.Time }

func (s shift) of(t time.Time) time.Time { return s.to.Add(t.Sub(s.from)) }

// ofSome is of for a time that may not be there.
func (s shift) ofSome(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return s.of(t)
}

// save appends the lines of an exporter whose lock is held.
func (e *exporter) save(buf *bytes.Buffer, dates shift) error {
	if e.gone {
		return nil
	}
	key := stateLine{Exporter: e.addr, Seen: dates.of(e.last)}
	head := key
	head.Kind, head.Split = kindExporter, e.split
	head.First, head.Proven, head.Init = dates.ofSome(e.merit.first), e.merit.proven, e.init
	lines := append([]stateLine{head}, samplerLines(&e.samplers, key)...)
	for _, s := range e.streams {
		if s.merit.standing() == stranger && len(s.plans) == 0 {
			continue // it has sent nothing but headers
		}
		lines = append(lines, s.lines(key, dates)...)
	}
	if e.merit.standing() == stranger && len(lines) == 1 {
		return nil
	}
	for _, l := range lines {
		if err := appendLine(buf, l); err != nil {
			return err
		}
	}
	return nil
}

// lines describes a stream, its templates and its samplers; key names the
// exporter.
func (s *stream) lines(key stateLine, dates shift) []stateLine {
	key.Seen = dates.of(s.last)
	key.Version, key.Domain, key.Agent, key.Port = s.key.version, s.key.domain, s.key.agent, s.key.port
	l := key
	l.Kind, l.Init, l.Contested = kindStream, s.init, s.contested
	l.First, l.Proven = dates.ofSome(s.merit.first), s.merit.proven
	if q, ok := s.seq.State(); ok {
		q.At = dates.of(q.At)
		l.Sequence = &q
	}
	out := []stateLine{l}
	for _, first := range s.plans {
		var meanings []stateLine
		for p := first; p != nil; p = p.next {
			l := key
			l.Kind, l.Options, l.Raw, l.Used = kindTemplate, p.Options, p.Raw, p.used
			l.Ports = slices.DeleteFunc(slices.Clone(p.ports[:]), func(port uint16) bool { return port == 0 })
			meanings = append(meanings, l)
		}
		slices.Reverse(meanings) // the one that is defined last is the first to be asked
		out = append(out, meanings...)
	}
	return append(out, samplerLines(&s.samplers, key)...)
}

// samplerLines describes samplers; line names the stream or exporter that they belong to.
func samplerLines(s *sampling.Rates, line stateLine) (out []stateLine) {
	for key, rate := range s.All() {
		saved := key.Saved()
		line.Kind, line.Rate, line.ID, line.Kinds, line.Scope = kindSampler, rate, saved.ID, saved.Kinds, saved.Scope
		if saved.Kinds != 0 {
			line.Kind = kindScope
		}
		out = append(out, line)
	}
	return out
}

// A LoadReport is what Load found.
type LoadReport struct {
	Clean     bool // the program was stopped in order when this was saved
	Exporters int
	Templates int
	Samplers  int
	Damaged   int // lines that were torn, changed or make no sense: left out
	Expired   int // lines of exporters silent for longer than limits.forget: left out
	Refused   int // lines that found no room within the limits: left out
}

// Load takes up what Save wrote. It is called before the first datagram is
// decoded. Lines that are damaged are left out and counted; the error is one of
// reading, or an error about an unknown format. What was good until then is
// kept. now and date are as for Save.
func (x *Exporters) Load(r io.Reader, now, date time.Time) (LoadReport, error) {
	l := loader{x: x, now: now, clock: shift{date, now}, known: make(map[*exporter]bool)}
	in := bufio.NewReaderSize(r, maxStateLine)
	for n := 1; ; n++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return l.report, nil
		}
		if err == nil {
			err = l.line(line)
		}
		if err != nil {
			return l.report, fmt.Errorf("state of exporters, line %d: %w", n, err)
		}
	}
}

// readLine gives the next line, or no line of ours for one that is too long. The error is io.EOF only when there is nothing more.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		line = []byte("too long")
		_, err = in.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) && len(line) > 0 {
		return line, nil
	}
	return line, err
}

// A loader is a Load at work.
type loader struct {
	x      *Exporters
	now    time.Time
	clock  shift              // from dates
	merits bool               // the file has them
	known  map[*exporter]bool // by a line before
	report LoadReport
}

// line takes one line.
func (l *loader) line(b []byte) error {
	s, ok := parseLine(b)
	s.Seen = l.clock.of(s.Seen)
	switch {
	case !ok:
		l.report.Damaged++
	case s.Kind == kindHeader && s.Format != stateFormat:
		return fmt.Errorf("format %d is not known, only %d", s.Format, stateFormat)
	case s.Kind == kindHeader:
		l.report.Clean, l.merits = s.Clean, s.Merits
	case !s.Exporter.IsValid():
		l.report.Damaged++
	case l.now.Sub(s.Seen) > l.x.limits.Forget:
		l.report.Expired++
	default:
		l.exporterLine(s)
	}
	return nil
}

// parseLine checks and reads a line.
func parseLine(b []byte) (s stateLine, ok bool) {
	if len(b) < 10 || b[8] != ' ' || b[len(b)-1] != '\n' {
		return s, false
	}
	sum, err := strconv.ParseUint(string(b[:8]), 16, 32)
	b = b[9 : len(b)-1]
	if err != nil || uint32(sum) != crc32.ChecksumIEEE(b) {
		return s, false
	}
	return s, json.Unmarshal(b, &s) == nil
}

// exporterLine takes a line about an exporter.
func (l *loader) exporterLine(s stateLine) {
	e := l.exporter(s)
	if e == nil {
		l.report.Refused++
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !l.known[e] || s.Seen.After(e.last) {
		e.last, l.known[e] = s.Seen, true
	}
	switch {
	case s.Kind == kindExporter:
		l.report.Exporters++
		e.split, e.init = s.Split, s.Init
		e.merit = l.merit(s)
	case (s.Kind == kindSampler || s.Kind == kindScope) && s.Version == 0:
		l.sampler(e, nil, &e.samplers, s)
	default:
		l.streamLine(e, s)
	}
}

// exporter finds the exporter of a line, or makes room for it. In a full table only one
// that is proven may let another give way.
func (l *loader) exporter(s stateLine) *exporter {
	addr := s.Exporter.Unmap()
	if e := l.x.byAddr[addr]; e != nil {
		return e
	}
	mayDisplace := s.Kind == kindExporter && (s.Proven || !l.merits)
	if len(l.x.byAddr) >= l.x.limits.Exporters && !l.x.isNamed(addr) && !mayDisplace {
		return nil
	}
	e, _ := l.x.get(addr, l.now)
	return e
}

// streamLine takes a line about a stream.
func (l *loader) streamLine(e *exporter, s stateLine) {
	if s.Version.String() == "unknown" {
		l.report.Damaged++
		return
	}
	st, _ := l.x.stream(e, streamKey{version: s.Version, domain: s.Domain, agent: s.Agent.Unmap(), port: s.Port})
	if st == nil {
		l.report.Refused++
		return
	}
	switch s.Kind {
	case kindStream:
		st.init, st.last, st.contested = s.Init, s.Seen, s.Contested
		st.merit = l.merit(s)
		if s.Sequence != nil {
			s.Sequence.At = l.clock.of(s.Sequence.At)
			st.seq.Resume(*s.Sequence, !l.report.Clean)
		}
	case kindTemplate:
		l.template(e, st, s)
	case kindSampler, kindScope:
		l.sampler(e, st, &st.samplers, s)
		l.report.Samplers++
	default:
		l.report.Damaged++
	}
}

// merit is that of an exporter or a stream. A file of an earlier version does not have it:
// its exporters were proven by their templates.
func (l *loader) merit(s stateLine) merit {
	if !l.merits {
		return merit{first: s.Seen, latest: s.Seen, several: true, proven: true}
	}
	first := l.clock.ofSome(s.First)
	return merit{first: first, latest: first, proven: s.Proven}
}

// sampler takes a sampling rate of a stream, or with no stream of the exporter.
func (l *loader) sampler(e *exporter, st *stream, to *sampling.Rates, s stateLine) {
	saved := sampling.Saved{ID: s.ID}
	if s.Kind == kindScope {
		saved.Kinds, saved.Scope = s.Kinds, s.Scope
	}
	key, ok := saved.Key()
	switch {
	case s.Rate > sampling.MaxRate, !ok, s.Kind == kindScope && s.Kinds == 0:
		l.report.Damaged++
	case key != (sampling.Key{}) && !to.Has(key) && (to.Len() >= l.x.limits.Samplers || !l.x.room(e, st, samplerCost)):
		l.report.Refused++
	default:
		to.Set(key, s.Rate)
	}
}

// template takes a template record, as suspicious as if it came from the network.
func (l *loader) template(e *exporter, st *stream, s stateLine) {
	plan := wholeTemplate(s.Version, s.Raw, s.Options)
	if plan == nil {
		l.report.Damaged++
		return
	}
	p := &definition{Plan: *plan, used: s.Used || !l.merits, seen: s.Seen}
	copy(p.ports[:], s.Ports)
	switch {
	case !l.x.define(e, st, p):
		l.report.Refused++
	default:
		l.report.Templates++
	}
}

// wholeTemplate compiles a record that is exactly one valid template, else nil.
func wholeTemplate(v flow.Version, raw []byte, options bool) (p *template.Plan) {
	if v != flow.V9 && v != flow.IPFIX {
		return nil
	}
	templateRecords(uint8(v), options, raw, func(_ uint16, rec []byte, reason Reason) {
		if reason == "" && len(rec) == len(raw) {
			p, _ = template.Compile(uint8(v), options, rec)
		}
	})
	return p
}

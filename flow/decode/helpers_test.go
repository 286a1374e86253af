package decode_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// collector keeps every record, built in full.
type collector struct {
	records []flow.Record
	frames  []int
}

func (c *collector) Records(s *decode.Set) {
	for i := range s.Len() {
		var r flow.Record
		s.Record(i, &r)
		c.records = append(c.records, r)
		c.frames = append(c.frames, s.Frame())
	}
}

// exportTime is the time in the headers of hand-made datagrams, uptime the
// sysUptime in them, ms.
var exportTime = time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)

const uptime = 3_600_000

// A bench is a decoder on the table, with everything that it finds.
type bench struct {
	collector
	t   testing.TB
	x   *decode.Exporters
	d   *decode.Decoder
	now time.Time
	src netip.AddrPort
	// frame counts the datagrams.
	frame int
	// once: records are built once only, as each time counts what is wrong with them.
	once bool
}

// Records keeps the records, which must be those of the columns.
func (b *bench) Records(s *decode.Set) {
	b.collector.Records(s)
	if !b.once {
		checkColumns(b.t, s, decode.WantRate)
	}
}

func newBench(t testing.TB) *bench { return newBenchLimits(t, decode.DefaultLimits()) }

func newBenchLimits(t testing.TB, l decode.Limits) *bench {
	t.Helper()
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, x: decode.NewExporters(l), now: exportTime, src: netip.MustParseAddrPort("192.0.2.1:50000")}
	b.d = decode.New(b.x, b)
	return b
}

// send decodes payloads, one datagram each.
func (b *bench) send(payloads ...[]byte) {
	for _, p := range payloads {
		b.frame++
		b.d.Decode(&flow.Datagram{Payload: p, Source: b.src, Received: b.now, Frame: b.frame})
	}
}

// take gives the records found since the last call.
func (b *bench) take() []flow.Record {
	out := b.records
	b.records, b.frames = nil, nil
	return out
}

// one gives the only record found since the last call.
func (b *bench) one() flow.Record {
	b.t.Helper()
	rs := b.take()
	if len(rs) != 1 {
		b.t.Fatalf("%d records, want 1; problems: %v", len(rs), b.d.Stats().Problems)
	}
	return rs[0]
}

// problems checks the counters: these and no others.
func (b *bench) problems(want map[decode.Reason]uint64) {
	b.t.Helper()
	got := b.d.Stats().Problems
	for r, n := range want {
		if got[r] != n {
			b.t.Errorf("%s counted %d times, want %d", r, got[r], n)
		}
	}
	for r, n := range got {
		if want[r] == 0 {
			b.t.Errorf("%s counted %d times, want none", r, n)
		}
	}
}

// stream gives the status of the only stream of the only exporter.
func (b *bench) stream() decode.StreamStatus {
	b.t.Helper()
	all := b.x.Snapshot()
	if len(all) != 1 || len(all[0].Streams) != 1 {
		b.t.Fatalf("want one exporter with one stream, have %+v", all)
	}
	return all[0].Streams[0]
}

// A fld is a field of a template; pen is 0 for the elements of the registry.
type fld struct {
	ie, len uint16
	pen     uint32
}

// u16, u32 and u64 put numbers into bytes, big-endian.
func u16(v ...uint16) (b []byte) {
	for _, x := range v {
		b = binary.BigEndian.AppendUint16(b, x)
	}
	return b
}

func u32(v ...uint32) (b []byte) {
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

func u64(v ...uint64) (b []byte) {
	for _, x := range v {
		b = binary.BigEndian.AppendUint64(b, x)
	}
	return b
}

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func ip(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

func fieldBytes(fields []fld) (b []byte) {
	for _, f := range fields {
		if f.pen == 0 {
			b = append(b, u16(f.ie, f.len)...)
		} else {
			b = append(append(b, u16(f.ie|0x8000, f.len)...), u32(f.pen)...)
		}
	}
	return b
}

// template is a template record, of v9 and IPFIX alike.
func template(id uint16, fields ...fld) []byte {
	return cat(u16(id, uint16(len(fields))), fieldBytes(fields))
}

// optionsTemplate9 and optionsTemplate10 are options template records.
func optionsTemplate9(id uint16, scopes, options []fld) []byte {
	return cat(u16(id, uint16(4*len(scopes)), uint16(4*len(options))), fieldBytes(scopes), fieldBytes(options))
}

func optionsTemplate10(id uint16, scopes, options []fld) []byte {
	return cat(u16(id, uint16(len(scopes)+len(options)), uint16(len(scopes))), fieldBytes(scopes), fieldBytes(options))
}

// set is a set with its header.
func set(id uint16, body ...[]byte) []byte {
	b := cat(body...)
	return cat(u16(id, uint16(4+len(b))), b)
}

// header9 and header10 make datagrams of domain 7.
func header9(seq uint32, sets ...[]byte) []byte {
	return cat(u16(9, uint16(len(sets))), u32(uptime, uint32(exportTime.Unix()), seq, 7), cat(sets...))
}

func header10(seq uint32, sets ...[]byte) []byte {
	b := cat(sets...)
	return cat(u16(10, uint16(16+len(b))), u32(uint32(exportTime.Unix()), seq, 7), b)
}

// message makes a datagram of either version.
func message(v flow.Version, seq uint32, sets ...[]byte) []byte {
	if v == flow.V9 {
		return header9(seq, sets...)
	}
	return header10(seq, sets...)
}

// templateSet and optionsSet have the set ids of the version.
func templateSet(v flow.Version, records ...[]byte) []byte {
	if v == flow.V9 {
		return set(0, records...)
	}
	return set(2, records...)
}

func optionsSet(v flow.Version, id uint16, scopes, options []fld) []byte {
	if v == flow.V9 {
		return set(1, optionsTemplate9(id, scopes, options))
	}
	return set(3, optionsTemplate10(id, scopes, options))
}

// record decodes one record of a template of its own.
func record(t *testing.T, v flow.Version, fields []fld, values ...[]byte) flow.Record {
	t.Helper()
	b := newBench(t)
	b.send(message(v, 0, templateSet(v, template(300, fields...)), set(300, values...)))
	return b.one()
}

// ends are the fields of an IPv4 pair, and a value for them.
var (
	ends   = []fld{{ie: 8, len: 4}, {ie: 12, len: 4}}
	pairAB = cat(ip("192.0.2.10"), ip("198.51.100.20"))
)

// both runs a test for v9 and IPFIX.
func both(t *testing.T, f func(t *testing.T, v flow.Version)) {
	for _, v := range []flow.Version{flow.V9, flow.IPFIX} {
		t.Run(v.String(), func(t *testing.T) { f(t, v) })
	}
}

// within fails the test when f takes longer than any work could: a hang detector.
func within(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("still at work after 10 s")
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// stateLine makes a line of a state file.
func stateLine(text string) string {
	return fmt.Sprintf("%08x %s\n", crc32.ChecksumIEEE([]byte(text)), text)
}

// rounds is how often one goroutine alone repeats something: a tenth of it with the race
// detector, which makes it ten times slower and has nothing to find there.
func rounds(n int) int {
	if raceDetector {
		return n / 10
	}
	return n
}

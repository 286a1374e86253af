package decode_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
)

// columnChecker compares the columns of every set with the records built from it.
type columnChecker struct {
	t *testing.T
	// exact wants nothing in the columns that the record does not show. Records
	// have room for two pairs of addresses; the columns have all of them.
	exact   bool
	records int
	d       *decode.Decoder
}

func newColumnChecker(t *testing.T, exact bool) *columnChecker {
	c := &columnChecker{t: t, exact: exact}
	c.d = decode.New(decode.NewExporters(decode.DefaultLimits()), c)
	return c
}

func (c *columnChecker) Records(s *decode.Set) {
	c.t.Helper()
	checkColumns(c.t, s, decode.Want(c.records))
	rows := columnRows(c.t, s)
	for i := range s.Len() {
		var r flow.Record
		s.Record(i, &r)
		shown := map[netip.Addr]bool{}
		for side := range flow.NumSides {
			a, _ := r.At(side)
			if !a.IsValid() || a.IsUnspecified() {
				continue
			}
			shown[a] = true
			if !rows[i][a] {
				c.t.Errorf("%v is %v of record %d, but not in the columns (template %d of %v)", a, side, i, r.Template, s.Exporter())
			}
		}
		for a := range rows[i] {
			if c.exact && !shown[a] {
				c.t.Errorf("%v is in the columns of record %d, but the record has it nowhere (template %d of %v)", a, i, r.Template, s.Exporter())
			}
		}
	}
	c.records += s.Len()
}

// columnRows gives the addresses in the columns by row, but for empty ones.
func columnRows(t *testing.T, s *decode.Set) []map[netip.Addr]bool {
	t.Helper()
	rows := make([]map[netip.Addr]bool, s.Len())
	for i := range rows {
		rows[i] = map[netip.Addr]bool{}
	}
	add := func(row int, a netip.Addr) {
		if row < 0 || row >= len(rows) {
			t.Fatalf("row %d of %d", row, len(rows))
		}
		if a = a.Unmap(); !a.IsUnspecified() {
			rows[row][a] = true
		}
	}
	for i, a := range s.V4 {
		add(s.Row4(i), flow.Addr4(a))
	}
	for i, a := range s.V6 {
		add(s.Row6(i), a.Addr())
	}
	return rows
}

func TestColumnsOfCorpus(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(corpus(t), "*.pcap"))
	total := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := newColumnChecker(t, true)
			eachDatagram(t, file, c.d.Decode)
			total += c.records
		})
	}
	if total < 4000 {
		t.Errorf("only %d records were compared", total)
	}
}

// randomTemplate draws fields with a liking for addresses.
func randomTemplate(r *rand.Rand, v flow.Version) []fld {
	choice := []fld{
		{ie: 8, len: 4}, {ie: 12, len: 4}, {ie: 27, len: 16}, {ie: 28, len: 16},
		{ie: 225, len: 4}, {ie: 226, len: 4}, {ie: 281, len: 16}, {ie: 282, len: 16},
		{ie: 8, len: 4}, {ie: 12, len: 4}, {ie: 7, len: 2}, {ie: 11, len: 2}, {ie: 1, len: 8}, {ie: 82, len: 65535},
		{ie: 4, len: 1}, {ie: 89, len: 1}, {ie: 239, len: 1}, {ie: 232, len: 4}, {ie: 6, len: 1, pen: 29305}, {ie: 227, len: 2}, {ie: 139, len: 2}, {ie: 50, len: 2}, {ie: 48, len: 1},
		{ie: 8, len: 3}, {ie: 27, len: 65535}, {ie: 210, len: 1}, {ie: 315, len: 60}, {ie: 313, len: 65535}, {ie: 34, len: 4},
	}
	if v == flow.IPFIX {
		choice = append(choice, fld{ie: 881, len: 4, pen: 6876}, fld{ie: 884, len: 16, pen: 6876})
	} else {
		choice = append(choice, fld{ie: 40001, len: 4}, fld{ie: 40002, len: 4})
	}
	fields := make([]fld, 1+r.IntN(8))
	for i := range fields {
		fields[i] = choice[r.IntN(len(choice))]
	}
	return fields
}

// randomRecord draws values, among them empty and mapped addresses and packets.
func randomRecord(r *rand.Rand, fields []fld) (b []byte) {
	packet := ipv4Packet("192.0.2.10", "198.51.100.20", 4, ipv4Packet("10.0.0.1", "10.0.0.2", 17, nil))
	for _, f := range fields {
		n := int(f.len)
		if f.len == 65535 {
			n = []int{0, 3, 16, 40, 60}[r.IntN(5)]
			b = append(b, byte(n))
		}
		v := make([]byte, n)
		switch r.IntN(4) {
		case 0: // empty
		case 1:
			copy(v, ip("::ffff:203.0.113.5"))
		default:
			for i := range v {
				v[i] = byte(r.Uint32())
			}
		}
		if n >= 40 {
			copy(v, packet)
		}
		b = append(b, v...)
	}
	return b
}

func TestColumnsOfRandomTemplates(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	both(t, func(t *testing.T, v flow.Version) {
		c := newColumnChecker(t, false)
		n := rounds(3000)
		for i := range n {
			fields := randomTemplate(r, v)
			var body []byte
			for range 1 + r.IntN(5) {
				body = append(body, randomRecord(r, fields)...)
			}
			p := message(v, uint32(i), templateSet(v, template(300, fields...)), set(300, body))
			c.d.Decode(&flow.Datagram{Payload: p, Source: addrPort("192.0.2.1:5"), Received: exportTime})
			if t.Failed() {
				t.Fatalf("with the template %v", fmt.Sprint(fields))
			}
		}
		if c.records < n {
			t.Errorf("only %d records were compared", c.records)
		}
	})
}

// an IPv4-mapped IPv6 address is matched among the IPv4 addresses.
func TestColumnsOfMappedAddress(t *testing.T) {
	both(t, func(t *testing.T, v flow.Version) {
		var rows []int
		d := decode.New(decode.NewExporters(decode.DefaultLimits()), handlerFunc(func(s *decode.Set) {
			for i, a := range s.V4 {
				if a == 0xc000020a {
					rows = append(rows, s.Row4(i))
				}
			}
		}))
		d.Decode(&flow.Datagram{Source: addrPort("192.0.2.1:5"), Received: exportTime, Payload: message(v, 0,
			templateSet(v, template(300, fld{ie: 27, len: 16}, fld{ie: 28, len: 16})),
			set(300, ip("2001:db8::1"), ip("2001:db8::2"), ip("2001:db8::1"), ip("::ffff:192.0.2.10")))})
		if len(rows) != 1 || rows[0] != 1 {
			t.Errorf("rows %v, want [1]", rows)
		}
	})
}

type handlerFunc func(s *decode.Set)

func (f handlerFunc) Records(s *decode.Set) { f(s) }

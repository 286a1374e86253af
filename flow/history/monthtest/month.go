// Package monthtest invents the contacts of a site for as many days as a test wants: half of
// the rows are scans from the internet without an answer, half are those of users, who visit
// few servers often and many servers once (Zipf). The same numbers give the same rows. It is
// imported by tests alone.
package monthtest

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// A Month is a site whose contacts are always the same for the same fields.
type Month struct {
	Seed  uint64
	Start time.Time // midnight UTC before the first day
	Rows  int       // of a day, roughly; 7,000,000 is 2,000 flows/s at 25 flows per row
}

// The site and its internet.
const (
	servers  = 4_000_000
	scanners = 60_000
	users    = 1200
	scanned  = 4096 // addresses of the site, users among them
	v6       = 10   // percent of servers and scanners
)

// visits are the contacts that one server can have in a day: each user by two services and
// four exporters.
const visits = users * 8

var exporters = [4]netip.Addr{
	netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.AddrFrom4([4]byte{192, 0, 2, 2}),
	netip.AddrFrom4([4]byte{192, 0, 2, 3}), netip.AddrFrom4([4]byte{192, 0, 2, 4}),
}

// A population is a number of addresses in ascending order, the i-th of which has a rank that
// seems to have nothing to do with it. The mean number of rows a day falls as 1/rank.
type population struct {
	count  uint64
	factor uint64 // rank = i * factor mod count, with no common divisor
	odd    bool   // of the two populations one has the odd addresses, so that they never meet
	most   float64
	scale  float64
}

func newPopulation(count uint64, odd bool, rows, most float64) *population {
	p := &population{count: count, factor: 2_654_435_761, odd: odd, most: most}
	// The scale with which the means add up to rows.
	low, high := 0.0, rows
	for range 100 {
		p.scale = (low + high) / 2
		k := min(math.Floor(p.scale/most), float64(count)) // so many have the most
		if k*most+p.scale*(harmonic(float64(count))-harmonic(k)) < rows {
			low = p.scale
		} else {
			high = p.scale
		}
	}
	return p
}

// harmonic is 1 + 1/2 + ... + 1/n, nearly.
func harmonic(n float64) float64 {
	if n < 1 {
		return 0
	}
	return math.Log(n) + 0.5772156649 + 1/(2*n)
}

func (p *population) rank(i uint64) uint64     { return i * p.factor % p.count }
func (p *population) mean(rank uint64) float64 { return min(p.scale/float64(rank+1), p.most) }
func (p *population) four() uint64             { return p.count * (100 - v6) / 100 }
func mix(x uint64) uint64 {
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

// address gives the i-th address. IPv4 is spread from 11.0.0.0 to 223.255.255.255, IPv6 over
// 2a00::/11 or so.
func (p *population) address(i uint64) flow.Addr6 {
	low := uint64(0)
	if p.odd {
		low = 1
	}
	if n := p.four(); i < n {
		const first, all = 11 << 24, 213 << 24
		step := all / n &^ 1
		return flow.Addr6{Lo: 0xffff_0000_0000 | (first+i*step+mix(i)%step)&^1 | low}
	}
	i -= p.four()
	step := uint64(1<<53) / p.count
	return flow.Addr6{Hi: 0x2a00<<48 + i*step + mix(i)%step, Lo: mix(i)&^1 | low}
}

// A side is a population on its way through one day.
type side struct {
	*population
	next uint64
	rows []row.Row // of the least address that has any, not yet taken
	fill func(outside flow.Addr6, rank uint64, n int, rows []row.Row) []row.Row
}

// advance gets the rows of the next address that has any; false at the end.
func (s *side) advance(r *rand.Rand) bool {
	for s.next < s.count {
		i := s.next
		s.next++
		rank := s.rank(i)
		if n := poisson(r, s.mean(rank)); n > 0 {
			s.rows = s.fill(s.address(i), rank, n, s.rows[:0])
			return true
		}
	}
	s.rows = s.rows[:0]
	return false
}

// Day gives the rows of a day, numbered from 0, in the order of a file. They belong to the
// call of emit.
func (m Month) Day(day int, emit func([]row.Row) error) error {
	r := rand.New(rand.NewPCG(m.Seed, uint64(day)))
	d := maker{r: r, start: uint32(m.Start.AddDate(0, 0, day).Unix())}
	visited, scans := m.sides()
	visited.fill, scans.fill = d.visits, d.scans
	visited.advance(r)
	scans.advance(r)
	for len(visited.rows) > 0 || len(scans.rows) > 0 {
		least := visited
		if len(visited.rows) == 0 || len(scans.rows) > 0 && row.Compare(&scans.rows[0], &visited.rows[0]) < 0 {
			least = scans
		}
		if err := emit(least.rows); err != nil {
			return err
		}
		least.advance(r)
	}
	return nil
}

func (m Month) sides() (visited, scans *side) {
	half := float64(m.Rows) / 2
	return &side{population: newPopulation(servers, false, half, visits*0.9)}, &side{population: newPopulation(scanners, true, half, 400_000)}
}

// Busiest gives the n addresses with the most contacts with users, the first one first.
func (m Month) Busiest(n int) []netip.Addr {
	p, _ := m.sides()
	list := make([]netip.Addr, min(n, servers))
	for i := range p.count {
		if rank := p.rank(i); rank < uint64(len(list)) {
			list[rank] = p.address(i).Addr().Unmap()
		}
	}
	return list
}

// Strangers gives n addresses, nine of ten of them IPv4, of which about one in a thousand has
// ever been met.
func (m Month) Strangers(n int) []netip.Addr {
	r := rand.New(rand.NewPCG(m.Seed, 1<<40))
	list := make([]netip.Addr, n)
	for i := range list {
		a := flow.Addr6{Hi: 0x2a00<<48 + r.Uint64N(1<<53), Lo: r.Uint64()}
		if r.IntN(100) >= v6 {
			a = flow.Addr6{Lo: 0xffff_0000_0000 | (11<<24 + r.Uint64N(213<<24))}
		}
		list[i] = a.Addr().Unmap()
	}
	return list
}

// Write writes the file of a day below root.
func (m Month) Write(f disk.FS, root string, day int, form file.Form) (file.Name, error) {
	from := m.Start.AddDate(0, 0, day)
	form.Rows = int64(m.Rows)
	w, err := file.Create(f, root, file.Name{From: from, To: from.AddDate(0, 0, 1), Level: file.Day}, form, file.Info{Program: "monthtest"})
	if err != nil {
		return file.Name{}, err
	}
	defer w.Abort()
	if err := m.Day(day, w.Write); err != nil {
		return file.Name{}, err
	}
	return w.Commit()
}

// A maker makes the rows of a day.
type maker struct {
	r     *rand.Rand
	start uint32
	picks []uint64
}

// pick gives up to n different numbers below limit in ascending order.
func (d *maker) pick(n int, limit uint64) []uint64 {
	d.picks = d.picks[:0]
	for range n {
		d.picks = append(d.picks, d.r.Uint64N(limit))
	}
	slices.Sort(d.picks)
	d.picks = slices.Compact(d.picks)
	return d.picks
}

// visits makes the contacts of users with a server.
func (d *maker) visits(outside flow.Addr6, rank uint64, n int, rows []row.Row) []row.Row {
	h := mix(rank + 77)
	first, second := uint16(443), uint16(443)
	switch h % 16 {
	case 0, 1:
		first = 80
	case 2:
		first = 22 + uint16(h>>8%16)
	case 3:
		first, second = uint16(h>>16)|1024, uint16(h>>32)|1024
	}
	if float64(n) > visits/4 { // numbers that come twice count once; this is how many it takes
		n = int(-visits * math.Log(1-min(float64(n), visits*0.95)/visits))
	}
	for _, key := range d.pick(n, visits) {
		one := d.any(outside, d.inside(outside, uint32(key/8)), uint8(key%4))
		one.Protocol, one.Port, one.Direction, one.Flags = 6, first, row.Outbound, row.Answered
		if key/4%2 == 1 {
			one.Protocol, one.Port = 17, second
		}
		one.Flows = uint32(d.logNormal(1, 1.2))
		one.PacketsOut, one.PacketsIn = uint64(one.Flows)*d.logNormal(2, 1.3), uint64(one.Flows)*d.logNormal(2.3, 1.3)
		one.BytesOut, one.BytesIn = one.PacketsOut*d.logNormal(4.8, 0.7), one.PacketsIn*d.logNormal(6.2, 0.8)
		d.date(&one, uint32(d.logNormal(5, 2.5)))
		rows = append(rows, one)
	}
	return rows
}

// scans makes the contacts of a scanner.
func (d *maker) scans(outside flow.Addr6, rank uint64, n int, rows []row.Row) []row.Row {
	usual := [16]uint16{22, 23, 80, 443, 445, 1433, 2222, 3306, 3389, 5060, 5432, 5900, 6379, 8080, 8443, 9200}
	limit := uint64(scanned * 65536 * 4)
	if rank%2 == 0 {
		limit = scanned * uint64(len(usual)) * 4
	}
	for _, key := range d.pick(n, limit) {
		var port uint16
		var host uint64
		if rank%2 == 0 {
			port, host = usual[key/4%16], key/64
		} else {
			port, host = uint16(key/4), key/(65536*4)
		}
		one := d.any(outside, d.inside(outside, uint32(host)), uint8(key%4))
		one.Protocol, one.Port, one.Direction = 6, port, row.Inbound
		one.Flows = 1 + uint32(d.r.IntN(8)/7)
		one.PacketsIn = uint64(one.Flows)
		one.BytesIn = one.PacketsIn * [...]uint64{40, 44, 60}[rank%3]
		d.date(&one, 0)
		rows = append(rows, one)
	}
	return rows
}

// any makes a row with what all rows have.
func (d *maker) any(outside, inside flow.Addr6, exporter uint8) row.Row {
	return row.Row{Outside: outside, Inside: inside, Exporter: exporters[exporter], Sampling: 1}
}

// inside gives one of the addresses of the site, of the family of outside.
func (d *maker) inside(outside flow.Addr6, n uint32) flow.Addr6 {
	if outside.Hi != 0 {
		return flow.Addr6{Hi: 0x20010db8_00000001, Lo: uint64(n) + 0x100}
	}
	return flow.Addr6{Lo: 0xffff_0000_0000 | 10<<24 | uint64(n)}
}

// date sets when a contact was, within the day.
func (d *maker) date(one *row.Row, seconds uint32) {
	at := d.r.Uint32N(86400)
	end := min(at+seconds, 86399)
	one.First, one.Last = d.start+at, d.start+end
	for hour := at / 3600; hour <= end/3600; hour++ {
		one.Hours |= 1 << hour
	}
}

// logNormal gives a whole number from 1 on, with mean and deviation of its logarithm.
func (d *maker) logNormal(mean, deviation float64) uint64 {
	return uint64(max(1, min(math.Exp(mean+deviation*d.r.NormFloat64()), 1e9)))
}

// poisson draws a number with a mean.
func poisson(r *rand.Rand, mean float64) int {
	if mean > 50 {
		return int(max(0, mean+math.Sqrt(mean)*r.NormFloat64()+0.5))
	}
	n, p, limit := 0, r.Float64(), math.Exp(-mean)
	for p > limit {
		p *= r.Float64()
		n++
	}
	return n
}

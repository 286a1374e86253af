// Package question has what a hunt can be asked: a [Question] with its limits, how it is sent
// to the running instance ([Question.WriteTo], [Read]), and the list of indicators that it
// may be made from ([ReadList]). 'flowsnitch hunt' makes questions, the running instance
// reads and checks them, and package hunt finds the answers.
package question

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/span"
	"github.com/flowsnitch/flowsnitch/intel"
)

// A Question is what is looked for. A row is an answer if it meets all that is set.
type Question struct {
	// Ranges are addresses outside, sorted and joined, see [file.Ranges].
	Ranges []span.Range `json:"-"`
	// Feed stands for the entries of a feed, which the running instance knows best.
	Feed string `json:"feed,omitempty"`
	// Since and Until bound the time of the contacts, both included; zero = open.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Hosts are ours; none = all of them.
	Hosts []netip.Prefix `json:"hosts,omitempty"`
	// Ports are those of the service; none = all.
	Ports []uint16 `json:"ports,omitempty"`
	// Limit ends the answer after so many rows; 0 = all rows.
	Limit int `json:"limit,omitempty"`
	// Import names a history of the past instead of the live one.
	Import string `json:"import,omitempty"`
	// Force lets ranges pass that Check would refuse.
	Force bool `json:"force,omitempty"`
	// Embedding finds IPv4 addresses within IPv6 ones, by the configuration of who answers.
	Embedding *intel.Embedding `json:"-"`
	// Kept leaves out what is not on disk yet, so that nothing is written for the question.
	Kept bool `json:"kept,omitempty"`
}

// Limits of a question: widest ranges are a /8 of IPv4 and a /16 of IPv6, which are what a
// person may mean.
const (
	maxHosts = 1000
	maxPorts = 1000
	wide4    = 1<<24 - 1      // in the lower half
	wide6    = 1<<(64-16) - 1 // in the upper half
)

// Check returns why a question is refused, and how many of its ranges are ours as a whole:
// nothing can be found for these, as the history has ours by whom they were in contact with.
func (q *Question) Check(home []span.Range) (ours int, err error) {
	switch {
	case len(q.Ranges) == 0:
		return 0, errors.New("no address to look for")
	case len(q.Hosts) > maxHosts || len(q.Ports) > maxPorts:
		return 0, fmt.Errorf("%d hosts and %d ports; at most %d of each are allowed", len(q.Hosts), len(q.Ports), maxHosts)
	case !q.Since.IsZero() && !q.Until.IsZero() && q.Until.Before(q.Since):
		return 0, fmt.Errorf("the time ends (%s) before it begins (%s)", q.Until.UTC().Format(time.RFC3339), q.Since.UTC().Format(time.RFC3339))
	}
	var first span.Range
	for _, r := range q.Ranges {
		if !q.Force && len(q.Hosts) == 0 && wide(r) {
			return 0, fmt.Errorf("%s is more than a /8 (IPv6: a /16), nearly all contacts that there were; name a host of yours with --host to see what that one was in contact with, or take all of them with --force", text(r))
		}
		if span.Within(home, r) {
			if ours++; ours == 1 {
				first = r
			}
		}
	}
	if ours == len(q.Ranges) && !q.Force {
		return ours, fmt.Errorf("%s is in home: the history has your hosts by the addresses that they were in contact with; 'flowsnitch hunt --host %s' shows what it was in contact with (--force looks for it as an address outside)", text(first), text(first))
	}
	return ours, nil
}

func wide(r span.Range) bool {
	if r.From.Is4() {
		return r.To.Lo-r.From.Lo > wide4
	}
	return r.To.Hi-r.From.Hi > wide6
}

// without takes ranges away from others; both are sorted and joined.
func without(from, away []span.Range) []span.Range {
	if len(away) == 0 {
		return from
	}
	var out []span.Range
	for _, r := range from {
		i := span.From(away, r.From)
		for ; i < len(away) && away[i].From.Compare(r.To) <= 0; i++ {
			if r.From.Compare(away[i].From) < 0 {
				out = append(out, span.Range{From: r.From, To: before(away[i].From)})
			}
			r.From = after(away[i].To)
			if r.From == (flow.Addr6{}) || r.From.Compare(r.To) > 0 { // nothing is left
				r.From = flow.Addr6{Hi: ^uint64(0), Lo: ^uint64(0)}
				r.To = flow.Addr6{}
				break
			}
		}
		if r.From.Compare(r.To) <= 0 {
			out = append(out, r)
		}
	}
	return out
}

func before(a flow.Addr6) flow.Addr6 {
	if a.Lo == 0 {
		a.Hi--
	}
	a.Lo--
	return a
}

func after(a flow.Addr6) flow.Addr6 {
	if a.Lo++; a.Lo == 0 {
		a.Hi++
	}
	return a
}

// text gives a range as people write it: an address, a prefix, or both ends.
func text(r span.Range) string {
	from, to := r.From.Addr().Unmap(), r.To.Addr().Unmap()
	if from == to {
		return from.String()
	}
	for bits := range from.BitLen() {
		p := netip.PrefixFrom(from, bits)
		if p.Masked() == p && slices.Equal(span.OfAll([]netip.Prefix{p}), []span.Range{r}) {
			return p.String()
		}
	}
	return from.String() + "-" + to.String()
}

// WriteTo writes a question as it is sent to the running instance: a line of JSON, then a
// line for each range, an address or two with a hyphen between them.
func (q *Question) WriteTo(w io.Writer) (int64, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriter(w)
	n, _ := out.Write(append(b, '\n'))
	written := int64(n)
	for _, r := range q.Ranges {
		b = r.From.Addr().Unmap().AppendTo(b[:0])
		if r.To != r.From {
			b = append(b, '-')
			b = r.To.Addr().Unmap().AppendTo(b)
		}
		n, _ := out.Write(append(b, '\n')) // the error stays and comes with Flush
		written += int64(n)
	}
	return written, out.Flush()
}

// Read reads what WriteTo writes; prefixes are allowed as well, in any order. It
// refuses more than most ranges, and keys that it does not know: an answer to half a
// question would be a wrong one.
func Read(r io.Reader, most int) (q Question, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 256<<10)
	if !lines.Scan() {
		return q, cmp.Or(lines.Err(), errors.New("an empty request, the question is missing"))
	}
	d := json.NewDecoder(strings.NewReader(lines.Text()))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return q, fmt.Errorf("line 1: %w", err)
	}
	for n := 2; lines.Scan(); n++ {
		one, err := readRange(lines.Text())
		if err != nil && lines.Err() != nil { // a line that was cut
			return q, lines.Err()
		}
		if err != nil {
			return q, fmt.Errorf("line %d: %w", n, err)
		}
		if len(q.Ranges) == most {
			return q, fmt.Errorf("more than %d addresses and ranges in one question", most)
		}
		q.Ranges = append(q.Ranges, one...)
	}
	q.Ranges = span.Join(q.Ranges)
	return q, lines.Err()
}

func readRange(s string) ([]span.Range, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return span.OfAll([]netip.Prefix{p}), err
	}
	s, end, isRange := strings.Cut(s, "-")
	from, err := netip.ParseAddr(s)
	to := from
	if isRange && err == nil {
		to, err = netip.ParseAddr(end)
	}
	if err != nil {
		return nil, err
	}
	r := span.Range{From: flow.Addr6Of(from), To: flow.Addr6Of(to)}
	if from.Zone() != "" || to.Zone() != "" || r.From.Compare(r.To) > 0 {
		return nil, fmt.Errorf("%q is no range of addresses", s+"-"+end)
	}
	return []span.Range{r}, nil
}

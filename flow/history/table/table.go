// Package table adds up the contacts of one worker in memory: flows go in as the columns of
// a [Batch], rows come out in key order ([Rows]).
//
// Entries are dense, 64 bytes for a pair of IPv4 addresses and 96 bytes for any other, and
// found through an index of uint32 whose free bits hold a part of the hash. A batch is worked
// on in stages: the hash of each flow, then a touch of each place in the index and of each
// entry, then the sums. The processor waits for memory once for many flows instead of once
// for each. The hash is seeded, because strangers choose the addresses outside.
//
// A table is bounded. What it cannot keep is in its [Counts]:
//
//   - A source that opens one tiny contact after the other and gets no answer is a scanner.
//     After 64 such contacts its further ones fold into one row for each protocol and port,
//     without the inside address; after 64 such rows, into one without the port.
//   - When the table is full, [Table.Update] stops, so that the worker can hand it over and
//     go on with another one. When there is none, contacts that have an entry go on counting,
//     and new ones are lost: at once those that a scanner would have, the others when the
//     last sixteenth, which is kept for them, is full, too.
//
// A table belongs to one goroutine at a time. It allocates while it fills for the first time
// and is meant to be used again ([Table.Reset]): memory that is fresh costs twice the time.
package table

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

const (
	// chunk is how many flows go through the stages together: what the table holds of
	// them fits into the first cache.
	chunk = 64
	// slab is the number of entries that are allocated at once.
	slab = 4096
	// spare is the share of a table that is kept for contacts that are not tiny: 1/16.
	spare = 16
	// tinyPackets is the greatest number of packets of a tiny contact, before they are
	// multiplied by the sampling rate.
	tinyPackets = 3
)

// Caps are how many contacts a table holds at most, from 0 to 1<<26: V4 between two IPv4
// addresses, V6 all others. With 0, an Update without lose stops at each such flow, even in
// an empty table: its caller must not hand that over again and again.
type Caps struct{ V4, V6 int }

// Counts are the flows that [Table.Update] was given since the last Reset, each in one of them.
type Counts struct {
	Kept   uint64 // in a row of their contact
	Folded uint64 // in a folded row
	Lost   uint64 // the table was full
}

// A Table holds the contacts of one worker.
type Table struct {
	seeds  [6]uint64
	v4, v6 index
	// The entries, by number: slab i has those from i*4096 on.
	slabs4 []*[slab]entry4
	slabs6 []*[slab]entry6
	folds  sketch
	latest scanner
	counts Counts

	// The flows of the chunk in work: their keys, the entry each of them probably has
	// (-1 = none), and what reading ahead gave, so that no compiler leaves it out.
	keys  [chunk]key
	guess [chunk]int32
	ahead uint64
	// begun is Len when the guesses were made: as long as it is the same, -1 is certain.
	begun int
}

// A scanner is the source of the latest flow in a row without the port, and that row:
// scanners send many flows in one go. Entries stay where they are until Reset.
type scanner struct {
	outside flow.Addr6
	rest    uint64
	row     *contact // nil = none
}

// New makes an empty table. It takes 5 to 11 bytes of address space per contact for the index
// at once; memory for entries comes as they are needed.
func New(c Caps) *Table {
	var b [48]byte
	_, _ = rand.Read(b[:]) // it never fails
	t := &Table{
		v4: newIndex(c.V4), slabs4: make([]*[slab]entry4, 0, (c.V4+slab-1)/slab),
		v6: newIndex(c.V6), slabs6: make([]*[slab]entry6, 0, (c.V6+slab-1)/slab),
	}
	for i := range t.seeds {
		t.seeds[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return t
}

// Len is the number of rows that the table holds, before equal ones are added up.
func (t *Table) Len() int { return t.v4.used + t.v6.used }

// Counts are the flows since the last Reset.
func (t *Table) Counts() Counts { return t.counts }

// Bytes is the memory that the table holds: entries and the parts of the index in use.
func (t *Table) Bytes() int {
	const size4, size6 = 64 * slab, 96 * slab
	return len(t.slabs4)*size4 + len(t.slabs6)*size6 + 4*(t.v4.size()+t.v6.size())
}

// Reset empties the table and sets its counts to 0. It keeps the memory.
func (t *Table) Reset() {
	t.v4.reset()
	t.v6.reset()
	t.folds = sketch{}
	t.latest = scanner{}
	t.counts = Counts{}
}

// Update counts the flows of b from number from on and returns the number of the first one
// that was not counted: b.Len() when all were. It stops at a flow whose contact would be new
// while the table is full; the worker then hands the table over and goes on there with
// another one. With lose it never stops: new contacts that are tiny, opened from outside and
// without an answer are lost whether or not there is room, others when there is none.
func (t *Table) Update(b *Batch, from int, lose bool) int {
	for end := b.Len(); from < end; {
		n := min(chunk, end-from)
		c := b.part(from, n)
		t.room(n)
		t.hashAll(&c)
		t.touchAll(n)
		done := t.countAll(&c, lose)
		from += done
		if done < n {
			break
		}
	}
	return from
}

// room makes the index in use large enough for n more contacts. It changes places, so it
// comes before the stages. To enter 200,000 entries again takes 2 to 5 ms, in one piece: it
// happens while the first table of a worker fills, as Reset keeps the places.
func (t *Table) room(n int) {
	for t.v4.crowded(n) {
		t.v4.double()
		for i := range t.v4.used {
			e := t.entry4(i)
			t.v4.put(t.hash4(e.ends, e.rest&^flagBits), i)
		}
	}
	for t.v6.crowded(n) {
		t.v6.double()
		for i := range t.v6.used {
			e := t.entry6(i)
			t.v6.put(t.hash6(e.outside, e.inside, e.rest&^flagBits), i)
		}
	}
}

// hashAll is the first stage.
func (t *Table) hashAll(c *Batch) {
	for i := range c.Outside {
		rest := uint64(c.Site[i])<<siteAt | uint64(c.Exporter[i])<<exporterAt | uint64(c.Port[i])<<portAt |
			uint64(c.Protocol[i])<<protocolAt | uint64(c.Direction[i]&directionBits)
		t.setKey(&t.keys[i], c.Outside[i], c.Inside[i], rest)
	}
}

// setKey writes the key of a contact with its hash.
func (t *Table) setKey(k *key, outside, inside flow.Addr6, rest uint64) {
	k.outside, k.inside, k.rest = outside, inside, rest
	k.six = !outside.Is4() || !inside.Is4()
	if k.six {
		k.hash = t.hash6(outside, inside, rest)
	} else {
		k.hash = t.hash4(k.ends(), rest)
	}
}

// touchAll reads the places and the entries of n flows, so that the processor fetches them
// all at the same time. No read depends on the one before.
func (t *Table) touchAll(n int) {
	ahead := uint64(0)
	for i := range n {
		k := &t.keys[i]
		if k.six {
			ahead += uint64(t.v6.slots[uint32(k.hash)&t.v6.mask])
		} else {
			ahead += uint64(t.v4.slots[uint32(k.hash)&t.v4.mask])
		}
	}
	for i := range n {
		k := &t.keys[i]
		if k.six {
			_, number := t.v6.probe(uint32(k.hash), k.hash)
			t.guess[i] = int32(number)
			if number >= 0 { // it begins in one cache line and ends in the next
				e := t.entry6(number)
				ahead += e.outside.Hi + uint64(e.last)
			}
		} else {
			_, number := t.v4.probe(uint32(k.hash), k.hash)
			t.guess[i] = int32(number)
			if number >= 0 {
				ahead += t.entry4(number).ends
			}
		}
	}
	t.ahead, t.begun = ahead, t.Len()
}

// countAll is the last stage. It returns the number of flows that were counted.
func (t *Table) countAll(c *Batch, lose bool) int {
	for i := range c.Outside {
		k := &t.keys[i]
		if g := t.guess[i]; g >= 0 {
			if k.six {
				if e := t.entry6(int(g)); e.is(k) {
					e.add(c, i)
					t.counts.Kept++
					continue
				}
			} else if e := t.entry4(int(g)); e.is(k) {
				e.add(c, i)
				t.counts.Kept++
				continue
			}
		}
		if !t.count(c, i, lose) {
			return i
		}
	}
	return c.Len()
}

// count counts flow i, whose entry was not the one that was guessed or has yet to be made.
// It returns false when Update must stop.
func (t *Table) count(c *Batch, i int, lose bool) bool {
	k := &t.keys[i]
	if t.guess[i] >= 0 || t.Len() != t.begun {
		if e := t.find(k); e != nil {
			e.add(c, i)
			t.counts.Kept++
			return true
		}
	}
	tiny := c.tiny(i)
	var source uint64
	if tiny {
		source = t.hashSource(k.outside)
		if t.folds.full(source) {
			return t.fold(c, i, source, lose)
		}
	}
	e := t.open(k, tiny, lose)
	if e == nil {
		return t.refuse(lose)
	}
	if tiny {
		t.folds.count(source)
	}
	e.add(c, i)
	t.counts.Kept++
	return true
}

// fold counts flow i in a row of its source without the inside address. It makes the key of
// the flow that of the row.
func (t *Table) fold(c *Batch, i int, source uint64, lose bool) bool {
	k, ports := &t.keys[i], source>>32
	var nobody flow.Addr6
	if k.outside.Is4() {
		nobody = flow.Mapped(0) // for the entry to be a small one
	}
	t.setKey(k, k.outside, nobody, k.rest|foldedBit)
	e := t.find(k)
	if e == nil && t.folds.full(ports) {
		return t.foldPorts(c, i, ports, lose)
	}
	if e == nil {
		if e = t.open(k, true, lose); e == nil {
			return t.refuse(lose)
		}
		t.folds.count(ports)
	}
	e.add(c, i)
	t.counts.Folded++
	return true
}

// foldPorts counts flow i in the row of its source without the port.
func (t *Table) foldPorts(c *Batch, i int, ports uint64, lose bool) bool {
	k, s := &t.keys[i], &t.latest
	if rest := k.rest &^ portBits; s.row == nil || s.rest != rest || s.outside != k.outside {
		t.setKey(k, k.outside, k.inside, rest)
		e := t.find(k)
		if e == nil {
			if e = t.open(k, true, lose); e == nil {
				return t.refuse(lose)
			}
			t.folds.count(ports)
		}
		*s = scanner{k.outside, rest, e}
	}
	s.row.add(c, i)
	t.counts.Folded++
	return true
}

// refuse counts a flow that gets no entry as lost, or returns false for Update to stop.
func (t *Table) refuse(lose bool) bool {
	if lose {
		t.counts.Lost++
	}
	return lose
}

// find returns the contact with a key; nil when there is none.
func (t *Table) find(k *key) *contact {
	at := uint32(k.hash)
	if k.six {
		for {
			next, n := t.v6.probe(at, k.hash)
			if n < 0 {
				return nil
			}
			if e := t.entry6(n); e.is(k) {
				return &e.contact
			}
			at = next
		}
	}
	for {
		next, n := t.v4.probe(at, k.hash)
		if n < 0 {
			return nil
		}
		if e := t.entry4(n); e.is(k) {
			return &e.contact
		}
		at = next
	}
}

// open makes the entry of a new contact, with no flow in it; nil when it may not have one.
func (t *Table) open(k *key, tiny, lose bool) *contact {
	if k.six {
		n := t.v6.used
		if !t.v6.opens(tiny, lose) {
			return nil
		}
		if n == len(t.slabs6)*slab {
			t.slabs6 = append(t.slabs6, new([slab]entry6))
		}
		e := t.entry6(n)
		*e = entry6{outside: k.outside, inside: k.inside, contact: contact{rest: k.rest, first: ^uint32(0)}}
		t.v6.put(k.hash, n)
		t.v6.used++
		return &e.contact
	}
	n := t.v4.used
	if !t.v4.opens(tiny, lose) {
		return nil
	}
	if n == len(t.slabs4)*slab {
		t.slabs4 = append(t.slabs4, new([slab]entry4))
	}
	e := t.entry4(n)
	*e = entry4{ends: k.ends(), contact: contact{rest: k.rest, first: ^uint32(0)}}
	t.v4.put(k.hash, n)
	t.v4.used++
	return &e.contact
}

func (t *Table) entry4(n int) *entry4 { return &t.slabs4[n/slab][n%slab] }
func (t *Table) entry6(n int) *entry6 { return &t.slabs6[n/slab][n%slab] }

// hash4 multiplies the key, hidden by the seeds, and then both halves of the product again.
func (t *Table) hash4(ends, rest uint64) uint64 {
	hi, lo := bits.Mul64(ends^t.seeds[0], rest^t.seeds[1])
	hi, lo = bits.Mul64(lo^t.seeds[2], hi^t.seeds[3])
	return hi ^ lo
}

// hash6 multiplies the two addresses at the same time, then what they gave. With one product
// less, ports that count up would meet in the upper half.
func (t *Table) hash6(outside, inside flow.Addr6, rest uint64) uint64 {
	hi1, lo1 := bits.Mul64(outside.Hi^t.seeds[0], outside.Lo^t.seeds[1])
	hi2, lo2 := bits.Mul64(inside.Hi^t.seeds[2], inside.Lo^t.seeds[3])
	hi, lo := bits.Mul64(hi1^lo1^rest^t.seeds[4], hi2^lo2^t.seeds[5])
	hi, lo = bits.Mul64(lo^t.seeds[0], hi^t.seeds[1])
	return hi ^ lo
}

// hashSource is the hash of an address outside, for the sketch.
func (t *Table) hashSource(a flow.Addr6) uint64 {
	hi, lo := bits.Mul64(a.Hi^t.seeds[4], a.Lo^t.seeds[5])
	hi, lo = bits.Mul64(lo^t.seeds[0], hi^t.seeds[1])
	return hi ^ lo
}

// tiny reports whether flow i is like those of a scanner: opened from outside, a few packets,
// no answer. One sampled packet stands for many, which do not make it larger.
func (b *Batch) tiny(i int) bool {
	return b.Direction[i]&directionBits == row.Inbound && b.Flags[i]&row.Answered == 0 && b.PacketsOut[i] == 0 &&
		b.PacketsIn[i] <= tinyPackets*uint64(max(b.Sampling[i], 1))
}

package hits

import (
	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/detect/state"
)

// least is the size of a contact in the saved form at least.
const least = 16 + 8

// Append appends all that is remembered, for [Hits.Restore].
func (h *Hits) Append(b []byte) []byte {
	c := state.Writer(b)
	c.Len(len(h.contacts), least)
	for id, t := range h.contacts {
		t.code(c, &id)
	}
	return c.Bytes()
}

// Restore takes what Append has appended, instead of what is remembered. After an error
// nothing has changed. Of more contacts than are allowed the last ones are forgotten.
func (h *Hits) Restore(b []byte) error {
	c, err := state.Reader(b)
	if err != nil {
		return err
	}
	n := c.Len(0, least)
	contacts := make(map[uuid.UUID]totals, min(n, h.cfg.MaxContacts))
	newest, forgotten := uint32(0), uint64(0)
	for range n {
		var id uuid.UUID
		var t totals
		t.code(c, &id)
		if len(contacts) >= h.cfg.MaxContacts {
			forgotten++
			continue
		}
		contacts[id] = t
		newest = max(newest, t.at)
	}
	if err := c.Err(); err != nil {
		return err
	}
	h.stats.Forgotten += forgotten
	h.contacts, h.newest, h.swept = contacts, newest, newest
	return nil
}

// code codes a contact.
func (t *totals) code(c *state.Coder, id *uuid.UUID) {
	c.Raw(id[:])
	c.Uint32(&t.seq)
	c.Uint32(&t.at)
	for _, n := range [...]*uint64{&t.flows, &t.bytesOut, &t.bytesIn, &t.packetsOut, &t.packetsIn} {
		c.Uint64(n)
	}
	c.Uint8(&t.answered)
}

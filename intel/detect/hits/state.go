package hits

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// entry is the size of a contact in the saved form: its id, then its totals, little-endian.
const entry = 16 + 2*4 + 5*8 + 1

// Append appends all that is remembered, for [Hits.Restore].
func (h *Hits) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.contacts)))
	for id, t := range h.contacts {
		b = append(b, id[:]...)
		b = binary.LittleEndian.AppendUint32(b, t.seq)
		b = binary.LittleEndian.AppendUint32(b, t.at)
		for _, n := range [...]uint64{t.flows, t.bytesOut, t.bytesIn, t.packetsOut, t.packetsIn} {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		b = append(b, t.answered)
	}
	return b
}

// Restore takes what Append has appended, instead of what is remembered. After an error
// nothing has changed. Of more contacts than are allowed the last ones are forgotten.
func (h *Hits) Restore(b []byte) error {
	if len(b) < 4 {
		return errors.New("contacts of hits: cut")
	}
	n := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if uint64(len(b)) != uint64(n)*entry {
		return fmt.Errorf("contacts of hits: %d bytes are not %d contacts", len(b), n)
	}
	contacts := make(map[uuid.UUID]totals, min(int(n), h.cfg.MaxContacts))
	newest := uint32(0)
	for ; len(b) > 0 && len(contacts) < h.cfg.MaxContacts; b = b[entry:] {
		t := totals{seq: binary.LittleEndian.Uint32(b[16:]), at: binary.LittleEndian.Uint32(b[20:]), answered: b[entry-1]}
		for i, to := range [...]*uint64{&t.flows, &t.bytesOut, &t.bytesIn, &t.packetsOut, &t.packetsIn} {
			*to = binary.LittleEndian.Uint64(b[24+8*i:])
		}
		contacts[uuid.UUID(b[:16])] = t
		newest = max(newest, t.at)
	}
	h.stats.Forgotten += uint64(len(b) / entry)
	h.contacts, h.newest, h.swept = contacts, newest, newest
	return nil
}

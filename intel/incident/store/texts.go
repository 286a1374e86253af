package store

import (
	"database/sql"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// maxListings and maxExporters bound what is kept of one incident.
const (
	maxListings  = 32
	maxExporters = 16
)

// texts writes the listings and texts of an incident if they are not what was written last.
func (p *part) texts(x *piece, worse bool) error {
	hash := p.hash(x.from, (int64(incident.DayOf(schema.Time(x.last)))+x.id)/relist)
	if hash == x.listed && !worse {
		return nil
	}
	x.listed = hash
	if err := p.listings(x); err != nil {
		return err
	}
	return p.text(x, worse)
}

// relist is after how many days a listing is written again that has not changed, with the
// time when it was last named: each day it would cost as much as all else of an incident.
const relist = 30

// hash is that of what a batch has of an offender, in a time of relist days, which begins on
// another day for each incident.
func (p *part) hash(o *batch.Offender, when int64) int64 {
	h := fnv.New64a()
	var n [8]byte
	add := func(s string) {
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		_, _ = h.Write(n[:])
		_, _ = h.Write([]byte(s))
	}
	binary.LittleEndian.PutUint64(n[:], uint64(when))
	_, _ = h.Write(n[:])
	for i := range o.Listings {
		l := &o.Listings[i]
		for _, t := range [...]int32{l.Feed, l.Category, l.Ref, l.Description, l.TLP} {
			add(p.b.Text(t))
		}
		add(string(schema.Key(l.Indicator.Addr())) + string([]byte{byte(l.Indicator.Bits()), l.Score}))
	}
	for _, e := range o.Exporters {
		add(string(schema.Key(e)))
	}
	return int64(h.Sum64())
}

// listings writes the listings of an incident, and forgets those that were not named for
// longest where there are too many.
func (p *part) listings(x *piece) error {
	var values []any
	for i := range x.from.Listings {
		l := &x.from.Listings[i]
		values = append(values, x.id, p.feeds[p.b.Text(l.Feed)], schema.Key(l.Indicator.Addr()), int64(l.Indicator.Bits()),
			p.b.Text(l.Category), p.b.Text(l.Ref), p.b.Text(l.Description), p.b.Text(l.TLP), int64(l.Score), x.last, x.last)
	}
	if err := p.Put(schema.IncidentFeed, values); err != nil || x.isNew {
		return err
	}
	_, err := p.Exec(`DELETE FROM incident_feed WHERE incident = $1 AND last_seen < (
		SELECT last_seen FROM incident_feed WHERE incident = $1 ORDER BY last_seen DESC LIMIT 1 OFFSET $2)`, x.id, int64(maxListings-1))
	return err
}

// text writes the texts of an incident.
func (p *part) text(x *piece, worse bool) error {
	o := x.from
	owner, reason, exporters := "", p.b.Text(o.Reason), []byte(nil)
	same := false
	if !x.isNew {
		err := p.Fetch(schema.IncidentText, []any{x.id}, func(r *sql.Rows) error {
			var id int64
			var old string
			err := r.Scan(&id, &owner, &old, &exporters)
			if !worse {
				reason = old
			}
			same = reason == old
			return err
		})
		if err != nil {
			return err
		}
	}
	all := addExporters(exporters, o.Exporters)
	if same && len(all) == len(exporters) {
		return nil
	}
	return p.Put(schema.IncidentText, []any{x.id, owner, reason, all})
}

// addExporters adds addresses to those of the database.
func addExporters(have []byte, more []netip.Addr) []byte {
	out := slices.Clone(have)
	if out == nil {
		out = []byte{}
	}
	for _, e := range more {
		if len(out) < 16*maxExporters && !slices.Contains(schema.Exporters(out), e) {
			out = append(out, schema.Key(e)...)
		}
	}
	return out
}

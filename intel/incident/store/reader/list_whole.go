package reader

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// Get gives the incident of an offender with all that belongs to it, or [incident.ErrUnknown].
func (s *Reader) Get(ctx context.Context, offender netip.Addr) (*incident.Incident, error) {
	v, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	var found *incident.Incident
	err = v.each(new(database.Query).Add("SELECT "+columnsOf("")+" FROM incident WHERE offender = ?", schema.Key(offender.Unmap())), func(rows *sql.Rows) (err error) {
		found, err = scanRow(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fmt.Errorf("%s: %w", offender, incident.ErrUnknown)
	}
	list, err := v.whole([]*incident.Incident{found})
	if err != nil {
		return nil, err
	}
	x := &list[0]
	for _, read := range []func(*incident.Incident) error{v.listings, v.shares, v.services, v.daily, v.notes, v.audit} {
		if err := read(x); err != nil {
			return nil, err
		}
	}
	return x, nil
}

const listingColumns = "f.name, x.low, x.bits, x.category, x.ref, x.description, x.tlp, x.score, x.first_seen, x.last_seen"

// scanListing reads a listing after other columns.
func scanListing(rows *sql.Rows, before ...any) (incident.Listing, error) {
	var l incident.Listing
	var low []byte
	var bits, score, first, last int64
	err := rows.Scan(append(before, &l.Feed, &low, &bits, &l.Category, &l.Ref, &l.Description, &l.TLP, &score, &first, &last)...)
	l.Indicator, l.Score, l.First, l.Last = netip.PrefixFrom(schema.Addr(low), int(bits)), uint8(score), schema.Time(first), schema.Time(last)
	return l, err
}

func (v *view) listings(x *incident.Incident) error {
	q := new(database.Query).Add("SELECT "+listingColumns+" FROM incident_feed x JOIN feed f ON f.id = x.feed WHERE x.incident = ? ORDER BY x.score DESC, f.name, x.low, x.bits", x.ID)
	return v.each(q, func(rows *sql.Rows) error {
		l, err := scanListing(rows)
		x.Listings = append(x.Listings, l)
		return err
	})
}

func (v *view) shares(x *incident.Incident) error {
	q := new(database.Query).Add(`SELECT h.site, h.address, x.flows, x.packets_out, x.packets_in, x.bytes_out, x.bytes_in, x.first_seen, x.last_seen, x.days, x.worst, x.flags
		FROM incident_host x JOIN host h ON h.id = x.host WHERE x.incident = ?`, x.ID)
	err := v.each(q, func(rows *sql.Rows) error {
		var h incident.HostShare
		var address []byte
		var n [10]int64
		err := rows.Scan(&h.Site, &address, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7], &n[8], &n[9])
		h.Addr = schema.Addr(address)
		setShare(&h, n[:])
		x.HostList = append(x.HostList, h)
		return err
	})
	slices.SortFunc(x.HostList, func(a, b incident.HostShare) int { return incident.LessHost(&a, &b) })
	return err
}

func (v *view) services(x *incident.Incident) error {
	q := new(database.Query).Add("SELECT service, flows FROM incident_service WHERE incident = ? ORDER BY flows DESC, service", x.ID)
	return v.each(q, func(rows *sql.Rows) error {
		var service, flows int64
		err := rows.Scan(&service, &flows)
		x.Services = append(x.Services, incident.Service{Protocol: uint8(service >> 16), Port: uint16(service), Flows: uint64(flows)})
		return err
	})
}

// maxDaily is how many days before the last one are looked at.
const maxDaily = 800

func (v *view) daily(x *incident.Incident) error {
	last := int64(incident.DayOf(x.Last))
	first := max(int64(incident.DayOf(x.First)), last-maxDaily)
	q := new(database.Query).Add(`WITH RECURSIVE d(day) AS (SELECT CAST(? AS BIGINT) UNION ALL SELECT day + 1 FROM d WHERE day < ?)
		SELECT x.day, x.flows, x.bytes_out, x.bytes_in FROM d CROSS JOIN incident_day x WHERE x.day = d.day AND x.incident = ? ORDER BY x.day`, first, last, x.ID)
	return v.each(q, func(rows *sql.Rows) error {
		var d incident.Day
		var n [4]int64
		err := rows.Scan(&n[0], &n[1], &n[2], &n[3])
		d.Day, d.Flows, d.BytesOut, d.BytesIn = int32(n[0]), uint64(n[1]), uint64(n[2]), uint64(n[3])
		x.Daily = append(x.Daily, d)
		return err
	})
}

func (v *view) notes(x *incident.Incident) error {
	return v.each(new(database.Query).Add("SELECT time, author, text FROM note WHERE incident = ? ORDER BY id", x.ID), func(rows *sql.Rows) error {
		var n incident.Note
		var when int64
		err := rows.Scan(&when, &n.Author, &n.Text)
		n.Time = schema.Time(when)
		x.Notes = append(x.Notes, n)
		return err
	})
}

func (v *view) audit(x *incident.Incident) error {
	return v.each(new(database.Query).Add("SELECT time, author, act, detail FROM audit WHERE incident = ? ORDER BY id", x.ID), func(rows *sql.Rows) error {
		var e incident.Entry
		var when int64
		err := rows.Scan(&when, &e.Author, &e.Act, &e.Detail)
		e.Time = schema.Time(when)
		x.Audit = append(x.Audit, e)
		return err
	})
}

// Blockable calls row for each incident that meets the filter, in the order of addresses, with
// its listings, the best first. False alarms are left out, whatever the filter. All rows are
// of one moment; an error of row ends it and is returned.
func (s *Reader) Blockable(ctx context.Context, f incident.Filter, row func(*incident.Incident) error) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	defer v.close()
	l := &listing{view: v}
	if l.conditions, err = v.conditions(&f); err != nil {
		return err
	}
	if err = l.few(); err != nil {
		return err
	}
	ids, err := v.list(l.from("SELECT i.id", nil, nil).Add(" AND i.state <> ? ORDER BY i.offender", int64(incident.FalseAlarm)))
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, 500) {
		if err := v.blockable(values(some), row); err != nil {
			return err
		}
	}
	return nil
}

// blockable gives some incidents by their numbers, in the order of addresses.
func (v *view) blockable(ids []any, row func(*incident.Incident) error) error {
	rows, err := v.rows(ids)
	if err != nil {
		return err
	}
	list, err := v.whole(rows)
	if err != nil {
		return err
	}
	at := make(map[int64]*incident.Incident, len(list))
	for i := range list {
		at[list[i].ID] = &list[i]
	}
	q := new(database.Query).Add("SELECT x.incident, "+listingColumns+" FROM incident_feed x JOIN feed f ON f.id = x.feed WHERE x.incident IN ("+database.Marks(len(ids))+")"+
		" ORDER BY x.incident, x.score DESC, f.name, x.low, x.bits", ids...)
	err = v.each(q, func(rows *sql.Rows) error {
		var id int64
		l, err := scanListing(rows, &id)
		at[id].Listings = append(at[id].Listings, l)
		return err
	})
	if err != nil {
		return err
	}
	for i := range list {
		if err := row(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// rows reads rows by their numbers, in the order of addresses.
func (v *view) rows(ids []any) (list []*incident.Incident, err error) {
	q := new(database.Query).Add("SELECT "+columnsOf("")+" FROM incident WHERE id IN ("+database.Marks(len(ids))+") ORDER BY offender", ids...)
	err = v.each(q, func(rows *sql.Rows) error {
		r, err := scanRow(rows)
		list = append(list, r)
		return err
	})
	return list, err
}

package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store/database"
)

// Get gives the incident of an offender, or [ErrUnknown].
func (s *Store) Get(ctx context.Context, offender netip.Addr) (*incident.Incident, error) {
	rows, err := s.db.Read().QueryContext(ctx, "SELECT "+database.Names(incidentTable.Columns)+" FROM incident WHERE offender = $1", key(offender.Unmap()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", offender, ErrUnknown)
	}
	r, err := scanRow(rows)
	if err != nil {
		return nil, err
	}
	x := r.incident()
	var exporters []byte
	err = s.db.Read().QueryRowContext(ctx, "SELECT owner, reason, as_name, exporters FROM incident_text WHERE incident = $1", r.id).
		Scan(&x.Owner, &x.Reason, &x.ASName, &exporters)
	if err != nil && err != sql.ErrNoRows {
		return nil, err
	}
	x.Exporters = exportersOf(exporters)
	return x, nil
}

// incident makes the incident of a row, without its texts.
func (r *row) incident() *incident.Incident {
	has := func(f batch.Flags) bool { return r.flags&f != 0 }
	return &incident.Incident{
		ID: r.id, Offender: r.offender, State: r.state, Since: at(r.since), First: at(r.first), Last: at(r.last), Days: int(r.days), Sums: r.sums,
		Contacts: uint64(r.contacts), Hosts: int(r.hosts + r.foldedHosts), MoreHosts: has(batch.MoreHosts),
		Ports: int(r.ports + r.foldedPorts), MorePorts: has(batch.MorePorts), Worst: r.worst, Score: r.score,
		Called: has(batch.CalledAnswered), Answered: has(batch.Answered), Inbound: has(batch.Inbound), Outbound: has(batch.Outbound),
		Internal: has(batch.Internal), Transit: has(batch.Transit), Blocked: has(batch.Blocked), Refused: has(batch.Refused), Retro: has(batch.Retro),
		Silenced: uint64(r.silenced), Country: r.country, ASNumber: r.asNumber,
	}
}

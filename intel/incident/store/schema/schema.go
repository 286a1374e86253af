// Package schema is what the database of incidents has: its tables, step by step as versions of
// the program made them ([Steps]), and which of them are written in batches, and how.
package schema

import "github.com/flowsnitch/flowsnitch/intel/incident/store/database"

// Steps are the steps of the schema. Times are seconds since 1970, days count from there,
// both UTC. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d. Flags are batch.Flags, severities
// and states have the numbers of their types.
//
// A changed incident costs a page of the file for each table and index in which its row
// changes. So what changes with every contact has narrow rows of its own (incident,
// incident_host, incident_day, incident_service, contact), texts are elsewhere.
var Steps = []database.Step{`
CREATE TABLE incident (
	id {id}, -- in the order of their making
	offender {blob} NOT NULL,
	state BIGINT NOT NULL,
	since BIGINT NOT NULL, -- of the state
	first_seen BIGINT NOT NULL,
	last_seen BIGINT NOT NULL,
	days BIGINT NOT NULL, -- that have a row in incident_day or had one
	last_day BIGINT NOT NULL,
	flows BIGINT NOT NULL,
	packets_out BIGINT NOT NULL,
	packets_in BIGINT NOT NULL,
	bytes_out BIGINT NOT NULL,
	bytes_in BIGINT NOT NULL,
	bytes BIGINT NOT NULL, -- both
	contacts BIGINT NOT NULL,
	hosts BIGINT NOT NULL, -- those in incident_host, and folded_hosts
	folded_hosts BIGINT NOT NULL, -- most of a folded contact
	ports BIGINT NOT NULL, -- those in incident_service, and folded_ports
	folded_ports BIGINT NOT NULL,
	worst BIGINT NOT NULL,
	score BIGINT NOT NULL,
	called BIGINT NOT NULL, -- 1 = one of ours opened a contact that was answered
	flags BIGINT NOT NULL,
	silenced BIGINT NOT NULL, -- events
	verdict BIGINT NOT NULL, -- of a false alarm: 2 * its worst severity, + 1 if it was answered
	country TEXT NOT NULL,
	as_number BIGINT NOT NULL,
	listed BIGINT NOT NULL, -- a hash of what incident_text and incident_feed have of it
	rank BIGINT NOT NULL, -- incident.RankKey
	flows_key BIGINT NOT NULL, -- incident.SizeKey of flows
	bytes_key BIGINT NOT NULL -- incident.SizeKey of bytes
);
CREATE UNIQUE INDEX incident_offender ON incident (offender);
CREATE INDEX incident_last ON incident (last_seen{tie});
-- The columns of these are written only when they change, see KeyColumns.
CREATE INDEX incident_rank ON incident (rank{tie});
CREATE INDEX incident_worst ON incident (worst, first_seen{tie});
CREATE INDEX incident_first_day ON incident (first_seen, last_day{tie}); -- once a day
CREATE INDEX incident_days ON incident (days, first_seen{tie});
CREATE INDEX incident_flows ON incident (flows_key{tie});
CREATE INDEX incident_bytes ON incident (bytes_key{tie});
CREATE INDEX incident_hosts ON incident (hosts, first_seen{tie});
CREATE INDEX incident_state ON incident (state{tie});
CREATE INDEX incident_country ON incident (country{tie}) WHERE country <> '';
CREATE INDEX incident_as ON incident (as_number{tie}) WHERE as_number <> 0;
CREATE INDEX incident_answered ON incident (id) WHERE (flags & 2) <> 0;
CREATE INDEX incident_outbound ON incident (id) WHERE (flags & 16) <> 0;
CREATE INDEX incident_internal ON incident (id) WHERE (flags & 32) <> 0;
CREATE INDEX incident_transit ON incident (id) WHERE (flags & 64) <> 0;
CREATE INDEX incident_retro ON incident (id) WHERE (flags & 512) <> 0;

CREATE TABLE incident_text (
	incident {id},
	owner TEXT NOT NULL,
	reason TEXT NOT NULL, -- of the worst event
	exporters {blob} NOT NULL -- 16 bytes each
);

CREATE TABLE network (
	as_number {id},
	name TEXT NOT NULL -- the latest
);

CREATE TABLE host (
	id {id},
	site {text} NOT NULL,
	address {blob} NOT NULL,
	UNIQUE (address, site)
);

CREATE TABLE host_sum ( -- the rows of incident_host of each host
	host {id},
	offenders BIGINT NOT NULL,
	flows BIGINT NOT NULL,
	packets_out BIGINT NOT NULL,
	packets_in BIGINT NOT NULL,
	bytes_out BIGINT NOT NULL,
	bytes_in BIGINT NOT NULL,
	first_seen BIGINT NOT NULL,
	last_seen BIGINT NOT NULL,
	days BIGINT NOT NULL, -- that have a row in host_day or had one
	worst BIGINT NOT NULL,
	flags BIGINT NOT NULL
);

CREATE TABLE incident_host ( -- at most 1,000 of an incident
	incident BIGINT NOT NULL,
	host BIGINT NOT NULL,
	flows BIGINT NOT NULL,
	packets_out BIGINT NOT NULL,
	packets_in BIGINT NOT NULL,
	bytes_out BIGINT NOT NULL,
	bytes_in BIGINT NOT NULL,
	first_seen BIGINT NOT NULL,
	last_seen BIGINT NOT NULL,
	days BIGINT NOT NULL,
	worst BIGINT NOT NULL,
	flags BIGINT NOT NULL,
	PRIMARY KEY (incident, host)
) {without};
CREATE INDEX incident_host_host ON incident_host (host, incident);

CREATE TABLE incident_day (
	day BIGINT NOT NULL,
	incident BIGINT NOT NULL,
	flows BIGINT NOT NULL,
	bytes_out BIGINT NOT NULL,
	bytes_in BIGINT NOT NULL,
	PRIMARY KEY (day, incident)
) {without};

CREATE TABLE host_day (
	day BIGINT NOT NULL,
	host BIGINT NOT NULL,
	flows BIGINT NOT NULL,
	bytes_out BIGINT NOT NULL,
	bytes_in BIGINT NOT NULL,
	PRIMARY KEY (day, host)
) {without};

CREATE TABLE incident_service ( -- at most 1,000 of an incident
	incident BIGINT NOT NULL,
	service BIGINT NOT NULL, -- 65536 * protocol + port
	flows BIGINT NOT NULL,
	PRIMARY KEY (incident, service)
) {without};
CREATE INDEX incident_service_service ON incident_service (service, incident);

CREATE TABLE feed (
	id {id},
	name TEXT NOT NULL UNIQUE
);

CREATE TABLE incident_feed ( -- at most 32 of an incident
	incident BIGINT NOT NULL,
	feed BIGINT NOT NULL,
	low {blob} NOT NULL, -- first address of the indicator
	bits BIGINT NOT NULL, -- its length; of IPv4 0 to 32
	category TEXT NOT NULL,
	ref TEXT NOT NULL,
	description TEXT NOT NULL,
	tlp TEXT NOT NULL,
	score BIGINT NOT NULL,
	first_seen BIGINT NOT NULL, -- when an event named it
	last_seen BIGINT NOT NULL, -- likewise; written again after 30 days at the latest
	PRIMARY KEY (incident, feed, low, bits)
) {without};
CREATE INDEX incident_feed_feed ON incident_feed (feed, incident);
CREATE INDEX incident_feed_category ON incident_feed (category, incident);

CREATE TABLE note (
	id {id},
	incident BIGINT NOT NULL,
	time BIGINT NOT NULL,
	author TEXT NOT NULL,
	text TEXT NOT NULL
);
CREATE INDEX note_incident ON note (incident);

CREATE TABLE audit ( -- rows are never changed
	id {id},
	incident BIGINT NOT NULL,
	time BIGINT NOT NULL,
	author TEXT NOT NULL,
	act TEXT NOT NULL,
	detail TEXT NOT NULL
);
CREATE INDEX audit_incident ON audit (incident);

CREATE TABLE alert (
	id {blob} NOT NULL PRIMARY KEY,
	time BIGINT NOT NULL,
	name TEXT NOT NULL,
	severity BIGINT NOT NULL,
	offender {blob} NOT NULL, -- empty = none
	reason TEXT NOT NULL
);
CREATE INDEX alert_time ON alert (time);

CREATE TABLE pulse ( -- what each run of the program did in each hour
	hour BIGINT NOT NULL, -- seconds since 1970
	run BIGINT NOT NULL, -- a random number; 0 = several
	minutes BIGINT NOT NULL,
	flows BIGINT NOT NULL,
	lost BIGINT NOT NULL,
	hits BIGINT NOT NULL,
	worst BIGINT NOT NULL, -- 0 ok, 1 warning, 2 critical
	findings TEXT NOT NULL, -- at most three, one a line
	PRIMARY KEY (hour, run)
) {without};

CREATE TABLE contact (
	id {blob} NOT NULL PRIMARY KEY,
	top BIGINT NOT NULL, -- the highest number of its events
	seen BIGINT NOT NULL, -- bit n: the event top - n was counted
	silenced BIGINT NOT NULL, -- likewise
	flows BIGINT NOT NULL, -- totals that were counted
	packets_out BIGINT NOT NULL,
	packets_in BIGINT NOT NULL,
	bytes_out BIGINT NOT NULL,
	bytes_in BIGINT NOT NULL,
	counts BIGINT NOT NULL, -- contacts that were counted for it
	last_seen BIGINT NOT NULL
) {without};

CREATE TABLE counter (
	name TEXT NOT NULL PRIMARY KEY,
	value BIGINT NOT NULL
) {without}
`, `
-- The most restricted label of the listings that an alert is about.
ALTER TABLE alert ADD COLUMN tlp {text} NOT NULL DEFAULT ''
`, `
-- The host of ours that an alert is about, empty for none, and what a rule has found: an
-- incident.Evidence in JSON, empty where no rule has raised it.
ALTER TABLE alert ADD COLUMN host {blob} NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN evidence TEXT NOT NULL DEFAULT '';
CREATE INDEX alert_offender ON alert (offender, time) WHERE length(offender) > 0;
CREATE INDEX alert_host ON alert (host, time) WHERE length(host) > 0
`}

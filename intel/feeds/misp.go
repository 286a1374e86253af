package feeds

import (
	"errors"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errNotForIDS = errors.New("to_ids is not set")
	errDeleted   = errors.New("deleted")
)

// mispAttribute is one attribute of an event or of an object in it.
type mispAttribute struct {
	Type      text      `json:"type"`
	Value     text      `json:"value"`
	ToIDs     text      `json:"to_ids"`
	Deleted   text      `json:"deleted"`
	Comment   text      `json:"comment"`
	Timestamp text      `json:"timestamp"`
	FirstSeen text      `json:"first_seen"`
	LastSeen  text      `json:"last_seen"`
	Tag       []mispTag `json:"Tag"`
	Event     struct {
		UUID text `json:"uuid"`
		Info text `json:"info"`
	} `json:"Event"` // in answers to a search for attributes
}

type mispTag struct {
	Name text `json:"name"`
}

// entry checks the attribute and reads its value.
func (a *mispAttribute) entry() (Entry, error) {
	value, port, err := a.address()
	switch {
	case err != nil:
		return Entry{}, err
	case a.Deleted.yes():
		return Entry{}, errDeleted
	case !a.ToIDs.yes():
		return Entry{}, errNotForIDS
	}
	p, err := parsePrefix(trim(value))
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Indicator: intel.Indicator{
		Prefix:      p,
		Port:        port,
		Category:    mispCategory(a.Tag),
		Description: string(a.Comment),
		FirstSeen:   parseTime(string(a.FirstSeen)),
		LastSeen:    parseTime(string(a.LastSeen)),
		TLP:         mispTLP(a.Tag),
	}}
	if e.LastSeen.IsZero() {
		e.LastSeen = parseTime(string(a.Timestamp))
	}
	return e, nil
}

// address finds the address in the value of the attribute's type. A port that is
// missing or wrong leaves the address.
func (a *mispAttribute) address() (value string, port uint16, err error) {
	value = string(a.Value)
	switch a.Type {
	case "ip-src", "ip-dst":
		return value, 0, nil
	case "ip-src|port", "ip-dst|port":
		value, number, _ := strings.Cut(value, "|")
		port, _ := parsePort(trim(number))
		return value, port, nil
	case "domain|ip":
		_, value, _ = strings.Cut(value, "|")
		return value, 0, nil
	}
	return "", 0, errOtherType
}

func mispTLP(tags []mispTag) string {
	label := ""
	for _, t := range tags {
		label = stricter(label, tlpOf(string(t.Name)))
	}
	return label
}

// mispCategory reads machine tags (namespace:predicate="value") and plain ones.
func mispCategory(tags []mispTag) string {
	for _, t := range tags {
		name := string(t.Name)
		if i := strings.LastIndexAny(name, ":="); i >= 0 {
			name = name[i+1:]
		}
		if c := categoryOf(strings.Trim(name, `"`)); c != "" {
			return c
		}
	}
	return ""
}

// A mispEvent is a MISP event while it is read.
type mispEvent struct {
	j                     *jsonReader
	uuid, info, timestamp text
	tags                  []mispTag
	batch                 batch
}

func newMISPEvent(j *jsonReader) *mispEvent {
	e := &mispEvent{j: j}
	e.batch = batch{fill: e.fill, known: func() bool { return e.uuid != "" }}
	return e
}

// key reads one member of the event.
func (e *mispEvent) key(name string) error {
	switch name {
	case "uuid":
		return e.j.row(&e.uuid)
	case "info":
		e.j.known = true
		return e.j.row(&e.info)
	case "timestamp":
		return e.j.row(&e.timestamp)
	case "Tag":
		return e.j.row(&e.tags)
	case "Attribute":
		e.j.known = true
		return e.j.walk(handlers{item: func() error { return e.attribute(e.add) }})
	case "Object":
		e.j.known = true
		return e.j.walk(handlers{item: e.object})
	}
	return e.j.skip()
}

// A mispRow is what an attribute comes to: an entry, or why it is none.
type mispRow struct {
	line  int
	entry Entry
	text  string // for the sample of a rejected row
	err   error
}

// attribute reads one attribute and gives what it comes to on to take.
func (e *mispEvent) attribute(take func(mispRow) error) error {
	var a mispAttribute
	if err := e.j.row(&a); err != nil {
		return err
	}
	row := mispRow{line: e.j.d.line}
	if row.entry, row.err = a.entry(); row.err != nil {
		row.text = bounded(string(a.Type)+" "+string(a.Value), 2*maxSampleBytes)
		return take(row)
	}
	if e.uuid == "" && a.Event.UUID != "" {
		e.mark(&row.entry, a.Event.UUID, a.Event.Info)
	}
	row.entry.tidy()
	return take(row)
}

// add puts the entry of an attribute into the batch.
func (e *mispEvent) add(row mispRow) error {
	if row.err != nil {
		e.j.d.rejectAt(row.line, row.text, row.err)
		return nil
	}
	e.j.d.line = row.line
	return e.batch.add(e.j.d, row.entry)
}

// maxObjectAttributes is how many attributes of one object are kept until it is
// known whether the object is deleted.
const maxObjectAttributes = 10000

// object reads one object of the event. The attributes of a deleted one are no
// rows at all.
func (e *mispEvent) object() error {
	var rows []mispRow
	var deleted text
	keep := func(row mispRow) error {
		if len(rows) == maxObjectAttributes {
			return e.j.d.refuse("an object has more than %d attributes", maxObjectAttributes)
		}
		rows = append(rows, row)
		return nil
	}
	err := e.j.walk(handlers{key: func(name string) error {
		switch name {
		case "deleted":
			return e.j.row(&deleted)
		case "Attribute":
			return e.j.walk(handlers{item: func() error { return e.attribute(keep) }})
		}
		return e.j.skip()
	}})
	if err != nil {
		return err
	}
	if deleted.yes() {
		e.j.d.report.Skipped += len(rows)
		return nil
	}
	for _, row := range rows {
		if err := e.add(row); err != nil {
			return err
		}
	}
	return nil
}

// fill adds the evidence of the event to one of its attributes.
func (e *mispEvent) fill(entry *Entry) {
	if entry.NativeID == "" {
		e.mark(entry, e.uuid, e.info)
	}
	if entry.Category == "" {
		entry.Category = mispCategory(e.tags)
	}
	entry.TLP = stricter(entry.TLP, mispTLP(e.tags))
	if entry.LastSeen.IsZero() {
		entry.LastSeen = parseTime(string(e.timestamp))
	}
}

// mark names the event in an entry.
func (e *mispEvent) mark(entry *Entry, uuid, info text) {
	entry.NativeID = string(uuid)
	entry.Description = joinWords(string(info), entry.Description)
	if base := e.j.d.opts.BaseURL; base != "" && uuid != "" {
		entry.Ref = strings.TrimSuffix(base, "/") + "/events/view/" + pathEscape(uuid)
	}
}

// end hands the event on.
func (e *mispEvent) end() error {
	if seen := e.j.d.opts.Seen; seen != nil && e.uuid != "" {
		seen(Object{ID: objectID(e.uuid), Modified: parseTime(string(e.timestamp))})
	}
	return e.batch.flush(e.j.d)
}

// runMISP parses events: {"Event"}, {"response"} with a list or an object, a bare
// event, or a list of any of them.
func runMISP(d *document, src *source, _ string) error {
	j := newJSONReader(d, src)
	item := func() error { return j.element(func() error { return j.mispItem(nil) }) }
	single := newMISPEvent(j)
	key := j.mispKey(single, true)
	if err := j.document("an Event", handlers{item: item, key: key}); err != nil {
		return err
	}
	return single.end()
}

// mispItem walks one event, wrapped or bare; item takes the elements of a list in
// its place.
func (j *jsonReader) mispItem(item func() error) error {
	bare := newMISPEvent(j)
	h := handlers{item: item, key: j.mispKey(bare, false), known: true}
	if item != nil {
		h.scalar = j.oddScalar
	}
	if err := j.walk(h); err != nil {
		return err
	}
	return bare.end()
}

// mispKey handles the members of a wrapper; all others are those of a bare event.
func (j *jsonReader) mispKey(bare *mispEvent, top bool) func(string) error {
	return func(name string) error {
		switch {
		case name == "Event":
			j.known = true
			event := newMISPEvent(j)
			if err := j.walk(handlers{key: event.key, scalar: j.oddScalar}); err != nil {
				return err
			}
			return event.end()
		case name == "response" && top:
			j.known = true
			return j.element(func() error {
				return j.mispItem(func() error { return j.element(func() error { return j.mispItem(nil) }) })
			})
		}
		return bare.key(name)
	}
}

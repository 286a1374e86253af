package platforms

import (
	"errors"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var (
	errNotForIDS = errors.New("to_ids is not set")
	errDeleted   = errors.New("deleted")
)

// mispAttribute is one attribute of an event or of an object in it.
type mispAttribute struct {
	Type      jsonwalk.Text `json:"type"`
	Value     jsonwalk.Text `json:"value"`
	ToIDs     jsonwalk.Text `json:"to_ids"`
	Deleted   jsonwalk.Text `json:"deleted"`
	Comment   jsonwalk.Text `json:"comment"`
	Timestamp jsonwalk.Text `json:"timestamp"`
	FirstSeen jsonwalk.Text `json:"first_seen"`
	LastSeen  jsonwalk.Text `json:"last_seen"`
	Tag       []mispTag     `json:"Tag"`
	Event     struct {
		UUID jsonwalk.Text `json:"uuid"`
		Info jsonwalk.Text `json:"info"`
	} `json:"Event"` // in answers to a search for attributes
}

type mispTag struct {
	Name jsonwalk.Text `json:"name"`
}

// entry checks the attribute and reads its value.
func (a *mispAttribute) entry() (document.Entry, error) {
	value, port, err := a.address()
	if err != nil {
		return document.Entry{}, err
	}
	e, err := a.evidence()
	if err != nil {
		return e, err
	}
	e.Port = port
	e.Prefix, err = prefix.Parse(document.Trim(value))
	return e, err
}

// evidence gives what an entry has beside its value, if the attribute is in force.
func (a *mispAttribute) evidence() (document.Entry, error) {
	switch {
	case a.Deleted.Yes():
		return document.Entry{}, errDeleted
	case !a.ToIDs.Yes():
		return document.Entry{}, errNotForIDS
	}
	e := document.Entry{Indicator: intel.Indicator{
		Category:    mispCategory(a.Tag),
		Description: string(a.Comment),
		FirstSeen:   dates.Parse(string(a.FirstSeen)),
		LastSeen:    dates.Parse(string(a.LastSeen)),
		TLP:         mispTLP(a.Tag),
	}}
	if e.LastSeen.IsZero() {
		e.LastSeen = dates.Parse(string(a.Timestamp))
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
		port, _ := prefix.Port(document.Trim(number))
		return value, port, nil
	case "domain|ip":
		_, value, _ = strings.Cut(value, "|")
		return value, 0, nil
	}
	return "", 0, document.ErrOtherType
}

// named gives the entry of an attribute that has a name; ok is false for all others.
func (a *mispAttribute) named(d *document.Document) (e document.Entry, ok bool) {
	value := string(a.Value)
	switch a.Type {
	case "domain", "hostname", "url":
	case "domain|ip", "hostname|port":
		value, _, _ = strings.Cut(value, "|")
	default:
		return e, false
	}
	e, err := a.evidence()
	if err != nil {
		return e, false
	}
	if e.Name, e.OfURL = d.NameOf(value); e.Name != "" && a.Type != "domain|ip" {
		d.Named()
	}
	return e, e.Name != ""
}

func mispTLP(tags []mispTag) string {
	label := ""
	for _, t := range tags {
		label = document.Stricter(label, document.TLPOf(string(t.Name)))
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
		if c := document.CategoryOf(strings.Trim(name, `"`)); c != "" {
			return c
		}
	}
	return ""
}

// A mispEvent is a MISP event while it is read.
type mispEvent struct {
	j                     *jsonwalk.Reader
	uuid, info, timestamp jsonwalk.Text
	tags                  []mispTag
	batch                 document.Batch
}

func newMISPEvent(j *jsonwalk.Reader) *mispEvent {
	e := &mispEvent{j: j}
	e.batch = document.Batch{Fill: e.fill, Known: func() bool { return e.uuid != "" }}
	return e
}

// key reads one member of the event.
func (e *mispEvent) key(name string) error {
	switch name {
	case "uuid":
		return e.j.Row(&e.uuid)
	case "info":
		e.j.Known = true
		return e.j.Row(&e.info)
	case "timestamp":
		return e.j.Row(&e.timestamp)
	case "Tag":
		return e.j.Row(&e.tags)
	case "Attribute":
		e.j.Known = true
		return e.j.Walk(jsonwalk.Handlers{Item: func() error { return e.attribute(e.add) }})
	case "Object":
		e.j.Known = true
		return e.j.Walk(jsonwalk.Handlers{Item: e.object})
	}
	return e.j.Skip()
}

// A mispRow is what an attribute comes to: an entry, or why it is none.
type mispRow struct {
	line  int
	entry document.Entry
	text  string // for the sample of a rejected row
	err   error
}

// attribute reads one attribute and gives what it comes to on to take.
func (e *mispEvent) attribute(take func(mispRow) error) error {
	var a mispAttribute
	if err := e.j.Row(&a); err != nil {
		return err
	}
	if named, ok := a.named(e.j.Doc); ok {
		if err := take(e.row(named, &a)); err != nil {
			return err
		}
	}
	entry, err := a.entry()
	if err != nil {
		return take(mispRow{line: e.j.Doc.Line, text: document.Bounded(string(a.Type)+" "+string(a.Value), 2*document.MaxSampleBytes), err: err})
	}
	return take(e.row(entry, &a))
}

// row makes the row of an entry of an attribute.
func (e *mispEvent) row(entry document.Entry, a *mispAttribute) mispRow {
	if e.uuid == "" && a.Event.UUID != "" {
		e.mark(&entry, a.Event.UUID, a.Event.Info)
	}
	entry.Tidy()
	return mispRow{line: e.j.Doc.Line, entry: entry}
}

// add puts the entry of an attribute into the batch.
func (e *mispEvent) add(row mispRow) error {
	if row.err != nil {
		e.j.Doc.RejectAt(row.line, row.text, row.err)
		return nil
	}
	e.j.Doc.Line = row.line
	return e.batch.Add(e.j.Doc, row.entry)
}

// maxObjectAttributes is how many attributes of one object are kept until it is
// known whether the object is deleted.
const maxObjectAttributes = 10000

// object reads one object of the event. The attributes of a deleted one are no
// rows at all.
func (e *mispEvent) object() error {
	var rows []mispRow
	var deleted jsonwalk.Text
	keep := func(row mispRow) error {
		if len(rows) == maxObjectAttributes {
			return e.j.Doc.Refuse("an object has more than %d attributes", maxObjectAttributes)
		}
		rows = append(rows, row)
		return nil
	}
	err := e.j.Walk(jsonwalk.Handlers{Key: func(name string) error {
		switch name {
		case "deleted":
			return e.j.Row(&deleted)
		case "Attribute":
			return e.j.Walk(jsonwalk.Handlers{Item: func() error { return e.attribute(keep) }})
		}
		return e.j.Skip()
	}})
	if err != nil {
		return err
	}
	if deleted.Yes() {
		for i := range rows {
			if rows[i].entry.Name == "" {
				e.j.Doc.Report.Skipped++
			}
		}
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
func (e *mispEvent) fill(entry *document.Entry) {
	if entry.NativeID == "" {
		e.mark(entry, e.uuid, e.info)
	}
	if entry.Category == "" {
		entry.Category = mispCategory(e.tags)
	}
	entry.TLP = document.Stricter(entry.TLP, mispTLP(e.tags))
	if entry.LastSeen.IsZero() {
		entry.LastSeen = dates.Parse(string(e.timestamp))
	}
}

// mark names the event in an entry.
func (e *mispEvent) mark(entry *document.Entry, uuid, info jsonwalk.Text) {
	entry.NativeID = string(uuid)
	entry.Description = document.JoinWords(string(info), entry.Description)
	if base := e.j.Doc.Opts.BaseURL; base != "" && uuid != "" {
		entry.Ref = strings.TrimSuffix(base, "/") + "/events/view/" + document.PathEscape(uuid)
	}
}

// end hands the event on.
func (e *mispEvent) end() error {
	if seen := e.j.Doc.Opts.Seen; seen != nil && e.uuid != "" {
		seen(document.Object{ID: document.ObjectID(e.uuid), Modified: dates.Parse(string(e.timestamp))})
	}
	return e.batch.Flush(e.j.Doc)
}

// MISP parses events: {"Event"}, {"response"} with a list or an object, a bare
// event, or a list of any of them.
func MISP(d *document.Document, src *document.Source, _ string) error {
	j := jsonwalk.New(d, src)
	item := func() error { return j.Element(func() error { return mispItem(j, nil) }) }
	single := newMISPEvent(j)
	key := mispKey(j, single, true)
	if err := j.Document("an Event", jsonwalk.Handlers{Item: item, Key: key}); err != nil {
		return err
	}
	return single.end()
}

// mispItem walks one event, wrapped or bare; item takes the elements of a list in
// its place.
func mispItem(j *jsonwalk.Reader, item func() error) error {
	bare := newMISPEvent(j)
	h := jsonwalk.Handlers{Item: item, Key: mispKey(j, bare, false), Known: true}
	if item != nil {
		h.Scalar = j.OddScalar
	}
	if err := j.Walk(h); err != nil {
		return err
	}
	return bare.end()
}

// mispKey handles the members of a wrapper; all others are those of a bare event.
func mispKey(j *jsonwalk.Reader, bare *mispEvent, top bool) func(string) error {
	return func(name string) error {
		switch {
		case name == "Event":
			j.Known = true
			event := newMISPEvent(j)
			if err := j.Walk(jsonwalk.Handlers{Key: event.key, Scalar: j.OddScalar}); err != nil {
				return err
			}
			return event.end()
		case name == "response" && top:
			j.Known = true
			return j.Element(func() error {
				return mispItem(j, func() error { return j.Element(func() error { return mispItem(j, nil) }) })
			})
		}
		return bare.key(name)
	}
}

// MISPWarnings parses a warninglist: an object with a list of plain tokens.
func MISPWarnings(d *document.Document, src *document.Source, _ string) error {
	j := jsonwalk.New(d, src)
	key := func(name string) error {
		if name != "list" {
			return j.SkipDated(name)
		}
		return j.List(name, func() error { return warnItem(j) })
	}
	return j.Document("an object with a list", jsonwalk.Handlers{Key: key})
}

func warnItem(j *jsonwalk.Reader) error {
	var token jsonwalk.Text
	if err := j.Row(&token); err != nil {
		return err
	}
	p, port, err := prefix.Token(document.Unquote(document.Trim(string(token))))
	if err != nil {
		j.Doc.Reject(string(token), err)
		return nil
	}
	return j.Doc.Accept(document.Entry{Indicator: intel.Indicator{Prefix: p, Port: port}})
}

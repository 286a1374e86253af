package platforms

import (
	"errors"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var (
	errInactive = errors.New("not active")
	errNoPulse  = errors.New("an indicator without pulse; the format is otx-export")
)

// otxIndicator is one indicator of a pulse, of an export or of a page of them.
type otxIndicator struct {
	Indicator  jsonwalk.Text `json:"indicator"`
	Type       jsonwalk.Text `json:"type"`
	Created    jsonwalk.Text `json:"created"`
	Title      jsonwalk.Text `json:"title"`
	Expiration jsonwalk.Text `json:"expiration"`
	IsActive   jsonwalk.Text `json:"is_active"`
	Role       jsonwalk.Text `json:"role"`
	PulseKey   jsonwalk.Text `json:"pulse_key"`
}

// entry checks type, state and value of the indicator.
func (i *otxIndicator) entry(now time.Time) (document.Entry, error) {
	if !IsOTXAddressType(string(i.Type)) {
		return document.Entry{}, document.ErrOtherType
	}
	e, err := i.evidence(now)
	if err != nil {
		return e, err
	}
	e.Prefix, err = prefix.Parse(document.Trim(string(i.Indicator)))
	return e, err
}

// evidence gives what an entry has beside its value, if the indicator is in force.
func (i *otxIndicator) evidence(now time.Time) (document.Entry, error) {
	expires := dates.Parse(string(i.Expiration))
	switch {
	case i.IsActive.No():
		return document.Entry{}, errInactive
	case !expires.IsZero() && !expires.After(now):
		return document.Entry{}, document.ErrExpired
	}
	return document.Entry{Indicator: intel.Indicator{
		Category:    document.CategoryOf(i.Role),
		Description: string(i.Title),
		FirstSeen:   dates.Parse(string(i.Created)),
		Expires:     expires,
	}}, nil
}

// named gives the entry of an indicator that is a name; ok is false for all others.
func (i *otxIndicator) named(d *document.Document) (e document.Entry, ok bool) {
	if !IsOTXNameType(string(i.Type)) {
		return e, false
	}
	e, err := i.evidence(d.Opts.Now)
	if err != nil {
		return e, false
	}
	if e.Name, e.OfURL = d.NameOf(string(i.Indicator)); e.Name != "" {
		d.Named()
	}
	return e, e.Name != ""
}

// IsOTXAddressType recognises the types of indicators that are addresses.
func IsOTXAddressType(t string) bool { return t == "IPv4" || t == "IPv6" || t == "CIDR" }

// IsOTXNameType recognises the types of indicators that are names, or URLs with one.
func IsOTXNameType(t string) bool {
	return t == "domain" || t == "hostname" || t == "URL"
}

func otxPulseRef(id string) string {
	return "https://otx.alienvault.com/pulse/" + document.PathEscape(id)
}

// A pulse is an OTX pulse while it is read.
type pulse struct {
	j                 *jsonwalk.Reader
	id, name, tlp     jsonwalk.Text
	modified, created jsonwalk.Text
	more              jsonwalk.Text
	tags              jsonwalk.Words
	batch             document.Batch
}

func newPulse(j *jsonwalk.Reader) *pulse {
	p := &pulse{j: j}
	p.batch = document.Batch{Fill: p.fill, Known: func() bool { return p.id != "" }}
	return p
}

// key reads one member of the pulse.
func (p *pulse) key(name string) error {
	switch name {
	case "id":
		p.j.Known = true
		return p.j.Row(&p.id)
	case "name":
		return p.j.Row(&p.name)
	case "tlp", "TLP":
		return p.j.Row(&p.tlp)
	case "modified":
		return p.j.Row(&p.modified)
	case "created":
		return p.j.Row(&p.created)
	case "more_indicators":
		return p.j.Row(&p.more)
	case "tags":
		return p.j.Row(&p.tags)
	case "indicators":
		p.j.Known = true
		return p.j.Walk(jsonwalk.Handlers{Item: p.indicator})
	case "indicator":
		return p.stray()
	}
	return p.j.Skip()
}

// stray counts an indicator that stands where a pulse should.
func (p *pulse) stray() error {
	var value jsonwalk.Text
	if err := p.j.Row(&value); err != nil {
		return err
	}
	p.j.Doc.Reject(string(value), errNoPulse)
	return nil
}

func (p *pulse) indicator() error {
	var i otxIndicator
	if err := p.j.Row(&i); err != nil {
		return err
	}
	e, err := i.entry(p.j.Doc.Opts.Now)
	if err != nil {
		p.j.Doc.Reject(string(i.Type)+" "+string(i.Indicator), err)
		var ok bool
		if e, ok = i.named(p.j.Doc); !ok {
			return nil
		}
	}
	return p.batch.Add(p.j.Doc, e)
}

// fill adds the evidence of the pulse to one of its indicators.
func (p *pulse) fill(e *document.Entry) {
	if p.id != "" {
		e.NativeID, e.Ref = string(p.id), otxPulseRef(string(p.id))
	}
	e.Description = document.JoinWords(string(p.name), e.Description)
	e.TLP = document.TLPOf(string(p.tlp))
	e.LastSeen = dates.Parse(string(p.modified))
	if e.FirstSeen.IsZero() {
		e.FirstSeen = dates.Parse(string(p.created))
	}
	if e.Category == "" {
		e.Category = document.CategoryOf(p.tags...)
	}
}

// end hands the pulse on.
func (p *pulse) end() error {
	if seen := p.j.Doc.Opts.Seen; seen != nil && p.id != "" {
		seen(document.Object{
			ID:       document.ObjectID(p.id),
			Modified: dates.Parse(string(p.modified)),
			More:     p.more.Yes(),
		})
	}
	return p.batch.Flush(p.j.Doc)
}

// OTX parses pulses: a page with results, a bare list, or one pulse.
func OTX(d *document.Document, src *document.Source, _ string) error {
	j := jsonwalk.New(d, src)
	single := newPulse(j)
	item := func() error {
		p := newPulse(j)
		if err := j.Element(func() error { return j.Walk(jsonwalk.Handlers{Key: p.key}) }); err != nil {
			return err
		}
		return p.end()
	}
	if err := otxPage(j, item, single.key); err != nil {
		return err
	}
	return single.end()
}

// OTXExport parses a page of indicators without their pulses.
func OTXExport(d *document.Document, src *document.Source, _ string) error {
	j := jsonwalk.New(d, src)
	item := func() error { return otxExported(j) }
	return otxPage(j, item, func(string) error { return j.Skip() })
}

func otxExported(j *jsonwalk.Reader) error {
	var i otxIndicator
	if err := j.Row(&i); err != nil {
		return err
	}
	e, err := i.entry(j.Doc.Opts.Now)
	if err != nil {
		j.Doc.Reject(string(i.Type)+" "+string(i.Indicator), err)
		var ok bool
		if e, ok = i.named(j.Doc); !ok {
			return nil
		}
	}
	if id := string(i.PulseKey); id != "" {
		e.NativeID, e.Ref = id, otxPulseRef(id)
	}
	return j.Doc.Accept(e)
}

// otxPage walks a page envelope or a bare list; other takes the members of an
// object that are not those of an envelope.
func otxPage(j *jsonwalk.Reader, item func() error, other func(string) error) error {
	var next jsonwalk.Text
	key := func(name string) error {
		switch name {
		case "results":
			return j.List(name, item)
		case "next":
			return j.Row(&next)
		}
		return other(name)
	}
	err := j.Document("pulses or results", jsonwalk.Handlers{Item: item, Key: key})
	j.Doc.Report.Next, j.Doc.Report.More = string(next), next != ""
	return err
}

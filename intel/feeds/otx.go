package feeds

import (
	"errors"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errOtherType = errors.New("not of an address type")
	errInactive  = errors.New("not active")
	errExpired   = errors.New("expired")
	errNoPulse   = errors.New("an indicator without pulse; the format is otx-export")
)

// otxIndicator is one indicator of a pulse, of an export or of a page of them.
type otxIndicator struct {
	Indicator  text `json:"indicator"`
	Type       text `json:"type"`
	Created    text `json:"created"`
	Title      text `json:"title"`
	Expiration text `json:"expiration"`
	IsActive   text `json:"is_active"`
	Role       text `json:"role"`
	PulseKey   text `json:"pulse_key"`
}

// entry checks type, state and value of the indicator.
func (i *otxIndicator) entry(now time.Time) (Entry, error) {
	expires := parseTime(string(i.Expiration))
	switch {
	case !isOTXAddressType(string(i.Type)):
		return Entry{}, errOtherType
	case i.IsActive.no():
		return Entry{}, errInactive
	case !expires.IsZero() && !expires.After(now):
		return Entry{}, errExpired
	}
	p, err := parsePrefix(trim(string(i.Indicator)))
	return Entry{Indicator: intel.Indicator{
		Prefix:      p,
		Category:    categoryOf(i.Role),
		Description: string(i.Title),
		FirstSeen:   parseTime(string(i.Created)),
		Expires:     expires,
	}}, err
}

func isOTXAddressType(t string) bool { return t == "IPv4" || t == "IPv6" || t == "CIDR" }

func otxPulseRef(id string) string {
	return "https://otx.alienvault.com/pulse/" + pathEscape(id)
}

// A pulse is an OTX pulse while it is read.
type pulse struct {
	j                 *jsonReader
	id, name, tlp     text
	modified, created text
	more              text
	tags              words
	batch             batch
}

func newPulse(j *jsonReader) *pulse {
	p := &pulse{j: j}
	p.batch = batch{fill: p.fill, known: func() bool { return p.id != "" }}
	return p
}

// key reads one member of the pulse.
func (p *pulse) key(name string) error {
	switch name {
	case "id":
		p.j.known = true
		return p.j.row(&p.id)
	case "name":
		return p.j.row(&p.name)
	case "tlp", "TLP":
		return p.j.row(&p.tlp)
	case "modified":
		return p.j.row(&p.modified)
	case "created":
		return p.j.row(&p.created)
	case "more_indicators":
		return p.j.row(&p.more)
	case "tags":
		return p.j.row(&p.tags)
	case "indicators":
		p.j.known = true
		return p.j.walk(handlers{item: p.indicator})
	case "indicator":
		return p.stray()
	}
	return p.j.skip()
}

// stray counts an indicator that stands where a pulse should.
func (p *pulse) stray() error {
	var value text
	if err := p.j.row(&value); err != nil {
		return err
	}
	p.j.d.reject(string(value), errNoPulse)
	return nil
}

func (p *pulse) indicator() error {
	var i otxIndicator
	if err := p.j.row(&i); err != nil {
		return err
	}
	e, err := i.entry(p.j.d.opts.Now)
	if err != nil {
		p.j.d.reject(string(i.Type)+" "+string(i.Indicator), err)
		return nil
	}
	return p.batch.add(p.j.d, e)
}

// fill adds the evidence of the pulse to one of its indicators.
func (p *pulse) fill(e *Entry) {
	if p.id != "" {
		e.NativeID, e.Ref = string(p.id), otxPulseRef(string(p.id))
	}
	e.Description = joinWords(string(p.name), e.Description)
	e.TLP = tlpOf(string(p.tlp))
	e.LastSeen = parseTime(string(p.modified))
	if e.FirstSeen.IsZero() {
		e.FirstSeen = parseTime(string(p.created))
	}
	if e.Category == "" {
		e.Category = categoryOf(p.tags...)
	}
}

// end hands the pulse on.
func (p *pulse) end() error {
	if seen := p.j.d.opts.Seen; seen != nil && p.id != "" {
		seen(Object{
			ID:       objectID(p.id),
			Modified: parseTime(string(p.modified)),
			More:     p.more.yes(),
		})
	}
	return p.batch.flush(p.j.d)
}

// runOTX parses pulses: a page with results, a bare list, or one pulse.
func runOTX(d *document, src *source, _ string) error {
	j := newJSONReader(d, src)
	single := newPulse(j)
	item := func() error {
		p := newPulse(j)
		if err := j.element(func() error { return j.walk(handlers{key: p.key}) }); err != nil {
			return err
		}
		return p.end()
	}
	if err := j.otxPage(item, single.key); err != nil {
		return err
	}
	return single.end()
}

// runOTXExport parses a page of indicators without their pulses.
func runOTXExport(d *document, src *source, _ string) error {
	j := newJSONReader(d, src)
	item := func() error { return j.otxExported() }
	return j.otxPage(item, func(string) error { return j.skip() })
}

func (j *jsonReader) otxExported() error {
	var i otxIndicator
	if err := j.row(&i); err != nil {
		return err
	}
	e, err := i.entry(j.d.opts.Now)
	if err != nil {
		j.d.reject(string(i.Type)+" "+string(i.Indicator), err)
		return nil
	}
	if id := string(i.PulseKey); id != "" {
		e.NativeID, e.Ref = id, otxPulseRef(id)
	}
	return j.d.accept(e)
}

// otxPage walks a page envelope or a bare list; other takes the members of an
// object that are not those of an envelope.
func (j *jsonReader) otxPage(item func() error, other func(string) error) error {
	var next text
	key := func(name string) error {
		switch name {
		case "results":
			return j.list(name, item)
		case "next":
			return j.row(&next)
		}
		return other(name)
	}
	err := j.document("pulses or results", handlers{item: item, key: key})
	j.d.report.Next, j.d.report.More = string(next), next != ""
	return err
}

// joinWords joins what is not empty with ": ".
func joinWords(a, b string) string {
	if a, b = trim(a), trim(b); a == "" || b == "" {
		return a + b
	}
	return a + ": " + b
}

package feeds

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errPatternType = errors.New("pattern_type is not stix")
	errRevoked     = errors.New("revoked")
	errNotYetValid = errors.New("not yet valid")
	errNoAddresses = errors.New("pattern names no address")
)

// maxSTIXIndicators is how many indicators of one document are held until the
// newest version of each is known.
const maxSTIXIndicators = 1 << 20

// stixIndicator is an object of a bundle or envelope, as far as indicators go.
type stixIndicator struct {
	Type           text  `json:"type"`
	ID             text  `json:"id"`
	Name           text  `json:"name"`
	Description    text  `json:"description"`
	Pattern        text  `json:"pattern"`
	PatternType    text  `json:"pattern_type"`
	Modified       text  `json:"modified"`
	ValidFrom      text  `json:"valid_from"`
	ValidUntil     text  `json:"valid_until"`
	Revoked        text  `json:"revoked"`
	Confidence     text  `json:"confidence"`
	Labels         words `json:"labels"`
	IndicatorTypes words `json:"indicator_types"`
	Markings       words `json:"object_marking_refs"`
	KillChain      []struct {
		Phase text `json:"phase_name"`
	} `json:"kill_chain_phases"`
	References []struct {
		URL text `json:"url"`
	} `json:"external_references"`
}

// values checks state and validity and reads the pattern.
func (s *stixIndicator) values(now time.Time) ([]string, error) {
	from, until := parseTime(string(s.ValidFrom)), parseTime(string(s.ValidUntil))
	switch {
	case s.PatternType != "" && s.PatternType != "stix":
		return nil, errPatternType
	case s.Revoked.yes():
		return nil, errRevoked
	case from.After(now):
		return nil, errNotYetValid
	case !until.IsZero() && !until.After(now):
		return nil, errExpired
	}
	return patternAddresses(string(s.Pattern))
}

// template makes the entry that all addresses of the pattern share.
func (s *stixIndicator) template() Entry {
	e := Entry{Indicator: intel.Indicator{
		Score:       scoreOf(string(s.Confidence)),
		Category:    s.category(),
		Description: joinWords(string(s.Name), string(s.Description)),
		NativeID:    string(s.ID),
		FirstSeen:   parseTime(string(s.ValidFrom)),
		LastSeen:    parseTime(string(s.Modified)),
		Expires:     parseTime(string(s.ValidUntil)),
	}}
	for _, r := range s.References {
		if e.Ref = webURL(string(r.URL)); e.Ref != "" {
			break
		}
	}
	for _, m := range s.Markings {
		e.TLP = stricter(e.TLP, stixTLP(string(m)))
	}
	return e
}

func (s *stixIndicator) category() string {
	var terms words
	for _, k := range s.KillChain {
		terms = append(terms, k.Phase)
	}
	return categoryOf(append(append(terms, s.Labels...), s.IndicatorTypes...)...)
}

// stixTLP knows the marking definitions of TLP 1.0 (STIX 2.1 section 7.2.1.4) and
// TLP 2.0 (the OASIS extension) by their fixed ids.
func stixTLP(ref string) string {
	switch strings.TrimPrefix(ref, "marking-definition--") {
	case "613f2e26-407d-48c7-9eca-b8e91df99dc9", "94868c89-83c2-464b-929b-a1a8aa3c8487":
		return "white"
	case "34098fce-860f-48ae-8e50-ebd3cc5e41da", "bab4a63c-aed9-4cf5-a766-dfca5abac2bb":
		return "green"
	case "f88d31f6-486f-44da-b317-01333bde0b82", "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
		"939a9414-2ddd-4d32-a0cd-375ea402b003":
		return "amber"
	case "5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "e828b379-4e03-4974-9ac4-e53a884c97c1":
		return "red"
	}
	return ""
}

// stixVersions holds the newest version of every indicator of a document.
type stixVersions struct {
	j     *jsonReader
	byID  map[string]int // index into list
	list  []stixVersion
	count int
}

type stixVersion struct {
	object  Object
	entries []Entry
}

// object reads one object; what is no indicator is passed over.
func (v *stixVersions) object() error {
	var s stixIndicator
	if err := v.j.row(&s); err != nil {
		return err
	}
	if s.Type != "indicator" {
		return nil
	}
	if v.count++; v.count > maxSTIXIndicators {
		return v.j.d.refuse("more than %d indicators in one document", maxSTIXIndicators)
	}
	version := stixVersion{
		object:  Object{ID: string(s.ID), Modified: parseTime(string(s.Modified)), Revoked: s.Revoked.yes()},
		entries: v.entries(&s),
	}
	v.keep(version)
	return nil
}

// entries makes the entries of one version; what cannot be used is counted.
func (v *stixVersions) entries(s *stixIndicator) []Entry {
	d := v.j.d
	values, err := s.values(d.opts.Now)
	if err != nil {
		d.reject(string(s.ID)+" "+string(s.Pattern), err)
		return nil
	}
	entries := make([]Entry, 0, len(values))
	for _, value := range values {
		var p netip.Prefix
		if p, err = parsePrefix(trim(value)); err != nil {
			d.reject(string(s.ID)+" "+value, err)
			continue
		}
		e := s.template()
		e.Prefix, e.Line = p, d.line
		entries = append(entries, e)
	}
	return entries
}

// keep puts a version in its place: a newer one replaces, an older one is
// skipped, and one of the same time adds to what is there.
func (v *stixVersions) keep(version stixVersion) {
	i, found := v.byID[version.object.ID]
	if !found || version.object.ID == "" {
		v.byID[version.object.ID] = len(v.list)
		v.list = append(v.list, version)
		return
	}
	old := &v.list[i]
	switch version.object.Modified.Compare(old.object.Modified) {
	case 1:
		v.j.d.report.Skipped += len(old.entries)
		*old = version
	case -1:
		v.j.d.report.Skipped += len(version.entries)
	default:
		old.entries = append(old.entries, version.entries...)
	}
}

// flush hands on the newest versions in the order of the first ones.
func (v *stixVersions) flush() error {
	d := v.j.d
	for i := range v.list {
		if o := v.list[i].object; d.opts.Seen != nil && o.ID != "" {
			d.opts.Seen(o)
		}
		for _, e := range v.list[i].entries {
			if err := d.accept(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// runSTIX parses a bundle, a TAXII envelope or a bare list of objects.
func runSTIX(d *document, src *source, _ string) error {
	j := newJSONReader(d, src)
	v := &stixVersions{j: j, byID: make(map[string]int)}
	var next, more, kind text
	key := func(name string) error {
		switch name {
		case "objects":
			j.known = true
			return j.walk(handlers{item: v.object})
		case "more":
			j.known = true
			return j.row(&more)
		case "next":
			return j.row(&next)
		case "type":
			err := j.row(&kind)
			j.known = j.known || kind == "bundle"
			return err
		}
		return j.skip()
	}
	if err := j.document("a bundle or envelope with objects", handlers{item: v.object, key: key}); err != nil {
		return err
	}
	d.report.Next, d.report.More = string(next), more.yes()
	return v.flush()
}

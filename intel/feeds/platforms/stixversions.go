package platforms

import (
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// What may be held until the newest version of each indicator is known.
const (
	maxSTIXIndicators = 1 << 19
	maxSTIXPrefixes   = 1 << 21
)

// stixVersions holds the newest version of every indicator of a document.
type stixVersions struct {
	j        *jsonwalk.Reader
	byID     map[string]int // index into list
	list     []stixVersion
	prefixes int // read so far
}

// A stixVersion is an indicator with the prefixes that its pattern names.
type stixVersion struct {
	object   document.Object
	entry    document.Entry // without prefix, port and name
	prefixes []stixPrefix
	names    []stixName
}

type stixName struct {
	name  string
	ofURL bool
}

type stixPrefix struct {
	netip.Prefix
	port uint16
}

// object reads one object; what is no indicator is passed over.
func (v *stixVersions) object() error {
	var s stixIndicator
	if err := v.j.Row(&s); err != nil {
		return err
	}
	switch s.Type {
	case "indicator":
	case "":
		v.j.Doc.Reject("", errNoObject)
		return nil
	default:
		v.j.Doc.Report.Skipped++ // addresses seen, reports, relations: no indicators
		return nil
	}
	prefixes, names := v.usable(&s)
	v.prefixes += len(prefixes) + len(names)
	if len(v.list) == maxSTIXIndicators || v.prefixes > maxSTIXPrefixes {
		return v.j.Doc.Refuse("more than %d indicators or %d addresses in one document", maxSTIXIndicators, maxSTIXPrefixes)
	}
	v.keep(stixVersion{
		object:   document.Object{ID: document.ObjectID(s.ID), Modified: dates.Parse(string(s.Modified)), Revoked: s.Revoked.Yes()},
		entry:    s.entry(v.j.Doc.Line),
		prefixes: prefixes,
		names:    names,
	})
	return nil
}

// usable gives the prefixes and names of one version; what cannot be used is counted.
func (v *stixVersions) usable(s *stixIndicator) (prefixes []stixPrefix, names []stixName) {
	d := v.j.Doc
	values, named, err := s.values(d.Opts.Now)
	for _, n := range named {
		text := n.Value
		if n.OfURL && !strings.Contains(text, "://") {
			continue
		}
		if name, ofURL := d.NameOf(text); name != "" {
			names = append(names, stixName{name, ofURL})
		}
	}
	if err != nil {
		d.Reject(string(s.ID)+" "+string(s.Pattern), err)
		if len(names) > 0 {
			d.Named()
		}
		return nil, names
	}
	prefixes = make([]stixPrefix, 0, len(values))
	for _, value := range values {
		p, err := prefix.Parse(document.Trim(value.Value))
		if err != nil {
			d.Reject(string(s.ID)+" "+value.Value, err)
			continue
		}
		prefixes = append(prefixes, stixPrefix{p, value.Port})
	}
	return prefixes, names
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
		v.j.Doc.Report.Skipped += len(old.prefixes)
		*old = version
	case -1:
		v.j.Doc.Report.Skipped += len(version.prefixes)
	default:
		old.prefixes = append(old.prefixes, version.prefixes...)
		old.names = append(old.names, version.names...)
	}
}

// flush hands on the newest versions in the order of the first ones.
func (v *stixVersions) flush() error {
	d := v.j.Doc
	for _, version := range v.list {
		if o := version.object; d.Opts.Seen != nil && o.ID != "" {
			d.Opts.Seen(o)
		}
		e := version.entry
		for _, p := range version.prefixes {
			e.Prefix, e.Port = p.Prefix, p.port
			if err := d.Accept(e); err != nil {
				return err
			}
		}
		e = version.entry
		for _, n := range version.names {
			e.Name, e.OfURL = n.name, n.ofURL
			if err := d.Accept(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// STIX parses a bundle, a TAXII envelope or a bare list of objects.
func STIX(d *document.Document, src *document.Source, _ string) error {
	j := jsonwalk.New(d, src)
	v := &stixVersions{j: j, byID: make(map[string]int)}
	var next, more, kind jsonwalk.Text
	key := func(name string) error {
		switch name {
		case "objects":
			return j.List(name, v.object)
		case "more":
			j.Known = true
			return j.Row(&more)
		case "next":
			return j.Row(&next)
		case "type":
			err := j.Row(&kind)
			j.Known = j.Known || kind == "bundle"
			return err
		}
		return j.Skip()
	}
	if err := j.Document("a bundle or envelope with objects", jsonwalk.Handlers{Item: v.object, Key: key}); err != nil {
		return err
	}
	d.Report.Next, d.Report.More = string(next), more.Yes()
	return v.flush()
}

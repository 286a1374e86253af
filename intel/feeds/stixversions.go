package feeds

import "net/netip"

// What may be held until the newest version of each indicator is known.
const (
	maxSTIXIndicators = 1 << 19
	maxSTIXPrefixes   = 1 << 21
)

// stixVersions holds the newest version of every indicator of a document.
type stixVersions struct {
	j        *jsonReader
	byID     map[string]int // index into list
	list     []stixVersion
	prefixes int // read so far
}

// A stixVersion is an indicator with the prefixes that its pattern names.
type stixVersion struct {
	object   Object
	entry    Entry // without prefix and port
	prefixes []stixPrefix
}

type stixPrefix struct {
	netip.Prefix
	port uint16
}

// object reads one object; what is no indicator is passed over.
func (v *stixVersions) object() error {
	var s stixIndicator
	if err := v.j.row(&s); err != nil {
		return err
	}
	switch s.Type {
	case "indicator":
	case "":
		v.j.d.reject("", errNoObject)
		return nil
	default:
		v.j.d.report.Skipped++ // addresses seen, reports, relations: no indicators
		return nil
	}
	prefixes := v.usable(&s)
	v.prefixes += len(prefixes)
	if len(v.list) == maxSTIXIndicators || v.prefixes > maxSTIXPrefixes {
		return v.j.d.refuse("more than %d indicators or %d addresses in one document", maxSTIXIndicators, maxSTIXPrefixes)
	}
	v.keep(stixVersion{
		object:   Object{ID: objectID(s.ID), Modified: parseTime(string(s.Modified)), Revoked: s.Revoked.yes()},
		entry:    s.entry(v.j.d.line),
		prefixes: prefixes,
	})
	return nil
}

// usable gives the prefixes of one version; what cannot be used is counted.
func (v *stixVersions) usable(s *stixIndicator) []stixPrefix {
	d := v.j.d
	values, err := s.values(d.opts.Now)
	if err != nil {
		d.reject(string(s.ID)+" "+string(s.Pattern), err)
		return nil
	}
	prefixes := make([]stixPrefix, 0, len(values))
	for _, value := range values {
		p, err := parsePrefix(trim(value.value))
		if err != nil {
			d.reject(string(s.ID)+" "+value.value, err)
			continue
		}
		prefixes = append(prefixes, stixPrefix{p, value.port})
	}
	return prefixes
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
		v.j.d.report.Skipped += len(old.prefixes)
		*old = version
	case -1:
		v.j.d.report.Skipped += len(version.prefixes)
	default:
		old.prefixes = append(old.prefixes, version.prefixes...)
	}
}

// flush hands on the newest versions in the order of the first ones.
func (v *stixVersions) flush() error {
	d := v.j.d
	for _, version := range v.list {
		if o := version.object; d.opts.Seen != nil && o.ID != "" {
			d.opts.Seen(o)
		}
		e := version.entry
		for _, p := range version.prefixes {
			e.Prefix, e.Port = p.Prefix, p.port
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
			return j.list(name, v.object)
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

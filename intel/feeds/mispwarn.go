package feeds

import "github.com/flowsnitch/flowsnitch/intel"

// runMISPWarn parses a warninglist: an object with a list of plain tokens.
func runMISPWarn(d *document, src *source, _ string) error {
	j := newJSONReader(d, src)
	key := func(name string) error {
		if name != "list" {
			return j.skipDated(name)
		}
		return j.list(name, j.warnItem)
	}
	return j.document("an object with a list", handlers{key: key})
}

func (j *jsonReader) warnItem() error {
	var token text
	if err := j.row(&token); err != nil {
		return err
	}
	p, port, err := parseToken(unquote(trim(string(token))))
	if err != nil {
		j.d.reject(string(token), err)
		return nil
	}
	return j.d.accept(Entry{Indicator: intel.Indicator{Prefix: p, Port: port}})
}

package platforms

import (
	"github.com/flowsnitch/flowsnitch/intel"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

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

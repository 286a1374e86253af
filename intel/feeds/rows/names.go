package rows

import (
	"errors"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/hostname"
)

var errHosts = errors.New("a row of a hosts file, which lists names")

// sinks are the addresses that hosts files give to names which must not be reached.
var sinks = []string{"0.0.0.0", "127.0.0.1", "::", "::1"}

// hostsRow recognises a row of a hosts file that blocks names, and gives these. Where names
// are not asked for, such a row lists its address, which no table takes.
func hostsRow(text string) (names []string, ok bool) {
	if len(text) > document.MaxShared || text == "" || text[0] != '0' && text[0] != '1' && text[0] != ':' {
		return nil, false
	}
	words := strings.Fields(text)
	if len(words) < 2 || !isSink(words[0]) {
		return nil, false
	}
	for _, w := range words[1:] {
		if name, err := hostname.Parse(w); err == nil && (hostname.IsPublic(name) || hostname.IsShared(name) || hostname.IsLocal(name)) {
			names = append(names, w)
		} else if !isLocalWord(w) {
			return nil, false
		}
	}
	return names, true
}

func isSink(s string) bool {
	for _, sink := range sinks {
		if s == sink {
			return true
		}
	}
	return false
}

// isLocalWord recognises what hosts files have for the machine itself.
func isLocalWord(s string) bool {
	return s == "localhost" || s == "local" || s == "broadcasthost" || strings.HasPrefix(s, "ip6-")
}

// isNameRow recognises a row that is a name or a URL, and no other word with a dot in it.
func isNameRow(text string) bool {
	if strings.ContainsAny(text, document.Space) || len(text) > document.MaxShared {
		return false
	}
	if strings.Contains(text, "://") {
		return true
	}
	name, err := hostname.Parse(text)
	return err == nil && (hostname.IsPublic(name) || hostname.IsShared(name))
}

// acceptNames hands on the names of a row.
func acceptNames(d *document.Document, names []string, note string) error {
	named := false
	for _, n := range names {
		e := document.Entry{Indicator: intel.Indicator{Description: note}}
		if e.Name, e.OfURL = d.NameOf(n); e.Name == "" {
			continue
		}
		if !named {
			d.Named()
			named = true
		}
		if err := d.Accept(e); err != nil {
			return err
		}
	}
	return nil
}

package target

import (
	"bufio"
	"fmt"

	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
)

// ipset is input of 'ipset restore' (ipset(8)): new sets are filled aside and exchanged for
// those that rules refer to.
var ipset = Target{
	Name:    "ipset",
	Help:    "sets of ipset with timeouts, exchanged at once",
	Example: "flowsnitch export ipset --set | ipset restore",
	load:    "ipset restore < FILE",
	undo:    "ipset flush NAME4; ipset flush NAME6",
	Can:     row.Can{Timeouts: true, Reasons: true},
	comment: "#",
	write:   writeIPSet,
}

const (
	// The options of a set are the same whatever is in it: a set that exists is not made
	// again only when its options are equal.
	ipsetOptions = "hash:net family %s hashsize 4096 maxelem 8388608 timeout 0 comment"
	// maxIPSetTimeout is the longest timeout of an ipset, in seconds.
	maxIPSetTimeout = 2_147_483
)

func writeIPSet(w *bufio.Writer, l *export.List) {
	for _, s := range []struct {
		suffix, family string
		four           bool
	}{{"4", "inet", true}, {"6", "inet6", false}} {
		name, options := l.Name()+s.suffix, fmt.Sprintf(ipsetOptions, s.family)
		fmt.Fprintf(w, "create %s %s -exist\n", name, options)
		fmt.Fprintf(w, "create %s.new %s -exist\n", name, options)
		fmt.Fprintf(w, "flush %s.new\n", name)
		for r := range l.Family(s.four, false) {
			fmt.Fprintf(w, "add %s.new %s timeout %s comment \"%s\"\n", name, r.Address(), seconds(l.Timeout(r), maxIPSetTimeout), r.Reason())
		}
		fmt.Fprintf(w, "swap %s.new %s\n", name, name)
		fmt.Fprintf(w, "destroy %s.new\n", name)
	}
}

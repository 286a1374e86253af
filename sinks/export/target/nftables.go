package target

import (
	"bufio"
	"fmt"
	"math"

	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
)

// nftables is a file for 'nft -f', which is one transaction: the sets are there and are
// what they were, or have all the new elements (nft(8), SETS).
var nftables = Target{
	Name:    "nftables",
	Help:    "sets of nftables with timeouts, exchanged in one transaction",
	Example: "flowsnitch export nftables --set | nft -f -",
	load:    "nft -f FILE",
	undo:    "nft delete table inet NAME",
	Can:     row.Can{Ports: true, Timeouts: true, Reasons: true},
	comment: "#",
	write:   writeNFTables,
}

// elements is how many elements a command adds: a command for all is slow to read.
const elements = 1000

func writeNFTables(w *bufio.Writer, l *export.List) {
	sets := []struct {
		name, keys  string
		four, ports bool
	}{
		{"v4", "ipv4_addr", true, false},
		{"v6", "ipv6_addr", false, false},
		{"v4port", "ipv4_addr . inet_service", true, true},
		{"v6port", "ipv6_addr . inet_service", false, true},
	}
	fmt.Fprintf(w, "table inet %s {\n", l.Name())
	for _, s := range sets {
		fmt.Fprintf(w, "\tset %s { type %s; flags interval, timeout; }\n", s.name, s.keys)
	}
	w.WriteString("}\n")
	for _, s := range sets {
		fmt.Fprintf(w, "flush set inet %s %s\n", l.Name(), s.name)
	}
	for _, s := range sets {
		n := 0
		for r := range l.Family(s.four, s.ports) {
			if n%elements == 0 {
				if n > 0 {
					w.WriteString("}\n")
				}
				fmt.Fprintf(w, "add element inet %s %s {\n", l.Name(), s.name)
			}
			n++
			w.WriteString(r.Address())
			if r.Port != 0 {
				fmt.Fprintf(w, " . %d", r.Port)
			}
			if d := l.Timeout(r); d > 0 {
				fmt.Fprintf(w, " timeout %ss", seconds(d, math.MaxUint32))
			}
			fmt.Fprintf(w, " comment \"%s\",\n", r.Reason())
		}
		if n > 0 {
			w.WriteString("}\n")
		}
	}
}

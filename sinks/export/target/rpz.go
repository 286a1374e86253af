package target

import (
	"bufio"
	"fmt"

	"github.com/flowsnitch/flowsnitch/sinks/export/names"
)

// rpz is a response policy zone (draft-vixie-dnsop-dns-rpz-00, 4.1): a listed name, and all
// below it, do not exist. What is allowed below one passes.
var rpz = Target{
	Name:    "rpz",
	Help:    "a response policy zone: the resolver denies listed names and all below them",
	Example: "flowsnitch export rpz --set > /var/lib/bind/flowsnitch-names.rpz && rndc reload flowsnitch-names.rpz",
	load:    "a zone of response-policy; rndc reload ZONE",
	undo:    "remove the zone from response-policy; rndc reconfig",
	comment: ";",
	// The name of the zone is appended, with "*." before it, and all of it has at most 253
	// characters: one that is too long would spoil the zone.
	LongestName: 253 - len("*.") - 64,
	writeNames: func(w *bufio.Writer, l *names.List) {
		w.WriteString("$TTL 300\n")
		fmt.Fprintf(w, "@ IN SOA localhost. root.localhost. %d 300 60 86400 60\n", l.Serial())
		w.WriteString("@ IN NS localhost.\n")
		for i := range l.Rows {
			r := &l.Rows[i]
			fmt.Fprintf(w, "%s IN CNAME .\n*.%s IN CNAME .\n", r.Name, r.Name)
			for _, a := range r.Except {
				fmt.Fprintf(w, "%s IN CNAME rpz-passthru.\n*.%s IN CNAME rpz-passthru.\n", a, a)
			}
		}
	},
}

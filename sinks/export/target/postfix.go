package target

import (
	"bufio"
	"fmt"

	"github.com/flowsnitch/flowsnitch/sinks/export/names"
)

// postfixAccess is an access table (access(5)), for names of clients, of HELO and of senders.
// A name with a full stop before it stands for all below where parent_domain_matches_subdomains
// does not have smtpd_access_maps.
var postfixAccess = Target{
	Name:        "postfix-access",
	Help:        "an access table of Postfix: clients and senders with listed names are refused",
	Example:     "flowsnitch export postfix-access --set > /etc/postfix/flowsnitch && postmap /etc/postfix/flowsnitch",
	load:        "postmap FILE",
	undo:        "remove the check_*_access that name the table; postfix reload",
	comment:     "#",
	LongestName: 253,
	writeNames: func(w *bufio.Writer, l *names.List) {
		for i := range l.Rows {
			r := &l.Rows[i]
			reason := r.Reason()
			fmt.Fprintf(w, "%s REJECT %s\n.%s REJECT %s\n", r.Name, reason, r.Name, reason)
			for _, a := range r.Except {
				fmt.Fprintf(w, "%s DUNNO\n.%s DUNNO\n", a, a)
			}
		}
	},
}

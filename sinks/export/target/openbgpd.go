package target

import (
	"bufio"
	"fmt"

	"github.com/flowsnitch/flowsnitch/sinks/export"
)

// openBGPD is a prefix set of OpenBGPD (bgpd.conf(5), PREFIX SET CONFIGURATION).
var openBGPD = Target{
	Name:    "openbgpd",
	Help:    "a prefix set of OpenBGPD",
	Example: "flowsnitch export openbgpd --set > /etc/bgpd.flowsnitch && bgpctl reload",
	load:    "include FILE in bgpd.conf; bgpctl reload",
	undo:    "remove the include and what refers to NAME; bgpctl reload",
	comment: "#",
	write: func(w *bufio.Writer, l *export.List) {
		fmt.Fprintf(w, "prefix-set %s {\n", l.Name())
		for r := range l.Rows {
			fmt.Fprintf(w, "\t%s\n", r.Prefix)
		}
		w.WriteString("}\n")
	},
}

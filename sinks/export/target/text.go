package target

import (
	"bufio"

	"github.com/flowsnitch/flowsnitch/sinks/export"
)

// text is what most programs take that load a list from a file or an address: the external
// lists of firewalls, aliases of pfSense and OPNsense, rwsetbuild of SiLK, squid.
var text = Target{
	Name:    "text",
	Help:    "one address or prefix a line: external lists of firewalls, aliases, SiLK, squid",
	Example: "flowsnitch export text --set > /var/www/html/block.txt",
	load:    "by the firewall, alias or program that reads the address or file of this list",
	undo:    "remove the list there",
	comment: "#",
	write:   writeLines,
}

func writeLines(w *bufio.Writer, l *export.List) {
	for r := range l.Rows {
		w.WriteString(r.Address())
		w.WriteByte('\n')
	}
}

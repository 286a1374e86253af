package target

import (
	"bufio"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/sinks/export"
)

// rpzIP is a response policy zone (draft-vixie-dnsop-dns-rpz-00, 4.3): answers with an
// address in the list become NXDOMAIN.
var rpzIP = Target{
	Name:    "rpz-ip",
	Help:    "a response policy zone: the resolver denies names that have a listed address",
	Example: "flowsnitch export rpz-ip --set > /var/lib/bind/flowsnitch.rpz && rndc reload flowsnitch.rpz",
	load:    "a zone of response-policy; rndc reload ZONE",
	undo:    "remove the zone from response-policy; rndc reconfig",
	comment: ";",
	write: func(w *bufio.Writer, l *export.List) {
		w.WriteString("$TTL 300\n")
		fmt.Fprintf(w, "@ IN SOA localhost. root.localhost. %d 300 60 86400 60\n", l.Serial())
		w.WriteString("@ IN NS localhost.\n")
		for r := range l.Rows {
			fmt.Fprintf(w, "%s.rpz-ip IN CNAME .\n", rpzName(r.Prefix))
		}
	},
}

// rpzName gives the labels of a prefix: its length, then the address backwards, with zz for
// the zeros that :: stands for.
func rpzName(p netip.Prefix) string {
	a := p.Addr()
	text := a.String()
	labels := strings.Split(text, ".")
	if a.Is6() {
		// In the text :: may stand at an end, where Split gives an empty label more.
		switch {
		case text == "::":
			text = "zz"
		case strings.HasPrefix(text, "::"):
			text = "zz:" + text[2:]
		case strings.HasSuffix(text, "::"):
			text = text[:len(text)-2] + ":zz"
		default:
			text = strings.Replace(text, "::", ":zz:", 1)
		}
		labels = strings.Split(text, ":")
	}
	slices.Reverse(labels)
	return fmt.Sprint(p.Bits(), ".", strings.Join(labels, "."))
}

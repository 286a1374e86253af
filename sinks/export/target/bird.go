package target

import (
	"bufio"
	"fmt"

	"github.com/flowsnitch/flowsnitch/sinks/export"
)

// bird is a part of the configuration of BIRD 2 (user's guide, 6.13 Static): blackhole
// routes with the community BLACKHOLE (RFC 7999).
var bird = Target{
	Name:    "bird",
	Help:    "blackhole routes of BIRD 2, with community 65535:666",
	Example: "flowsnitch export bird --set > /etc/bird/flowsnitch.conf && birdc configure",
	load:    "include FILE in bird.conf; birdc configure",
	undo:    "remove the include; birdc configure",
	comment: "#",
	write:   writeBIRD,
}

func writeBIRD(w *bufio.Writer, l *export.List) {
	for _, s := range []struct {
		suffix, channel string
		four            bool
	}{{"4", "ipv4", true}, {"6", "ipv6", false}} {
		fmt.Fprintf(w, "protocol static %s%s {\n", l.Name(), s.suffix)
		fmt.Fprintf(w, "\t%s {\n\t\timport filter { bgp_community.add((65535, 666)); accept; };\n\t};\n", s.channel)
		for r := range l.Family(s.four, false) {
			fmt.Fprintf(w, "\troute %s blackhole;\n", r.Prefix)
		}
		w.WriteString("}\n")
	}
}

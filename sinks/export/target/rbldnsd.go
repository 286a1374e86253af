package target

import (
	"bufio"
	"fmt"

	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
)

// rbldnsd is a combined dataset of rbldnsd(8) with a part for each family. It has the test
// points of RFC 5782: 127.0.0.2 and ::ffff:7f00:2 are listed, those that end in 1 are not.
var rbldnsd = Target{
	Name:    "rbldnsd",
	Help:    "a DNS block list of rbldnsd, for mail servers and whoever asks one",
	Example: "flowsnitch export rbldnsd --set > /var/lib/rbldns/flowsnitch; rbldnsd … bl.example.org:combined:flowsnitch",
	load:    "rbldnsd reads a changed file again within a minute",
	undo:    "remove the dataset from the command line of rbldnsd",
	Can:     row.Can{Reasons: true},
	comment: "#",
	write:   writeRBLDNSD,
}

func writeRBLDNSD(w *bufio.Writer, l *export.List) {
	w.WriteString("$TTL 300\n")
	w.WriteString("$SOA 300 localhost. root.localhost. 0 300 60 86400 60\n") // 0: the time of the file
	for _, s := range []struct {
		kind, test string
		four       bool
	}{{"ip4trie", "127.0.0.2/32", true}, {"ip6trie", "::ffff:7f00:2/128", false}} {
		fmt.Fprintf(w, "$DATASET %s @\n:127.0.0.2:listed: $\n%s :127.0.0.2:test point\n", s.kind, s.test)
		for r := range l.Family(s.four, false) {
			fmt.Fprintf(w, "%s :127.0.0.2:%s\n", r.Prefix, r.Reason())
		}
	}
}

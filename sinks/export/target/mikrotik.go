package target

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
)

// mikroTik is a script for RouterOS that replaces the entries of an address list of each
// family (RouterOS documentation, Firewall, Address-lists; Scripting). An entry that is
// refused, because somebody has added the same by hand, does not end the script.
var mikroTik = Target{
	Name:    "mikrotik",
	Help:    "a script that replaces an address list of RouterOS, with timeouts",
	Example: "flowsnitch export mikrotik --set > block.rsc; on the router: /import block.rsc",
	load:    "/import FILE",
	undo:    "/ip firewall address-list remove [find list=NAME]; /ipv6 firewall address-list remove [find list=NAME]",
	Can:     row.Can{Timeouts: true, Reasons: true},
	comment: "#",
	write:   writeMikroTik,
}

func writeMikroTik(w *bufio.Writer, l *export.List) {
	for _, s := range []struct {
		menu string
		four bool
	}{{"/ip firewall address-list", true}, {"/ipv6 firewall address-list", false}} {
		fmt.Fprintf(w, "%s\nremove [find list=\"%s\"]\n", s.menu, l.Name())
		for r := range l.Family(s.four, false) {
			timeout := ""
			if d := l.Timeout(r); d > 0 {
				timeout = " timeout=" + routerTime(d)
			}
			fmt.Fprintf(w, ":do { add list=\"%s\" address=%s%s comment=\"%s\" } on-error={}\n", l.Name(), routerAddress(r), timeout, r.Reason())
		}
	}
}

// routerAddress gives an address as RouterOS shows it: IPv6 always with a length.
func routerAddress(r *row.Row) string {
	if r.Prefix.Addr().Is6() {
		return r.Prefix.String()
	}
	return r.Address()
}

// routerTime gives a duration as RouterOS writes it: 1w2d3h4m5s.
func routerTime(d time.Duration) string {
	var b strings.Builder
	d = (d + time.Second - 1).Truncate(time.Second)
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d %= u.unit
		}
	}
	return b.String()
}

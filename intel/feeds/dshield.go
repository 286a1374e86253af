package feeds

import (
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

// startDShield makes the parser of the DShield block list: start, end, length,
// attacks, name, country, mail, separated by TAB. Octets may be padded with zeros.
func startDShield(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		if d.comment(trim(line), "#", ";", "//") {
			d.header(trim(line))
			return nil
		}
		cols := splitTabs(line)
		if strings.EqualFold(cols[0], "Start") {
			return nil
		}
		p, err := dshieldPrefix(cols)
		if err != nil {
			d.reject(line, err)
			return nil
		}
		return d.accept(Entry{Indicator: intel.Indicator{
			Prefix:      p,
			Category:    "scan",
			Ref:         iscRef(p.Addr()),
			Description: dshieldDescription(cols),
			LastSeen:    d.report.Updated,
		}})
	}, nil
}

// dshieldPrefix reads start and length, or the address of a row with one column.
func dshieldPrefix(cols []string) (netip.Prefix, error) {
	a, err := parsePadded(cols[0])
	if err != nil {
		return netip.Prefix{}, err
	}
	if len(cols) == 1 {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if len(cols) < 3 {
		return netip.Prefix{}, errColumns
	}
	n, ok := decimal(cols[2], 3, a.BitLen())
	if !ok {
		return netip.Prefix{}, errLength
	}
	return makePrefix(a, n)
}

func dshieldDescription(cols []string) string {
	var words []string
	for i := 3; i < len(cols) && i < 6; i++ {
		if cols[i] == "" {
			continue
		}
		if i == 3 {
			cols[i] += " attacks"
		}
		words = append(words, cols[i])
	}
	return strings.Join(words, ", ")
}

// startDShieldIPs makes the parser of the DShield lists whose first column is an
// address, such as daily_sources; no other column is a prefix length there.
func startDShieldIPs(d *document, _ string) (rowFunc, error) {
	return func(line string) error {
		if d.comment(trim(line), "#", ";", "//") {
			d.header(trim(line))
			return nil
		}
		a, err := parsePadded(splitTabs(line)[0])
		if err != nil {
			d.reject(line, err)
			return nil
		}
		return d.accept(Entry{Indicator: intel.Indicator{
			Prefix:   netip.PrefixFrom(a, a.BitLen()),
			Category: "scan",
			Ref:      iscRef(a),
		}})
	}, nil
}

// splitTabs gives the trimmed columns of a row, at least one.
func splitTabs(line string) []string {
	cols := strings.Split(line, "\t")
	for i := range cols {
		cols[i] = trim(cols[i])
	}
	return cols
}

func iscRef(a netip.Addr) string { return "https://isc.sans.edu/ipinfo/" + a.String() }

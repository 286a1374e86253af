package rows

import (
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// DShield makes the parser of the DShield block list: start, end, length,
// attacks, name, country, mail, separated by TAB. Octets may be padded with zeros.
func DShield(d *document.Document, _ string) (document.RowFunc, error) {
	return func(line string) error {
		if d.Comment(document.Trim(line), "#", ";", "//") {
			d.Header(document.Trim(line))
			return nil
		}
		cols := SplitTabs(line)
		if strings.EqualFold(cols[0], "Start") {
			return nil
		}
		p, err := dshieldPrefix(cols)
		if err != nil {
			d.Reject(line, err)
			return nil
		}
		return d.Accept(document.Entry{Indicator: intel.Indicator{
			Prefix:      p,
			Category:    "scan",
			Ref:         document.ISCRef(p.Addr()),
			Description: dshieldDescription(cols),
			LastSeen:    d.Report.Updated,
		}})
	}, nil
}

// dshieldPrefix reads start and length, or the address of a row with one column.
func dshieldPrefix(cols []string) (netip.Prefix, error) {
	a, err := prefix.Padded(cols[0])
	if err != nil {
		return netip.Prefix{}, err
	}
	if len(cols) == 1 {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if len(cols) < 3 {
		return netip.Prefix{}, document.ErrColumns
	}
	n, ok := prefix.Decimal(cols[2], 3, a.BitLen())
	if !ok {
		return netip.Prefix{}, prefix.ErrLength
	}
	return prefix.Make(a, n)
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

// DShieldIPs makes the parser of the DShield lists whose first column is an
// address, such as daily_sources; no other column is a prefix length there.
func DShieldIPs(d *document.Document, _ string) (document.RowFunc, error) {
	return func(line string) error {
		if d.Comment(document.Trim(line), "#", ";", "//") {
			d.Header(document.Trim(line))
			return nil
		}
		a, err := prefix.Padded(SplitTabs(line)[0])
		if err != nil {
			d.Reject(line, err)
			return nil
		}
		return d.Accept(document.Entry{Indicator: intel.Indicator{
			Prefix:   netip.PrefixFrom(a, a.BitLen()),
			Category: "scan",
			Ref:      document.ISCRef(a),
		}})
	}, nil
}

// SplitTabs gives the trimmed columns of a row, at least one.
func SplitTabs(line string) []string {
	cols := strings.Split(line, "\t")
	for i := range cols {
		cols[i] = document.Trim(cols[i])
	}
	return cols
}

package feeds

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/platforms"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
	"github.com/flowsnitch/flowsnitch/intel/feeds/programs"
	"github.com/flowsnitch/flowsnitch/intel/feeds/rows"
)

// A format is one way to write a list down.
type format struct {
	name string
	arg  string // what its argument is called, empty for none
	run  func(d *document.Document, src *document.Source, arg string) error
}

// byLine makes the run function of a format that is read line by line.
func byLine(start func(d *document.Document, arg string) (document.RowFunc, error)) func(*document.Document, *document.Source, string) error {
	return func(d *document.Document, src *document.Source, arg string) error {
		row, err := start(d, arg)
		if err != nil {
			return err
		}
		return d.EachLine(src, row)
	}
}

// formats lists every format in the order of the documentation.
func formats() []format {
	return []format{
		{name: "plain", run: byLine(rows.Plain)},
		{name: "dshield", run: byLine(rows.DShield)},
		{name: "dshield-ips", run: byLine(rows.DShieldIPs)},
		{name: "pipe", run: byLine(rows.Pipe)},
		{name: "csv", arg: "NAME", run: rows.CSVNamed},
		{name: "csvcol", arg: "N", run: rows.CSVColumn},
		{name: "csvport", arg: "N", run: rows.CSVPort},
		{name: "csvrange", arg: "A,B", run: rows.CSVRange},
		{name: "drop-json", run: byLine(rows.Drop)},
		{name: "zeek", run: byLine(programs.Zeek)},
		{name: "iprep", run: byLine(programs.IPRep)},
		{name: "cdb", run: byLine(programs.CDB)},
		{name: "silk", run: byLine(programs.SiLK)},
		{name: "silk-ranges", run: byLine(programs.SiLKRanges)},
		{name: "ip4set", run: byLine(programs.RBL(programs.RBLSet))},
		{name: "ip4trie", run: byLine(programs.RBL(programs.RBLTrie4))},
		{name: "ip6trie", run: byLine(programs.RBL(programs.RBLTrie6))},
		{name: "combined", run: byLine(programs.Combined)},
		{name: "p2p", run: byLine(programs.P2P)},
		{name: "dat", run: byLine(programs.Dat)},
		{name: "ipset", run: byLine(programs.IPSet)},
		{name: "nft", run: byLine(programs.NFT)},
		{name: "hosts.deny", run: byLine(programs.HostsDeny)},
		{name: "tor-exit", run: byLine(programs.TorExit)},
		{name: "otx", run: platforms.OTX},
		{name: "otx-export", run: platforms.OTXExport},
		{name: "otx-csv", run: rows.OTXCSV},
		{name: "misp", run: platforms.MISP},
		{name: "misp-warn", run: platforms.MISPWarnings},
		{name: "stix", run: platforms.STIX},
		{name: "json", run: runJSON},
		{name: "feodo-json", run: platforms.Feodo},
		{name: "threatfox-json", run: platforms.ThreatFox},
		{name: "abuseipdb-json", run: platforms.AbuseIPDB},
		{name: "isc-json", run: platforms.ISC},
	}
}

// Formats gives the names of all formats. A format that takes an argument is
// listed with the argument's name in capitals: csv:NAME.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		name := f.name
		if f.arg != "" {
			name += ":" + f.arg
		}
		names = append(names, name)
	}
	return names
}

func formatList() string { return strings.Join(Formats(), ", ") }

// CheckFormat reports what is wrong with a name, its argument included; nil means
// that Parse knows it.
func CheckFormat(name string) error {
	_, _, err := findFormat(name)
	return err
}

func findFormat(name string) (format, string, error) {
	base, arg, hasArg := strings.Cut(name, ":")
	all := formats()
	i := slices.IndexFunc(all, func(f format) bool { return f.name == base })
	if i < 0 || hasArg != (all[i].arg != "") || hasArg && arg == "" {
		return format{}, "", fmt.Errorf("unknown feed format %q; known: %s", name, formatList())
	}
	if _, ok := prefix.Decimal(arg, 3, rows.MaxColumn); all[i].arg == "N" && !ok {
		return format{}, "", fmt.Errorf("feed format %q: the column must be 0 to %d", name, rows.MaxColumn)
	}
	if a, b, ok := strings.Cut(arg, ","); all[i].arg == "A,B" && (!ok || document.Trim(a) == "" || document.Trim(b) == "") {
		return format{}, "", fmt.Errorf("feed format %q: must name the columns of start and end, such as csvrange:0,1 or csvrange:start,end", name)
	}
	return all[i], arg, nil
}

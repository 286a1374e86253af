package feeds

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var errColumns = errors.New("too few columns")

// A format is one way to write a list down.
type format struct {
	name string
	arg  string // what its argument is called, empty for none
	run  func(d *document, src *source, arg string) error
}

// byLine makes the run function of a format that is read line by line.
func byLine(start func(d *document, arg string) (rowFunc, error)) func(*document, *source, string) error {
	return func(d *document, src *source, arg string) error {
		row, err := start(d, arg)
		if err != nil {
			return err
		}
		return d.eachLine(src, row)
	}
}

// formats lists every format in the order of the documentation.
func formats() []format {
	return []format{
		{name: "plain", run: byLine(startPlain)},
		{name: "dshield", run: byLine(startDShield)},
		{name: "dshield-ips", run: byLine(startDShieldIPs)},
		{name: "pipe", run: byLine(startPipe)},
		{name: "csv", arg: "NAME", run: runCSVName},
		{name: "csvcol", arg: "N", run: runCSVColumn},
		{name: "csvport", arg: "N", run: runCSVPort},
		{name: "csvrange", arg: "A,B", run: runCSVRange},
		{name: "drop-json", run: byLine(startDrop)},
		{name: "zeek", run: byLine(startZeek)},
		{name: "iprep", run: byLine(startIPRep)},
		{name: "cdb", run: byLine(startCDB)},
		{name: "silk", run: byLine(startSiLK)},
		{name: "silk-ranges", run: byLine(startSiLKRanges)},
		{name: "ip4set", run: byLine(startRBL(rblSet))},
		{name: "ip4trie", run: byLine(startRBL(rblTrie4))},
		{name: "ip6trie", run: byLine(startRBL(rblTrie6))},
		{name: "combined", run: byLine(startCombined)},
		{name: "p2p", run: byLine(startP2P)},
		{name: "dat", run: byLine(startDat)},
		{name: "ipset", run: byLine(startIPSet)},
		{name: "nft", run: byLine(startNFT)},
		{name: "hosts.deny", run: byLine(startHostsDeny)},
		{name: "tor-exit", run: byLine(startTorExit)},
		{name: "otx", run: runOTX},
		{name: "otx-export", run: runOTXExport},
		{name: "otx-csv", run: runOTXCSV},
		{name: "misp", run: runMISP},
		{name: "misp-warn", run: runMISPWarn},
		{name: "stix", run: runSTIX},
		{name: "json", run: runJSON},
		{name: "feodo-json", run: jsonList("", feodoRow)},
		{name: "threatfox-json", run: runThreatFox},
		{name: "abuseipdb-json", run: jsonList("data", abuseIPDBRow)},
		{name: "isc-json", run: jsonList("", iscRow)},
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

// maxColumn is the highest number of a column that can be asked for.
const maxColumn = 255

func findFormat(name string) (format, string, error) {
	base, arg, hasArg := strings.Cut(name, ":")
	all := formats()
	i := slices.IndexFunc(all, func(f format) bool { return f.name == base })
	if i < 0 || hasArg != (all[i].arg != "") || hasArg && arg == "" {
		return format{}, "", fmt.Errorf("unknown feed format %q; known: %s", name, formatList())
	}
	if _, ok := decimal(arg, 3, maxColumn); all[i].arg == "N" && !ok {
		return format{}, "", fmt.Errorf("feed format %q: the column must be 0 to %d", name, maxColumn)
	}
	if a, b, ok := strings.Cut(arg, ","); all[i].arg == "A,B" && (!ok || trim(a) == "" || trim(b) == "") {
		return format{}, "", fmt.Errorf("feed format %q: must name the columns of start and end, such as csvrange:0,1 or csvrange:start,end", name)
	}
	return all[i], arg, nil
}

package target

import (
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	"github.com/flowsnitch/flowsnitch/sinks/export/stix"
)

// stixBundle has all that is known of a row, see package stix.
var stixBundle = Target{
	Name:    "stix",
	Help:    "indicators of STIX 2.1, for threat intelligence platforms",
	Example: "flowsnitch export stix --set > flowsnitch.json",
	Can:     row.Can{Ports: true, Timeouts: true, Reasons: true, Dates: true},
	write:   stix.Write,
}

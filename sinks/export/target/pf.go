package target

// pf is a table file of pf (pf.conf(5), "table <…> persist file"), comments as pfctl reads
// them.
var pf = Target{
	Name:    "pf",
	Help:    "a table file of pf (OpenBSD, FreeBSD, macOS)",
	Example: "flowsnitch export pf --set > /etc/pf.flowsnitch && pfctl -t flowsnitch -T replace -f /etc/pf.flowsnitch",
	comment: "#",
	write:   writeLines,
}

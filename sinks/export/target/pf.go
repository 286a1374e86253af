package target

// pf is a table file of pf (pf.conf(5), "table <…> persist file"), comments as pfctl reads
// them.
var pf = Target{
	Name:    "pf",
	Help:    "a table file of pf (OpenBSD, FreeBSD, macOS)",
	Example: "flowsnitch export pf --set > /etc/pf.flowsnitch && pfctl -t flowsnitch -T replace -f /etc/pf.flowsnitch",
	load:    "pfctl -t NAME -T replace -f FILE",
	undo:    "pfctl -t NAME -T flush",
	comment: "#",
	write:   writeLines,
}

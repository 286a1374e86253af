// Package observe is the contract between a component and everything that people look at.
//
// A component registers sections (plain structs with tags), health checks and routes. From
// the sections one walk each makes the metrics, the JSON and the text of the status, the
// losses of 'top', the table in the documentation and the checks of losses. So a counter is
// written once, in the component that counts:
//
//	type Stats struct {
//		Datagrams uint64 `json:"datagrams" name:"udp_packets_total" help:"Datagrams received." show:"always"`
//		Drops     uint64 `json:"drops" name:"udp_kernel_drops_total" help:"Datagrams dropped by the kernel." loss:"true" check:"loss" remedy:"raise receive_buffer"`
//	}
//
// The tags of a field:
//
//	json    key in the JSON; required
//	name    name of the metric without prefix; required for numbers and flags, "-" = no metric.
//	        What ends in _total is a counter, everything else a gauge. A time is given as
//	        seconds since 1970 if its name ends in _timestamp_seconds, else as its age, and a
//	        text as 1 while it is not empty.
//	help    one sentence; required beside a name
//	label   name of a label. On a text or address: its value labels everything in the struct.
//	        On a map: the keys are the values. On an array: see values
//	values  values of the label of an array, separated by commas
//	with    a fixed label, as in "reason=full", for metrics that are made of several fields
//	if      name of a field in the same struct; while it is zero there is no metric and no text
//	scale   the metric is the number times this, as in "0.001" for milliseconds
//	settles "true" = the counter may go back a little; as a metric it does not
//	loss    "true" = it counts what was lost: it is shown as soon as it is not zero, and
//	        needs check, or judged
//	check   name of the check that warns when the number has grown within [Window]
//	state   "critical" = it does not warn, but is critical
//	least   growth below this number is no finding
//	remedy  what to do, for the text of the finding
//	judged  name of a check of the component's own that looks at the number
//	words   the words after the number in the text of the status; default: the JSON key
//	show    "always" = in the text of the status even when it is zero, "some" = unless it is
//	        zero (the default of losses), "-" = never (the default of everything else)
//
// The package imports the standard library alone, and structs need no import for their
// tags: packages of every floor may use it. Reflection runs when somebody looks, never on
// the path.
package observe

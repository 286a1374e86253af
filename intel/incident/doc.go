// Package incident has the words of what is known of an offender over time: an [Incident] for
// each offender, a [HostRow] for each host of ours, the [State] that people give an incident by an
// [Action], and the [Filter] and [Query] by which command line, API and reports choose among
// them. It decides what is worst first ([Less], [LessHost]) and how rows are written as JSON
// and CSV, and does no I/O: intel/incident/store keeps the incidents and answers queries,
// intel/incident/intake makes them of events, intel/incident/story puts them into sentences.
package incident

package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// printTable prints medians, and ratios to the first receiver and to flowsnitch with its history. The column "at stop" is ns/flow
// with what a stop does: there the history and nfcapd write what they have in memory.
func printTable(w io.Writer, version string, o options, receivers []receiver, results [][]result) {
	perFlow := func(r result) float64 { return r.perFlow }
	floor := median(results[0], perFlow)
	flowsnitch := median(results[slices.IndexFunc(receivers, func(r receiver) bool { return r.name == "flowsnitch" })], perFlow)
	fmt.Fprintf(w, "\n%s, CPU time per flow, %d rounds of %v, flowsnitch with %d indicators\n%s\n\n",
		version, o.rounds, o.duration, o.indicators, machine())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "receiver\tsent flows/s\tns/flow\tmin\tmax\tx floor\tx flowsnitch\tat stop\tB/flow\tloss\t")
	for i, r := range receivers {
		all := results[i]
		ns := median(all, perFlow)
		fmt.Fprintf(t, "%s\t%.0f\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t%.1f\t%.1f\t%.3f %%\t\n", r.name,
			median(all, func(r result) float64 { return r.rate }), ns,
			slices.MinFunc(all, byCost).perFlow, slices.MaxFunc(all, byCost).perFlow,
			ns/floor, ns/flowsnitch, median(all, func(r result) float64 { return r.atStop }),
			median(all, func(r result) float64 { return r.kept }), 100*median(all, func(r result) float64 { return r.loss }))
	}
	t.Flush()
}

func byCost(a, b result) int { return cmp.Compare(a.perFlow, b.perFlow) }

// median gives the middle one of the values, of an even number the lower.
func median(all []result, value func(result) float64) float64 {
	values := make([]float64, len(all))
	for i, r := range all {
		values[i] = value(r)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// machine describes where and when this was measured.
func machine() string {
	model := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	var u unix.Utsname
	unix.Uname(&u)
	return fmt.Sprintf("%d x %s, %s %s, %s, %s", runtime.NumCPU(), model, unix.ByteSliceToString(u.Sysname[:]),
		unix.ByteSliceToString(u.Release[:]), runtime.Version(), time.Now().Format(time.DateOnly))
}

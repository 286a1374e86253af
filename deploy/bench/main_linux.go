// Command bench measures whole collectors side by side: the CPU time that each needs
// per flow, and what it loses, with flowgen as the sender on loopback. Beside
// flowsnitch with a million indicators stand goflow2 and nfcapd, which match nothing,
// and the floor: a loop that only receives. `make bench-peers` runs it.
//
// The rounds are interleaved, so that a machine that turns slower turns slower for
// all. CPU time is user and system time of the process from the time when it is ready
// to the time when it has nothing left to do. Loss is what the kernel counted as
// dropped at the socket, of what was sent. goflow2 builds from its module; nfcapd is
// taken from the path (Debian: nfdump) and left out, aloud, where it is missing.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	rounds     int
	duration   time.Duration
	rate       int
	slowRate   int
	indicators int
	versions   string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == floorCommand {
		exit(floor(os.Args[2]))
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; the table has medians")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "time of sending to one receiver in one round")
	flag.IntVar(&o.rate, "rate", 1_000_000, "flows per second")
	flag.IntVar(&o.slowRate, "goflow2-rate", 100_000, "flows per second for goflow2, which cannot take more")
	flag.IntVar(&o.indicators, "indicators", 1_000_000, "random addresses on flowsnitch's list")
	flag.StringVar(&o.versions, "versions", "v5,v9", "export protocols: v5, v9, ipfix")
	flag.Parse()
	exit(run(o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run builds everything, measures and prints one table for each version.
func run(o options) error {
	dir, err := os.MkdirTemp("", "flowsnitch-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(os.Stderr, "building the programs and the list")
	b := bench{dir: dir, options: o}
	if err := b.build(); err != nil {
		return err
	}
	receivers := b.receivers()
	for _, version := range strings.Split(o.versions, ",") {
		results := make([][]result, len(receivers))
		for round := range o.rounds {
			for i, r := range receivers {
				fmt.Fprintf(os.Stderr, "%s, round %d of %d: %s\n", version, round+1, o.rounds, r.name)
				res, err := b.measure(r, version)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", r.name, version, err)
				}
				results[i] = append(results[i], res)
			}
		}
		printTable(os.Stdout, version, o, receivers, results)
	}
	return nil
}

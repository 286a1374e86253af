//go:build linux && soak

package instance

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// The full figures of a storm.
const (
	stormHits = 1_000_000
	stormRate = 20_000 // a second
	kills     = 5      // of each
)

// A Storm is a million hits, or as many as FLOWSNITCH_SOAK_HITS has, into a server while
// that and the instance are killed again and again.
type Storm struct {
	Place  string // where the server has the hits, for people
	Server interface {
		Kill()              // with SIGKILL, and waits for the end
		Start(t *testing.T) // again
	}
	Account func(t *testing.T) Account // of that place
}

// StormConfig is the configuration of an instance for a storm, but for its sinks: room for
// hits in a burst, and a journal that has room for all of them.
func StormConfig(t testing.TB, journal string) string {
	return fmt.Sprintf(`
listen: [{udp: %q, receive_buffer: 67108864}]
home: [%s]
intel: {feeds: [], deny: [%s]}
contact: {hit_queue: 1000000}
canary: {every: 0s}
journal: {%s}
`, FreeUDP(t), Home, Offenders, journal)
}

// hitsToSend gives the number of hits.
func hitsToSend(t *testing.T) int {
	t.Helper()
	text := os.Getenv("FLOWSNITCH_SOAK_HITS")
	if text == "" {
		return stormHits
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > stormHits {
		t.Fatalf("FLOWSNITCH_SOAK_HITS: %q is not valid; use 1 to %d", text, stormHits)
	}
	return n
}

// An outage is what happens at a time after the start.
type outage struct {
	at   time.Duration
	what int
}

const (
	serverDies = iota
	serverReturns
	weDie
)

// outages gives all of them in order: the server is down for 5 to 15 s each time, and
// flowsnitch is killed while it is down or up, as it happens.
func outages() (list []outage, down time.Duration) {
	server, we := time.Duration(0), time.Duration(0)
	for range kills {
		server += 2 * time.Second
		list = append(list, outage{server, serverDies})
		d := 5*time.Second + rand.N(10*time.Second)
		server, down = server+d, down+d
		list = append(list, outage{server, serverReturns})
		we += 4*time.Second + rand.N(6*time.Second)
		list = append(list, outage{we, weDie})
	}
	slices.SortFunc(list, func(a, b outage) int { return cmp.Compare(a.at, b.at) })
	return list, down
}

// Run starts the instance and the storm, waits until everything has been delivered, and
// prints what became of it. Every hit of the log must be in the place, in order for each
// offender, and the decode side must have lost nothing.
func (s Storm) Run(t *testing.T, i *Instance) {
	t.Helper()
	i.Start(t)
	began, hits := time.Now(), hitsToSend(t)
	flows := hits * 5 / 4 // some are sent while nobody listens
	gen := i.Generate(t, flows, stormRate)
	list, down := outages()
	last := began // start of the last process
	for _, o := range list {
		time.Sleep(time.Until(began.Add(o.at)))
		switch o.what {
		case serverDies:
			s.Server.Kill()
		case serverReturns:
			s.Server.Start(t)
		case weDie:
			i.LostNothing(t)
			i.Kill()
			last = time.Now()
			i.Start(t)
		}
	}
	_ = gen.Wait()
	stormy := time.Since(began)
	i.Drained(t)
	drained := time.Since(began)
	st := i.LostNothing(t)
	log, there := i.Logged(t), s.Account(t)
	missing, disorder := log.difference(there)
	ofLast := log.since(t, last)
	t.Logf("\n%s", table([][2]string{
		{fmt.Sprintf("flows sent, %d/s, each of them a hit", stormRate), fmt.Sprint(flows)},
		{"server killed, down in all, and as long as it takes to start", fmt.Sprintf("%d, %v", kills, down.Round(time.Second))},
		{"flowsnitch killed", fmt.Sprint(kills)},
		{"kernel drops, hits before a full queue", fmt.Sprintf("%d, %d", st.Listeners[0].KernelDrops, st.Hits.QueueFull)},
		{"last process: flows matched, hit events, of these in the log", fmt.Sprintf("%d, %d, %d", st.Hits.Found, st.Hits.Correlator.HitEvents, ofLast)},
		{"hits in the log, lines that came again", fmt.Sprintf("%d, %d", len(log.Seen), log.Double)},
		{"hits in " + s.Place + ", messages that came again", fmt.Sprintf("%d, %d", len(there.Seen), there.Double)},
		{"missing there, offenders out of order", fmt.Sprintf("%d, %d", missing, disorder)},
		{"dropped by the journal", fmt.Sprint(st.Journal.DroppedFull + st.Journal.DroppedOld)},
		{"last server started after, all delivered after", fmt.Sprintf("%v, %v", stormy.Round(time.Second), drained.Round(time.Second))},
	}))
	if len(log.Seen) < hits {
		t.Errorf("only %d hits in the log", len(log.Seen))
	}
	if n := st.Hits.Correlator.HitEvents; n != uint64(ofLast) {
		t.Errorf("the last process made %d hit events, the log has %d of them", n, ofLast)
	}
	log.Compare(t, s.Place, there)
}

// since counts the hits that were found at a time or later, by their ids.
func (a Account) since(t *testing.T, begin time.Time) (n int) {
	for text := range a.Seen {
		id, err := uuid.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if sec, nsec := id.Time().UnixTime(); time.Unix(sec, nsec).UnixMilli() >= begin.UnixMilli() {
			n++
		}
	}
	return n
}

// difference counts the hits that another place has not, and the offenders of which it has
// all, but in another order.
func (a Account) difference(other Account) (missing, disorder int) {
	for id := range a.Seen {
		if !other.Seen[id] {
			missing++
		}
	}
	for offender, ids := range a.IDs {
		if len(ids) == len(other.IDs[offender]) && !slices.Equal(ids, other.IDs[offender]) {
			disorder++
		}
	}
	return missing, disorder
}

// table aligns rows of two columns.
func table(rows [][2]string) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "| %-62s | %-26s |\n", r[0], r[1])
	}
	return b.String()
}

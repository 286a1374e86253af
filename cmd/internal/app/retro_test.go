package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/synth"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
)

// retroEvents reads the hits of the past in the hit log, and the live ones.
func (w watched) retroEvents(t *testing.T) (past, live []event.Event) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "hits.json"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		e, err := event.ParseJSON(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Kind == event.KindHit && e.Retro:
			past = append(past, e)
		case e.Kind == event.KindHit:
			live = append(live, e)
		}
	}
	return past, live
}

// TestRetro: flows are recorded, then a list gets the address: the contact before is in the
// hit log, once, with its time, and is no live hit; also after a restart, off the list and on
// it again.
func TestRetro(t *testing.T) {
	dir := shortDir(t)
	feed := list(t, dir, "bad.txt", "62.0.0.1")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "flowsnitch.hits", "flowsnitch.alerts"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	intel := fmt.Sprintf("{feeds: [{file: %s}]}\nhistory: {flush: 1m}\njournal: {sync_every: 1h}\nsinks: [{jsonlog: {}}, {kafka: {brokers: [%q]}}]",
		feed, cluster.ListenAddrs()[0])
	w := observed(t, dir, intel, Options{})
	jobs := func() uint64 { return w.Status().Retro.Done }
	until(t, "the first set is known", func() bool { return jobs() == 1 })
	begin := time.Now().Truncate(time.Second)
	w.contact(t, "62.0.0.9", "62.0.0.9", "62.0.0.8", "62.0.0.1")
	until(t, "the flows are decoded", func() bool { return w.Status().Hits.Correlator.Hits == 1 })
	end := time.Now()
	// The history is flushed once a minute at most, and at the stop: no test waits for that.
	restart := func() {
		t.Helper()
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
		w = observed(t, dir, intel, Options{})
	}
	relist := func(addrs ...string) {
		t.Helper()
		list(t, dir, "bad.txt", addrs...)
		before := w.Status().Intel.Version
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		until(t, "another set is in force", func() bool { return w.Status().Intel.Version != before })
	}
	settled := func() {
		t.Helper()
		until(t, "nothing is waiting", func() bool { s := w.Status().Retro; return s.Jobs == [2]uint64{} && s.Entries == 0 && !s.Failing })
	}
	restart()
	relist("62.0.0.1", "62.0.0.9")
	until(t, "the contact before the listing", func() bool { past, _ := w.retroEvents(t); return len(past) > 0 })
	settled()
	if s := w.Status().Journal; s.Syncs == 0 {
		t.Error("a contact was noted as sent before the journal was on the disk: a power cut would take it for good")
	}
	past, live := w.retroEvents(t)
	if len(past) != 1 || len(live) != 1 || live[0].Offender.String() != "62.0.0.1" {
		t.Fatalf("%d hits of the past, %d live ones", len(past), len(live))
	}
	e := past[0]
	if e.Offender.String() != "62.0.0.9" || e.Local.String() != "10.0.0.5" || e.ServicePort != 443 || e.Direction != event.Outbound || e.Flows != 2 ||
		e.Packets != 10 || e.Days < 1 || e.Time.Before(begin.Add(-time.Minute)) || e.Time.After(end) || !e.Time.Equal(e.End) || e.Start.After(e.End) || e.Seq != 1 || !e.Last {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(e.Reason, "62.0.0.9/32 listed since") || !strings.Contains(e.Reason, "contact before, on") {
		t.Error(e.Reason)
	}
	w.waitAlert(t, "contact_before_listing: 1 contact of 1 host with 1 prefix of 1 new entry", "bad")
	if s := w.Status(); s.Hits.Found != 0 || s.Hits.Correlator.Hits != 0 || s.Retro.Matches[0] != 1 {
		t.Errorf("hits %+v\nretro %+v", s.Hits, s.Retro)
	}
	restart()
	relist("62.0.0.1")
	settled()
	relist("62.0.0.1", "62.0.0.9")
	restart()
	settled()
	restart()
	relist("62.0.0.1", "62.0.0.9", "62.0.0.8")
	until(t, "the other contact", func() bool { past, _ := w.retroEvents(t); return len(past) > 1 })
	settled()
	past, live = w.retroEvents(t)
	offenders := []string{past[0].Offender.String(), past[1].Offender.String()}
	slices.Sort(offenders)
	if len(past) != 2 || len(live) != 1 || !slices.Equal(offenders, []string{"62.0.0.8", "62.0.0.9"}) {
		t.Errorf("%d hits of the past of %v, %d live ones", len(past), offenders, len(live))
	}
	if err := w.Stop(); err != nil { // so that all is delivered, and nothing comes after it
		t.Fatal(err)
	}
	inKafka(t, cluster.ListenAddrs(), append(past, live...))
}

// inKafka holds that the topic of hits begins with events, in any order, each under the listed
// address and as it is in the hit log.
func inKafka(t *testing.T, brokers []string, want []event.Event) {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = brokers
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	var got []event.Event
	err := kafka.Consume(ctx, kafka.ConsumeConfig{Config: cfg, Topics: []string{cfg.Topics.Hits}, From: kafka.From{First: true}}, func(m *kafka.Message) error {
		e, err := event.ParseJSON(m.Value)
		if err != nil {
			return err
		}
		if got = append(got, e); string(m.Key) != e.Offender.String() {
			t.Errorf("%s has the key %s", e.Offender, m.Key)
		}
		if e.Retro && !bytes.Contains(m.Value, []byte(`"retro":true`)) {
			t.Errorf("%s", m.Value)
		}
		if len(got) == len(want) {
			cancel()
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	for _, e := range want {
		i := slices.IndexFunc(got, func(g event.Event) bool { return g.ID == e.ID })
		if i < 0 {
			t.Errorf("%s is not in Kafka", e.ID)
			continue
		}
		if g := got[i]; g.Retro != e.Retro || g.Offender != e.Offender || !g.Time.Equal(e.Time) || !g.Start.Equal(e.Start) || !g.End.Equal(e.End) || g.Days != e.Days {
			t.Errorf("in Kafka %+v\nin the hit log %+v", g, e)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events in Kafka, want %d", len(got), len(want))
	}
}

// retroKilledEnv is the state directory of the process that TestRetroKill kills.
const retroKilledEnv = "FLOWSNITCH_TEST_RETRO_KILLED"

// TestRetroKill: kill -9 before, in and after a job, again and again: at last each contact is in
// the hit log, under one id. What comes again has that id, too: at most one batch for each kill is
// in the journal twice, and the hit log repeats what it had not saved its place for.
func TestRetroKill(t *testing.T) {
	intel := func(dir string) string { // no guard holds back a list of the operator that grows so much
		return fmt.Sprintf("{feeds: [{file: %s, operator: true}]}\nhistory: {flush: 1m}", filepath.Join(dir, "bad.txt"))
	}
	if dir := os.Getenv(retroKilledEnv); dir != "" {
		observed(t, dir, intel(dir), Options{})
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
		return
	}
	const contacts, batch = 6000, 256
	dir := shortDir(t)
	list(t, dir, "bad.txt", "62.0.0.1")
	w := observed(t, dir, intel(dir), Options{})
	until(t, "the first set is known", func() bool { return w.Status().Retro.Done == 1 })
	addrs := []string{"62.0.0.1"}
	for i := range contacts {
		addrs = append(addrs, netip.AddrFrom4([4]byte{62, 7, byte(i >> 8), byte(i)}).String())
	}
	w.contacts(t, addrs[1:])
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	list(t, dir, "bad.txt", addrs...)
	noted := func() int { // ids
		info, err := os.Stat(filepath.Join(dir, HuntDir, "sent"))
		if err != nil {
			return 0
		}
		return int(info.Size() / 24)
	}
	waiting := func() bool {
		jobs, _ := filepath.Glob(filepath.Join(dir, HuntDir, "job-*"))
		return len(jobs) > 0
	}
	journaled := make(map[string][]byte) // each segment, as it was at the latest kill
	runUntil := func(what string, f func() bool) {
		t.Helper()
		c := exec.Command(os.Args[0], "-test.run=^TestRetroKill$", "-test.count=1")
		c.Env = append(os.Environ(), retroKilledEnv+"="+dir)
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(2 * time.Minute)
		ok := f()
		for ; !ok && time.Now().Before(deadline); ok = f() {
			time.Sleep(50 * time.Microsecond)
		}
		_ = c.Process.Kill()
		_ = c.Wait()
		if !ok {
			t.Fatalf("never: %s", what)
		}
		readSegments(t, filepath.Join(dir, "journal"), journaled)
		t.Logf("killed when %s: %d noted as sent, job waiting: %t", what, noted(), waiting())
	}
	kills, inJob := 0, 0
	kill := func(what string, f func() bool) {
		t.Helper()
		runUntil(what, f)
		kills++
		if n := noted(); waiting() && n > 0 && n < contacts {
			inJob++
		}
	}
	inSegments := func() (n int64) {
		readSegments(t, filepath.Join(dir, "journal"), journaled)
		for _, b := range journaled {
			n += int64(len(b))
		}
		return n
	}
	kill("the job is made", waiting)
	for _, rest := range []time.Duration{200 * time.Millisecond, time.Second} { // the job begins with the next second
		from := time.Time{}
		kill("it is searched for", func() bool {
			if info, err := os.Stat(filepath.Join(dir, "control.sock")); from.IsZero() && err == nil && info.ModTime().After(time.Now().Add(-time.Second)) {
				from = time.Now()
			}
			return !from.IsZero() && time.Since(from) > rest
		})
	}
	for range 3 {
		bytes, n := inSegments(), noted()
		kill("a batch is in the journal and not noted", func() bool {
			before := bytes
			bytes = inSegments()
			return bytes > before+batch*100 && noted() == n || noted() > n // too late
		})
	}
	for _, n := range []int{1, 3*batch + 1, 8 * batch, 15 * batch, 20 * batch} {
		if noted() < n {
			kill(fmt.Sprintf("%d are sent", n), func() bool { return noted() >= n })
		}
	}
	kill("the job is done", func() bool { return !waiting() })
	kill("nothing is to be done", func() bool { return !waiting() })
	if inJob == 0 {
		t.Error("no kill was in the middle of a job")
	}
	w = observed(t, dir, intel(dir), Options{})
	ids := func() (seen map[uuid.UUID]int, offenders map[netip.Addr]uuid.UUID) {
		seen, offenders = map[uuid.UUID]int{}, map[netip.Addr]uuid.UUID{}
		past, _ := w.retroEvents(t)
		for _, e := range past {
			if id, ok := offenders[e.Offender]; ok && id != e.ID {
				t.Fatalf("%s has the ids %s and %s", e.Offender, id, e.ID)
			}
			seen[e.ID]++
			offenders[e.Offender] = e.ID
		}
		return seen, offenders
	}
	until(t, "all is in the hit log", func() bool { seen, _ := ids(); return len(seen) == contacts })
	until(t, "nothing is waiting", func() bool { return w.Status().Retro.Jobs == [2]uint64{} })
	readSegments(t, filepath.Join(dir, "journal"), journaled)
	inJournal, twice := retroIDs(journaled), 0
	for _, n := range inJournal {
		twice += n - 1
	}
	seen, offenders := ids()
	again := 0
	for id, n := range seen {
		again += n - 1
		if inJournal[id] == 0 {
			t.Errorf("%s is in the hit log, but was not in the journal", id)
		}
	}
	t.Logf("%d kills, %d in the middle of a job; %d events are in the journal twice, %d came again in the hit log", kills, inJob, twice, again)
	if len(offenders) != contacts || len(seen) != contacts || len(inJournal) != contacts || twice > kills*batch {
		t.Errorf("%d contacts, %d ids, %d in the journal, %d of them twice", len(offenders), len(seen), len(inJournal), twice)
	}
}

// readSegments reads the segments of a journal.
func readSegments(t *testing.T, dir string, into map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil {
			into[path] = b
		}
		if errors.Is(err, os.ErrNotExist) { // delivered meanwhile
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// retroIDs counts the hits of the past in segments, by id.
func retroIDs(segments map[string][]byte) map[uuid.UUID]int {
	ids := make(map[uuid.UUID]int)
	for _, b := range segments {
		for r, _, end, ok := record.Find(b, true); ok; r, _, end, ok = record.Find(b, true) {
			if e, ok := r.Event(); ok && e.Retro {
				ids[e.ID]++
			}
			b = b[end:]
		}
	}
	return ids
}

// contacts sends one flow of ours to each of many addresses, and waits until all are recorded.
func (w watched) contacts(t *testing.T, addrs []string) {
	t.Helper()
	enc, conn := w.exporter(t, flow.V5)
	defer conn.Close()
	sent := uint64(0)
	for part := range slices.Chunk(addrs, 30) {
		var flows []synth.Flow
		for i, a := range part {
			flows = append(flows, calls(i, a))
		}
		for len(flows) > 0 {
			d, n, err := enc.Encode(nil, flows, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(d); err != nil {
				t.Fatal(err)
			}
			flows, sent = flows[n:], sent+uint64(n)
		}
		until(t, "the flows are recorded", func() bool { return w.history.Stats().Recorded.Kept >= sent })
	}
}

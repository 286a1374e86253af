package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/sinks"
)

// eventSink keeps the events themselves.
type eventSink struct {
	name   string
	events []event.Event
}

func (s *eventSink) Name() string { return s.name }
func (s *eventSink) Send(_ context.Context, events []event.Event) error {
	s.events = append(s.events, events...)
	return nil
}
func (s *eventSink) Close(context.Context) error { return nil }

// TestJournalOfAnEarlierVersion delivers what versions with one lane left behind, made by
// testdata/makejournal: every sink gets what it had still to get, with every field, and
// events of today. They are of the urgent lane, which comes first.
func TestJournalOfAnEarlierVersion(t *testing.T) {
	for _, old := range []string{"testdata/journal-d577de8", "testdata/journal-278c9aa"} {
		t.Run(filepath.Base(old), func(t *testing.T) { testEarlierVersion(t, old) })
	}
}

func testEarlierVersion(t *testing.T, old string) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	j, report := openDir(t, dir, Always)
	if report.Damaged() || report.Segments != 2 || report.Events != 200 || report.Cursors != 3 {
		t.Fatalf("found %v", report)
	}
	j.Start()
	all := []*eventSink{{name: "all"}, {name: "some"}, {name: "none"}}
	var runners []*sinks.Runner
	for _, s := range all {
		runners = append(runners, newRunner(t, j, s))
	}
	add(t, j, []event.Event{eventtest.Hit()})
	for _, r := range runners {
		r.Start()
	}
	stopAll(t, j, runners...)
	for i, first := range []int{66, 40, 0} {
		s := runners[i].Stats()
		if s.Dropped != 0 || s.Damaged != 0 || s.Appended != 201 || s.Delivered != 201 || s.MayRepeat {
			t.Errorf("%s: %+v", all[i].name, s)
		}
		var got []uint64
		for _, e := range all[i].events[1:] {
			got = append(got, e.Flows)
		}
		if !slices.Equal(got, numbers(first, 200-first)) {
			t.Errorf("%s: got %v", all[i].name, got)
		}
		if today := all[i].events[0]; !reflect.DeepEqual(today, eventtest.Hit()) {
			t.Errorf("%s: the event of today is %+v", all[i].name, today)
		}
	}
	b, err := os.ReadFile(filepath.Join(old, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
		var want event.Event
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatal(err)
		}
		if got := all[2].events[1+i]; !reflect.DeepEqual(got, want) {
			t.Errorf("event %d: got %+v, want %+v", i, got, want)
		}
	}
}

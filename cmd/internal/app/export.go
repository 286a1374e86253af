package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/target"
)

// ExportPath is where the running instance gives block lists of the set in force: a line
// of JSON, an [Exported], and then the list. The target is the parameter "target", the
// others are those of [choice.Parse].
const ExportPath = "/export"

// Exported is what has become of the set in a block list.
type Exported struct {
	Report  export.Report `json:"report"`
	Missing []string      `json:"missing,omitempty"` // feeds without a complete copy, which the list lacks
}

// ExportSet makes a block list of a table. feeds are those that it was made of. A table
// without any entry is an error: a list of nothing would open what should stay blocked.
func ExportSet(t *lookup.Table, feeds []fetch.Status, to *target.Target, o choice.Options, now time.Time) (*export.List, Exported, error) {
	answer := Exported{Missing: missing(feeds)}
	if t.Len() == 0 {
		return nil, answer, errors.New("nothing is listed: no list has an entry yet" + lackingText(answer.Missing))
	}
	var known []string
	for _, f := range t.Feeds() {
		known = append(known, f.Feed)
	}
	for _, f := range o.Feeds {
		if !slices.Contains(known, f) && !slices.Contains(answer.Missing, f) {
			return nil, answer, fmt.Errorf("feed: %q is not in the set; it has %s", f, strings.Join(known, ", "))
		}
	}
	if len(o.Feeds) > 0 && !slices.ContainsFunc(o.Feeds, func(f string) bool { return slices.Contains(known, f) }) {
		return nil, answer, errors.New("feed: there is no complete copy yet of " + strings.Join(o.Feeds, ", "))
	}
	never, err := t.Untouchable()
	if err != nil {
		return nil, answer, err
	}
	list, err := export.Make(to.Can, t.Pieces(), never, o, now)
	if err == nil {
		answer.Report = list.Report
	}
	return list, answer, err
}

// missing gives the feeds that have no complete copy yet.
func missing(feeds []fetch.Status) (names []string) {
	for i := range feeds {
		if f := &feeds[i]; f.Class == "" && f.Taken.IsZero() {
			names = append(names, f.Name)
		}
	}
	return names
}

func lackingText(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " (there is no complete copy yet of " + strings.Join(names, ", ") + ")"
}

// errExporting answers whoever comes while a list is made: each takes memory by the size of
// the set.
const errExporting = observe.Unavailable("another list is being exported; try again in a moment")

// exportTime is how long a client may take to read a list.
const exportTime = time.Minute

func (d *feedService) export(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	o, err := choice.Parse(q)
	if err != nil {
		observe.Fail(w, err)
		return
	}
	to := target.Find(q.Get("target"))
	if to == nil {
		observe.Fail(w, fmt.Errorf("target: %q is not valid; use %s", q.Get("target"), strings.Join(target.Names(), ", ")))
		return
	}
	if !d.exporting.TryLock() {
		observe.Fail(w, errExporting)
		return
	}
	defer d.exporting.Unlock()
	d.writeExport(w, to, o)
	debug.FreeOSMemory() // a list of a million is as large as the set, see publish
}

func (d *feedService) writeExport(w http.ResponseWriter, to *target.Target, o choice.Options) {
	list, answer, err := ExportSet(d.store.Load(), d.status().Feeds, to, o, d.now())
	if err != nil {
		observe.Fail(w, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(exportTime)) // where there is none, the stop ends it
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if json.NewEncoder(w).Encode(answer) == nil {
		_ = to.Write(w, list) // the client may be gone: there is nobody to report to
	}
}

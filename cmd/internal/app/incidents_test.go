package app

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
	"github.com/flowsnitch/flowsnitch/sinks/web"
)

// incidentOf asks the instance of a state directory for an incident until it has one.
func incidentOf(t *testing.T, dir, offender string) *incident.Incident {
	t.Helper()
	var i incident.Incident
	var err error
	until(t, "an incident of "+offender, func() bool {
		err = web.Ask(t.Context(), dir, IncidentsPath+"/"+offender, &i)
		return err == nil
	})
	return &i
}

// act does something with an incident as the command does.
func act(dir, offender, act string, more url.Values) (*Acted, error) {
	var done Acted
	return &done, web.Request(context.Background(), dir, http.MethodPost, IncidentsPath+"/"+offender+"/"+act+"?"+more.Encode(), &done)
}

// TestIncidents: a hit is an incident that the API shows at once, with the host that called;
// it is there after a restart, is counted once, and what operators do has their name.
func TestIncidents(t *testing.T) {
	dir := shortDir(t)
	feed := list(t, dir, "bad.txt", "62.0.0.1", "62.0.0.2")
	intel := "{feeds: [{file: " + feed + ", category: c2, score: 95}]}\nhistory: {enabled: false}\nsinks: [{jsonlog: {}}]" // the search of the history takes a contact in the second of the listing for one before it
	w := observed(t, dir, intel, Options{})
	w.contact(t, "62.0.0.1")
	until(t, "the hit", func() bool { return w.Status().Hits.Correlator.Hits == 1 })
	i := incidentOf(t, dir, "62.0.0.1")
	if i.State != incident.New || !i.Outbound || i.Inbound || i.Hosts != 1 || i.Flows != 1 || len(i.HostList) != 1 || i.HostList[0].Addr.String() != "10.0.0.5" ||
		len(i.Listings) != 1 || len(i.Services) != 1 || i.Services[0].Port != 443 {
		t.Errorf("%+v", i)
	}
	var page incident.Page[incident.HostRow]
	if err := web.Ask(t.Context(), dir, HostsPath, &page); err != nil || len(page.Rows) != 1 || page.Rows[0].Addr.String() != "10.0.0.5" {
		t.Errorf("hosts: %+v, %v", page, err)
	}
	var hosts []HostIncidents
	if err := web.Ask(t.Context(), dir, HostsPath+"/10.0.0.5", &hosts); err != nil || len(hosts) != 1 || len(hosts[0].Incidents) != 1 {
		t.Errorf("the host: %+v, %v", hosts, err)
	}
	if _, err := act(dir, "62.0.0.1", "take", nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	w = observed(t, dir, intel, Options{})
	i = incidentOf(t, dir, "62.0.0.1")
	us := web.OurName()
	if i.State != incident.Taken || i.Owner != us || i.Flows != 1 || len(i.Audit) != 1 || i.Audit[0].Author != us {
		t.Errorf("after a restart: %+v", i)
	}
	var refused *web.RefusedError
	if err := web.Ask(t.Context(), dir, IncidentsPath+"/62.0.0.9", i); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("an unknown address: %v", err)
	}
	for path, want := range map[string]string{IncidentsPath + "/x": "is not an address", IncidentsPath + "?state=odd": "state:", IncidentsPath + "?limit=0": "limit:"} {
		if err := web.Ask(t.Context(), dir, path, i); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if s := w.Status().Incidents; !s.Enabled || s.Incidents != 1 || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
}

// TestIncidentTwoOperators: the second who takes an incident hears who has it; by force it
// changes hands, and both are in the audit.
func TestIncidentTwoOperators(t *testing.T) {
	dir := shortDir(t)
	w := observed(t, dir, "{feeds: [{file: "+list(t, dir, "bad.txt", "62.0.0.1")+"}]}", Options{})
	w.contact(t, "62.0.0.1")
	incidentOf(t, dir, "62.0.0.1")
	s, err := w.incidents.ready()
	if err != nil {
		t.Fatal(err)
	}
	anna, bo := Desk{Store: s, author: "anna", now: time.Now}, Desk{Store: s, author: "bo", now: time.Now}
	a := Act{Act: incident.ActTake, Offender: netip.MustParseAddr("62.0.0.1")}
	for range 2 { // again by the same is no error
		if _, err := anna.Act(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	_, err = bo.Act(t.Context(), a)
	taken, ok := errors.AsType[*incident.TakenError](err)
	if !ok || taken.Owner != "anna" || time.Since(taken.Since) > time.Minute {
		t.Fatalf("the second: %v", err)
	}
	_, err = act(dir, "62.0.0.1", "take", nil)
	var refused *web.RefusedError
	if !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(err.Error(), "has been taken by anna, 20") {
		t.Errorf("over the socket: %v", err)
	}
	a.Force = true
	done, err := bo.Act(t.Context(), a)
	if err != nil || done.Incident.Owner != "bo" {
		t.Fatalf("by force: %+v, %v", done, err)
	}
	if audit := done.Incident.Audit; len(audit) != 2 || audit[0].Author != "anna" || audit[1].Author != "bo" || !strings.Contains(audit[1].Detail, "from anna") {
		t.Errorf("%+v", audit)
	}
}

// TestIncidentsDisabled: nothing is kept, and questions are answered with the reason.
func TestIncidentsDisabled(t *testing.T) {
	dir := shortDir(t)
	w := observed(t, dir, "{feeds: [{file: "+list(t, dir, "bad.txt", "62.0.0.1")+"}]}\nincidents: {enabled: false}", Options{})
	w.contact(t, "62.0.0.1")
	until(t, "the hit", func() bool { return w.Status().Hits.Correlator.Hits == 1 })
	err := web.Ask(t.Context(), dir, IncidentsPath, new(incident.Page[incident.Incident]))
	if err == nil || !strings.Contains(err.Error(), "no incidents are kept (incidents.enabled)") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, IncidentsFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a database: %v", err)
	}
	if s := w.Status().Incidents; s.Enabled || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
}

// TestIncidentsNoRoom: a database that cannot be opened ends nothing: hits go on, the check
// warns with the reason, and once it can be opened everything is there.
func TestIncidentsNoRoom(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, IncidentsFile)
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := observed(t, dir, "{feeds: [{file: "+list(t, dir, "bad.txt", "62.0.0.1")+"}]}", Options{})
	w.contact(t, "62.0.0.1")
	until(t, "the trouble is shown", func() bool { s := w.Status(); return s.Hits.Correlator.Hits == 1 && s.Incidents.Trouble != "" })
	err := web.Ask(t.Context(), dir, IncidentsPath, new(incident.Page[incident.Incident]))
	if err == nil || !strings.Contains(err.Error(), "the database of incidents cannot be opened: ") {
		t.Error(err)
	}
	if f := incidentCheck(w.incidents.status).State(time.Now()); f.State.String() != "warning" || !strings.Contains(f.Text, "events wait in the journal") {
		t.Errorf("%+v", f)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if i := incidentOf(t, dir, "62.0.0.1"); i.Flows != 1 {
		t.Errorf("%+v", i)
	}
}

// TestIncidentsReload: how many are kept, and for how long, changes without a restart.
func TestIncidentsReload(t *testing.T) {
	f := startFiled(t, "intel: {feeds: []}")
	const text = "intel: {feeds: []}\n"
	f.write(t, text+"incidents: {max: 500, keep: 48h, keep_judged: 72h}\n")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if n := f.Status().Incidents.Max; n != 500 || f.logs.FilterMessage("changes of these keys take effect after a restart").Len() > 0 {
		t.Errorf("at most %d; %v", n, f.logs.All())
	}
	f.incidents.prune(t.Context())
	f.write(t, text+"incidents: {enabled: false}\n")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if f.logs.FilterMessage("changes of these keys take effect after a restart").Len() != 1 || !f.Status().Incidents.Enabled {
		t.Errorf("%v", f.logs.All())
	}
}

// incidentsKilledEnv makes TestIncidentsKill an instance that is to be killed.
const incidentsKilledEnv = "FLOWSNITCH_INCIDENTS_KILLED"

// TestIncidentsKill: what the journal has is counted once, whenever the process is killed.
func TestIncidentsKill(t *testing.T) {
	if dir := os.Getenv(incidentsKilledEnv); dir != "" {
		w := observed(t, dir, "{feeds: [{file: "+filepath.Join(dir, "bad.txt")+"}]}\nsinks: [{jsonlog: {}}]", Options{})
		for range 1000 {
			w.contact(t, "62.0.0.1", "62.0.0.2")
			time.Sleep(20 * time.Millisecond)
		}
		return
	}
	dir := shortDir(t)
	list(t, dir, "bad.txt", "62.0.0.1", "62.0.0.2")
	for n := range 3 {
		c := exec.Command(os.Args[0], "-test.run=^TestIncidentsKill$", "-test.count=1")
		c.Env = append(os.Environ(), incidentsKilledEnv+"="+dir)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// A question commits; the kill comes right behind it, when more is on the way.
		incidentOf(t, dir, "62.0.0.2")
		time.Sleep(time.Duration(n*7) * time.Millisecond)
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	w := observed(t, dir, "{feeds: [{file: "+filepath.Join(dir, "bad.txt")+"}]}\nsinks: [{jsonlog: {}}]", Options{})
	until(t, "everything is committed", func() bool {
		w.incidents.freshen(t.Context())
		s := w.Status().Incidents
		return s.Pending == 0 && s.Waiting == 0
	})
	want := flowsIn(t, filepath.Join(dir, "hits.json"))
	for _, a := range []string{"62.0.0.1", "62.0.0.2"} {
		if i := incidentOf(t, dir, a); i.Flows < want[a] || i.Flows == 0 {
			t.Errorf("%s: %d flows, the hit log has %d", a, i.Flows, want[a])
		}
	}
}

// flowsIn sums up the running totals of contacts in a hit log, by offender.
func flowsIn(t *testing.T, path string) map[string]uint64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last, of := make(map[string]uint64), make(map[string]string)
	for line := range strings.Lines(string(b)) {
		e, err := event.ParseJSON([]byte(line))
		if err != nil {
			continue // a torn line
		}
		id := e.Contact.String()
		last[id], of[id] = max(last[id], e.Flows), e.Offender.String()
	}
	sums := make(map[string]uint64)
	for id, n := range last {
		sums[of[id]] += n
	}
	return sums
}

//go:build integration

package taxii

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
)

// A follower keeps the table of one TAXII feed in force.
type follower struct {
	t       *testing.T
	manager *fetch.Manager
	store   *lookup.Store
}

func follow(t *testing.T, s server) *follower {
	t.Helper()
	cfg := fetch.DefaultConfig()
	cfg.Feeds = []spec.Feed{{
		Name: "medallion", URL: spec.URL(s.base + "/taxii2/"), User: user, Password: password,
		Interval: 10 * time.Second, TAXII: &spec.TAXII{Collections: []string{"bad addresses"}},
	}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, store: lookup.NewStore()}
	f.manager = fetch.New(cfg, fetch.Options{
		Dir: t.TempDir(), Version: "test",
		Publish: func(table *lookup.Table, _ lookup.Report) { f.store.Swap(table) },
	})
	if err := f.manager.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.manager.Stop)
	return f
}

// wait waits until exactly these addresses are listed.
func (f *follower) wait(addrs ...string) {
	f.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		table := f.store.Load()
		found := 0
		for _, a := range addrs {
			if !table.Find(netip.MustParseAddr(a), 0).Empty() {
				found++
			}
		}
		if found == len(addrs) && table.Len() == found {
			return
		}
		if time.Now().After(end) {
			f.t.Fatalf("%d of %v are among %d listed: %+v", found, addrs, table.Len(), f.manager.Status()[0])
		}
	}
}

// TestMedallion follows a collection through pages, a newer version, a revocation and
// the end of an indicator's validity.
func TestMedallion(t *testing.T) {
	s := start(t)
	then := time.Now().Add(-time.Hour)
	for i := range 5 {
		s.add(t, newIndicator(i, then, fmt.Sprintf("62.0.%d.1", i)))
	}
	f := follow(t, s)
	f.wait("62.0.0.1", "62.0.1.1", "62.0.2.1", "62.0.3.1", "62.0.4.1")

	revoked := newIndicator(2, then.Add(time.Minute), "62.0.2.1")
	revoked["revoked"] = true
	s.add(t, newIndicator(1, then.Add(time.Minute), "62.9.1.1"), revoked, newIndicator(7, then, "62.0.7.1"))
	f.wait("62.0.0.1", "62.9.1.1", "62.0.3.1", "62.0.4.1", "62.0.7.1")

	ended := newIndicator(7, then.Add(2*time.Minute), "62.0.7.1")
	ended["valid_until"] = time.Now().Add(-time.Second).UTC().Format("2006-01-02T15:04:05.000Z")
	s.add(t, ended)
	f.wait("62.0.0.1", "62.9.1.1", "62.0.3.1", "62.0.4.1")
	if status := f.manager.Status()[0]; status.Error != "" || status.Code != 200 {
		t.Errorf("%+v", status)
	}
}

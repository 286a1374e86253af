package correlate

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/correlate/conversation"
	"github.com/flowsnitch/flowsnitch/intel/correlate/fold"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/sites"
)

// twoSites makes a stage with sites 1, oslo with a home network of its own, and 2, bergen
// with those of all.
func twoSites(t testing.TB, change func(*Config)) *stage {
	return newStage(t, func(c *Config) {
		c.Sites = []sites.Site{{Name: "oslo", Home: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("198.51.100.0/24")}}, {Name: "bergen"}}
		c.Exporters = []sites.Exporter{{Name: "o", Address: edge1, Site: "oslo"}, {Name: "b", Address: edge2, Site: "bergen"}}
		if change != nil {
			change(c)
		}
	})
}

// seenAt puts the exporter of a record at a site, under an address.
func seenAt(site uint16, exporter netip.Addr, r flow.Record) flow.Record {
	r.Exporter.Addr, r.Exporter.Site = exporter, site
	return r
}

// TestSamePrivateAddress: the same private address behind exporters of two sites is two
// hosts with a contact each, and nothing that one site shows is a duplicate or an answer
// of what the other shows.
func TestSamePrivateAddress(t *testing.T) {
	s := twoSites(t, nil)
	out := func(site uint16, e netip.Addr) flow.Record { return seenAt(site, e, tcp(us, 51515, bad, 443, syn)) }
	s.at(0, out(1, edge1))
	oslo := s.one(event.KindHit)
	s.at(time.Second, out(2, edge2))
	bergen := s.one(event.KindHit)
	s.at(2*time.Second, out(0, public))
	none := s.one(event.KindHit)
	if oslo.Site != "oslo" || bergen.Site != "bergen" || none.Site != "" {
		t.Errorf("sites %q, %q, %q", oslo.Site, bergen.Site, none.Site)
	}
	if oslo.Contact == bergen.Contact || oslo.Contact == none.Contact || bergen.Contact == none.Contact || oslo.Local != us || bergen.Local != us {
		t.Errorf("contacts %v, %v, %v", oslo.Contact, bergen.Contact, none.Contact)
	}
	if st := s.Stats(); st.Duplicates != 0 || st.Contacts != 3 {
		t.Errorf("%d duplicates, %d contacts", st.Duplicates, st.Contacts)
	}
	// An answer at one site is none at the other, and another exporter of the same site
	// sees the same flow.
	s.at(3*time.Second, seenAt(1, edge1, tcp(bad, 443, us, 51515, syn|ack)), out(2, public))
	if ev := s.one(event.KindUpdate); ev.Site != "oslo" || ev.Answered != event.AnsweredYes || ev.Contact != oslo.Contact {
		t.Errorf("%+v", ev)
	}
	if st := s.Stats(); st.Duplicates != 1 || st.Contacts != 3 {
		t.Errorf("a second exporter at one site: %d duplicates, %d contacts", st.Duplicates, st.Contacts)
	}
	s.Flush(t0.Add(time.Minute))
	for _, ev := range s.take() {
		if ev.Site == "bergen" && (ev.Answered == event.AnsweredYes || len(ev.Exporters) != 2 || ev.Flows != 1) {
			t.Errorf("bergen: %+v", ev)
		}
	}
	s.empty(t)
}

// TestHomeBySite: what is ours is a matter of the site.
func TestHomeBySite(t *testing.T) {
	for _, c := range []struct {
		site  uint16
		local string
		want  event.Direction
	}{
		{1, "10.0.0.5", event.Outbound}, {1, "198.51.100.7", event.Outbound}, {1, "10.1.0.5", event.Transit}, {1, "192.168.0.1", event.Transit},
		{2, "10.0.0.5", event.Outbound}, {2, "198.51.100.7", event.Transit}, {2, "10.1.0.5", event.Outbound}, {2, "192.168.0.1", event.Outbound},
		{0, "10.0.0.5", event.Outbound}, {0, "198.51.100.7", event.Transit}, {9, "10.1.0.5", event.Outbound},
	} {
		s := twoSites(t, nil)
		r := seenAt(c.site, edge1, tcp(netip.MustParseAddr(c.local), 51515, bad, 443, syn))
		s.at(0, r)
		if ev := s.one(event.KindHit); ev.Direction != c.want {
			t.Errorf("%s at site %d: %s, want %s", c.local, c.site, ev.Direction, c.want)
		}
		h := hitOf(t, s.table, r)
		if g := conversation.GradeOf(&h, s.home); (g == conversation.Transit) != (c.want == event.Transit) {
			t.Errorf("%s at site %d: graded %d", c.local, c.site, g)
		}
	}
}

// TestScansFoldBySite: a scan of the same addresses at two sites is one contact at each,
// and each counts its own hosts.
func TestScansFoldBySite(t *testing.T) {
	s := twoSites(t, nil)
	for i := range 100 {
		for site := range uint16(3) {
			s.at(0, seenAt(site, edge1, tcp(bad, 40000, host(i), 22, syn)))
		}
	}
	s.Flush(t0.Add(time.Minute))
	folded := map[string]event.Event{}
	alone := map[string]int{}
	for _, ev := range s.take() {
		switch {
		case ev.Folded:
			folded[ev.Site] = ev
		case ev.Kind == event.KindHit:
			alone[ev.Site]++
		}
	}
	for _, site := range []string{"", "oslo", "bergen"} {
		if ev, ok := folded[site]; !ok || ev.Hosts != 100-fold.Hosts || ev.Flows != 100-fold.Hosts || alone[site] != fold.Hosts {
			t.Errorf("%q: %d hosts, %d flows, %d alone", site, ev.Hosts, ev.Flows, alone[site])
		}
	}
	s.empty(t)
}

// TestRollUpBySite: so is what is rolled up in its listed prefix.
func TestRollUpBySite(t *testing.T) {
	s := twoSites(t, nil)
	s.RollUp([]netip.Prefix{netip.PrefixFrom(bad, 32)})
	for i := range 10 {
		s.at(0, seenAt(1, edge1, tcp(bad, 40000, host(i), 22, syn)), seenAt(2, edge2, tcp(bad, 40000, host(i), 22, syn)))
	}
	s.Flush(t0.Add(time.Minute))
	last := map[string]event.Event{}
	for _, ev := range s.take() {
		last[ev.Site] = ev
	}
	if len(last) != 2 || last["oslo"].Hosts != 10 || last["bergen"].Hosts != 10 || last["oslo"].Contact == last["bergen"].Contact {
		t.Errorf("%+v", last)
	}
}

// TestOverflowNamesOneSite: what finds no room is one contact of all sites; it has a site
// only while there is one, and hosts of two sites are two.
func TestOverflowNamesOneSite(t *testing.T) {
	s := twoSites(t, func(c *Config) { c.MaxContacts = 1 })
	s.at(0, seenAt(1, edge1, tcp(us, 51515, bad, 443, syn))) // severe
	s.take()
	s.at(0, seenAt(1, edge1, tcp(bad, 40000, host(1), 22, syn)))
	if ev := s.one(event.KindHit); !ev.Folded || ev.Site != "oslo" || ev.Hosts != 1 {
		t.Fatalf("%+v", ev)
	}
	s.at(0, seenAt(2, edge2, tcp(bad, 40000, host(1), 22, syn)))
	s.Flush(t0.Add(time.Minute))
	events := s.take()
	i := slices.IndexFunc(events, func(e event.Event) bool { return e.Folded })
	if i < 0 || events[i].Site != "" || events[i].Hosts != 2 || events[i].Flows != 2 {
		t.Errorf("%+v", events)
	}
}

// TestSiteKeys: keys differ by site alone, packed and not, and are no larger for it.
func TestSiteKeys(t *testing.T) {
	var keys []contactKey
	for _, site := range []uint16{0, 1, 2, 255, 256, 65535} {
		for _, protocol := range []bool{false, true} {
			for _, fold := range []foldKind{notFolded, ofOffender, ofOneSided, ofPrefix + 128} {
				if protocol && fold != notFolded {
					continue
				}
				keys = append(keys, contactKey{bad, us, 443, site, 6, protocol, fold})
			}
		}
	}
	seen := map[packedKey]bool{}
	for _, k := range keys {
		p := k.pack()
		if p.key() != k {
			t.Errorf("%+v became %+v", k, p.key())
		}
		seen[p] = true
	}
	if len(seen) != len(keys) {
		t.Errorf("%d packed keys of %d", len(seen), len(keys))
	}
}

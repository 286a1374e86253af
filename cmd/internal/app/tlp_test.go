package app

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
	"github.com/flowsnitch/flowsnitch/intel/lookup"
	"github.com/flowsnitch/flowsnitch/sinks/export/choice"
	"github.com/flowsnitch/flowsnitch/sinks/export/target"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/templates"
)

// A restricted offender is listed under labels; what each listing knows has a word that nothing
// else has.
type restricted struct {
	addr  netip.Addr
	words map[string]string // word: label
	least int               // rank of its least restricted label
}

// labelled makes an event of an offender with random listings, or an alert about it.
func labelled(r *rand.Rand, n int, now time.Time) (event.Event, restricted) {
	labels := []string{"", "clear", "WHITE", "Green", "amber", "AMBER", "amber+strict", "red", "RED", "internal"}
	o := restricted{addr: netip.AddrFrom4([4]byte{62, 1, byte(n >> 8), byte(n)}), words: map[string]string{}, least: 9}
	e := event.Event{
		Kind: event.KindHit, ID: uuid.New(), Contact: uuid.New(), Seq: 1, Time: now.Add(-time.Hour), ContactFirstSeen: now.Add(-time.Hour), Sensor: "pi", Offender: o.addr,
		Local: netip.MustParseAddr("10.0.0.5"), Direction: event.Outbound, Answered: event.AnsweredYes, Severity: event.Severity(r.IntN(4)), Score: 80, Flows: 1,
	}
	e.Src, e.Dst = e.Local, o.addr
	for i := range 1 + r.IntN(3) {
		word, label := fmt.Sprintf("w%dx%dw", n, i), labels[r.IntN(len(labels))]
		o.words[word], o.least = label, min(o.least, intel.TLPRank(label))
		e.Indicators = append(e.Indicators, event.Indicator{Prefix: netip.PrefixFrom(o.addr, 32), Feed: "feed", Category: word, Description: word,
			Ref: "https://feed.example/" + word, NativeID: word, Score: 80, TLP: label})
		e.Reason += word + " listed by feed (80); "
	}
	if n%10 == 8 { // an alert of a rule, which has of the listings no more than the strictest label
		e.Kind, e.Alert, e.ID = event.KindAlert, event.RulePrefix+"own", uuid.NewSHA1(uuid.Nil, []byte(o.addr.String()))
		e.Rule = &event.Rule{Name: "own", Title: "Own", Type: "event_count", Count: 20, Threshold: 20, Sources: []event.RuleShare{{Value: o.addr.String(), Count: 20}}}
		for i := range e.Indicators {
			if intel.TLPRank(e.Indicators[i].TLP) > intel.TLPRank(e.Rule.TLP) {
				e.Rule.TLP = e.Indicators[i].TLP
			}
			e.Rule.Group = append(e.Rule.Group, event.RuleField{Field: "category", Value: e.Indicators[i].Category})
		}
		e.Indicators = nil
	}
	if n%10 == 9 {
		e.Kind, e.Alert = event.KindAlert, "own_address_listed"
		e.Reason = e.Offender.String() + " is listed: " + e.Reason
	}
	return e, o
}

// TestRestrictedStaysIn: whatever the labels, nothing that a listing above max_tlp knows leaves by
// a message of any kind, a report in any form, or an export in any language; and what is not
// above it does.
func TestRestrictedStaysIn(t *testing.T) {
	r := rand.New(rand.NewPCG(16, 4))
	now := time.Now().UTC()
	s, err := store.Open(t.Context(), store.DefaultConfig(filepath.Join(t.TempDir(), "incidents.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	var b batch.Batch
	var events []event.Event
	var offenders []restricted
	for n := range 80 {
		e, o := labelled(r, n, now)
		b.Add(&e)
		events, offenders = append(events, e), append(offenders, o)
	}
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	table, _ := lookup.NewBuilder(lookup.Policy{}).Build("v")
	for _, most := range report.TLPs {
		// leaves checks a document; named is whether it may have the addresses of offenders
		// that only restricted listings know.
		leaves := func(where, doc string, named bool) (shown int) {
			for i := range offenders {
				o := &offenders[i]
				for word, label := range o.words {
					if in := strings.Contains(doc, word); in && intel.TLPRank(label) > intel.TLPRank(most) {
						t.Errorf("max_tlp %s: %s has what %q knows of %s", most, where, label, o.addr)
					} else if in {
						shown++
					}
				}
				if !named && o.least > intel.TLPRank(most) && strings.Contains(doc, o.addr.String()+" ") {
					t.Errorf("max_tlp %s: %s names %s", most, where, o.addr)
				}
			}
			return shown
		}
		shown := 0
		for _, doc := range messagesOf(t, events, most) {
			shown += leaves("a message", doc, true)
		}
		if shown == 0 {
			t.Errorf("max_tlp %s: the messages show nothing", most)
		}
		made, err := report.Make(t.Context(), s, report.Options{From: now.AddDate(0, 0, -7), Until: now, Now: now, MaxTLP: most})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for _, write := range []func(io.Writer) error{made.Text, made.HTML, made.JSON} {
			if err := write(&out); err != nil {
				t.Fatal(err)
			}
		}
		if err := made.Tables(func(string) (io.WriteCloser, error) { return unclosed{&out}, nil }); err != nil {
			t.Fatal(err)
		}
		separate := strings.NewReplacer(",", " ", `"`, " ", "<", " ", "\n", " ")
		if leaves("the report", separate.Replace(out.String()), false) == 0 {
			t.Errorf("max_tlp %s: the report shows nothing", most)
		}
		for _, to := range target.All {
			if to.TakesNames() {
				continue
			}
			o := choice.Default()
			o.MaxTLP = most
			l, err := ExportSeen(t.Context(), table, s, Barred{}, url.Values{"severity": {"low"}}, to, o, now)
			if err != nil {
				t.Fatal(err)
			}
			out.Reset()
			if err := l.Write(&out); err != nil {
				t.Fatal(err)
			}
			doc := separate.Replace(strings.NewReplacer("/32", " ", ";", " ", "'", " ").Replace(out.String()))
			leaves("the export "+to.Name, doc, to.Name == "rpz-ip") // where addresses are written backwards
			if !strings.Contains(doc, "62.1.0.") && to.Name != "rpz-ip" {
				t.Errorf("max_tlp %s: the export %s has nothing", most, to.Name)
			}
		}
	}
}

// messagesOf makes every kind of message of events, of a few and of all.
func messagesOf(t *testing.T, events []event.Event, most string) (docs []string) {
	t.Helper()
	groups := [][]event.Event{events}
	for some := range slices.Chunk(events, 5) {
		groups = append(groups, some)
	}
	for _, group := range groups {
		m := &notice.Message{MaxTLP: intel.TLPRank(most)}
		for i := range group {
			m.Add(&group[i], "first contact")
		}
		docs = append(docs, m.Title()+m.Text(func(s string) string { return s })) // the mail
		for _, make := range []func() ([]byte, error){m.JSON, m.Slack} {
			doc, err := make()
			if err != nil {
				t.Fatal(err)
			}
			docs = append(docs, string(doc))
		}
		for _, name := range templates.Names {
			template, err := templates.Shipped(name)
			if err != nil {
				t.Fatal(err)
			}
			made, err := template.Documents(m, func(v *notice.View) { v.Topic, v.RoutingKey = "topic", "key" })
			if err != nil {
				t.Fatal(err)
			}
			docs = append(docs, string(bytes.Join(made, nil)))
		}
	}
	return docs
}

// unclosed is a writer whose end is nothing.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

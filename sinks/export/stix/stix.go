package stix

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/sinks/export"
	"github.com/flowsnitch/flowsnitch/sinks/export/row"
	"github.com/google/uuid"
)

// space is the name space of ids that are made of a text.
var space = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/flowsnitch/flowsnitch"))

func idOf(kind, of string) string {
	return kind + "--" + uuid.NewSHA1(space, []byte(kind+" "+of)).String()
}

// firstTime is when all objects were created: nobody remembers when an id was first written, and
// the time must be the same in each version of an object (STIX 2.1, 3.6). It also stands for the
// first sight of what no feed has a date of.
var firstTime = time.Unix(0, 0)

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// An object has the properties of all kinds that a bundle holds.
type object struct {
	Type           string            `json:"type"`
	SpecVersion    string            `json:"spec_version"`
	ID             string            `json:"id"`
	CreatedBy      string            `json:"created_by_ref,omitempty"`
	Created        string            `json:"created"`
	Modified       string            `json:"modified,omitempty"`
	Name           string            `json:"name,omitempty"`
	Description    string            `json:"description,omitempty"`
	IdentityClass  string            `json:"identity_class,omitempty"`
	IndicatorTypes []string          `json:"indicator_types,omitempty"`
	Pattern        string            `json:"pattern,omitempty"`
	PatternType    string            `json:"pattern_type,omitempty"`
	ValidFrom      string            `json:"valid_from,omitempty"`
	ValidUntil     string            `json:"valid_until,omitempty"`
	Confidence     uint8             `json:"confidence,omitempty"`
	Labels         []string          `json:"labels,omitempty"`
	Content        string            `json:"content,omitempty"`
	ObjectRefs     []string          `json:"object_refs,omitempty"`
	Markings       []string          `json:"object_marking_refs,omitempty"`
	FirstSeen      string            `json:"first_seen,omitempty"`
	LastSeen       string            `json:"last_seen,omitempty"`
	Count          uint64            `json:"count,omitempty"`
	SightingOf     string            `json:"sighting_of_ref,omitempty"`
	DefinitionType string            `json:"definition_type,omitempty"`
	Definition     map[string]string `json:"definition,omitempty"`
}

// markings are the ids that the standard gives to the labels of the Traffic Light
// Protocol (STIX 2.1, 7.2.1.4), by intel.TLPRank. It knows no amber+strict, which becomes red.
var markings = [...]struct{ label, id string }{
	{}, // no label, no marking
	{"white", "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"},
	{"green", "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"},
	{"amber", "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"},
	{"red", "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"},
	{"red", "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"},
}

// use is how a bundle is put into force and out of it.
var use = []string{"load: import the bundle; objects with a known id are replaced", "undo: delete the objects that the identity flowsnitch has created"}

// Write writes a bundle with an indicator for each row.
func Write(w *bufio.Writer, l *export.List) {
	header := strings.Join(append(l.Header("stix"), use...), "\n")
	made := l.Made()
	if made.IsZero() {
		made = firstTime
	}
	self := object{
		Type: "identity", SpecVersion: "2.1", ID: idOf("identity", "flowsnitch"), Created: timeText(firstTime), Modified: timeText(firstTime),
		Name: "flowsnitch", IdentityClass: "system",
	}
	fmt.Fprintf(w, "{\"type\":\"bundle\",\"id\":%q,\"objects\":[\n", idOf("bundle", header))
	writeObject(w, &self, "")
	writeObject(w, &object{
		Type: "note", SpecVersion: "2.1", ID: idOf("note", l.ID()), CreatedBy: self.ID, Created: timeText(firstTime), Modified: timeText(made),
		Content: header, ObjectRefs: []string{self.ID},
	}, ",")
	used := make(map[string]bool)
	for r := range l.Rows {
		o := indicator(r, made)
		o.CreatedBy = self.ID
		if r.TLP != "" {
			marking := markings[intel.TLPRank(r.TLP)]
			o.Markings = []string{marking.id}
			if !used[marking.id] {
				used[marking.id] = true
				writeObject(w, &object{
					Type: "marking-definition", SpecVersion: "2.1", ID: marking.id, Created: "2017-01-20T00:00:00.000Z",
					Name: "TLP:" + strings.ToUpper(marking.label), DefinitionType: "tlp", Definition: map[string]string{"tlp": marking.label},
				}, ",")
			}
		}
		writeObject(w, o, ",")
		if r.Sighting.Count > 0 {
			writeObject(w, sighting(r, o), ",")
		}
	}
	w.WriteString("\n]}\n")
}

// writeObject writes an object behind what separates it from the one before.
func writeObject(w *bufio.Writer, o *object, separator string) {
	if separator != "" {
		w.WriteString(separator + "\n")
	}
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // texts and numbers only
	}
	w.Write(b)
}

// indicator gives the object of a row.
func indicator(r *row.Row, made time.Time) *object {
	pattern := patternOf(r)
	from := r.FirstSeen
	if from.IsZero() {
		from = firstTime
	}
	o := &object{
		Type: "indicator", SpecVersion: "2.1", ID: idOf("indicator", pattern), Created: timeText(firstTime), Modified: timeText(modified(r, made)),
		Name: r.Address(), Description: r.Reason(), IndicatorTypes: []string{typeOf(r.Category)},
		Pattern: pattern, PatternType: "stix", ValidFrom: timeText(from), Confidence: min(r.Score, 100),
	}
	if r.Category != "" {
		o.Labels = []string{row.Plain(r.Category, row.MaxReason)}
	}
	if r.Expires.After(from) {
		o.ValidUntil = timeText(r.Expires)
	}
	return o
}

// modified gives when a row was changed: where the time of the list must not show, by the latest
// date that it has.
func modified(r *row.Row, made time.Time) time.Time {
	for _, t := range []time.Time{r.FirstSeen, r.LastSeen, time.Unix(r.Sighting.Last, 0)} {
		if made.Before(t) {
			made = t
		}
	}
	return made
}

// maxSightings is the greatest count of a sighting (STIX 2.1, 5.2.1).
const maxSightings = 999_999_999

// sighting gives the object of the contacts with a row.
func sighting(r *row.Row, of *object) *object {
	s := &object{
		Type: "sighting", SpecVersion: "2.1", ID: idOf("sighting", of.Pattern), CreatedBy: of.CreatedBy, Created: of.Created, Modified: of.Modified,
		Count: min(r.Sighting.Count, maxSightings), SightingOf: of.ID, Markings: of.Markings,
	}
	if r.Sighting.First > 0 {
		s.FirstSeen = timeText(time.Unix(r.Sighting.First, 0))
	}
	if r.Sighting.Last > 0 && r.Sighting.Last >= r.Sighting.First {
		s.LastSeen = timeText(time.Unix(r.Sighting.Last, 0))
	}
	return s
}

// patternOf gives the pattern that finds a row.
func patternOf(r *row.Row) string {
	kind := "ipv4-addr"
	if r.Prefix.Addr().Is6() {
		kind = "ipv6-addr"
	}
	if r.Port != 0 {
		return fmt.Sprintf("[network-traffic:dst_ref.type = '%s' AND network-traffic:dst_ref.value = '%s' AND network-traffic:dst_port = %d]", kind, r.Address(), r.Port)
	}
	return fmt.Sprintf("[%s:value = '%s']", kind, r.Address())
}

// typeOf gives the type of indicator (STIX 2.1, 10.9) of a category.
func typeOf(category string) string {
	switch category {
	case "tor", "proxy", "vpn", "anonymizer":
		return "anonymization"
	}
	return "malicious-activity"
}

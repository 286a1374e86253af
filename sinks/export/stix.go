package export

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// stix is a bundle of STIX 2.1 with an indicator for each row (STIX Version 2.1, OASIS
// Standard, 4.7), one object a line. The id of an indicator is made of its pattern, so that
// whoever reads the next bundle updates what he has.
var stix = Target{
	Name:    "stix",
	Help:    "indicators of STIX 2.1, for threat intelligence platforms",
	Example: "flowsnitch export stix --set > flowsnitch.json",
	ports:   true, timeouts: true, reasons: true, dates: true,
	write: writeSTIX,
}

// stixSpace is the name space of ids that are made of a text.
var stixSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/flowsnitch/flowsnitch"))

func stixID(kind, of string) string {
	return kind + "--" + uuid.NewSHA1(stixSpace, []byte(kind+" "+of)).String()
}

// unknownTime stands for the first sight of what no feed has a date of.
var unknownTime = time.Unix(0, 0)

func stixTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// A stixObject has the properties of all kinds that a bundle holds.
type stixObject struct {
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
	DefinitionType string            `json:"definition_type,omitempty"`
	Definition     map[string]string `json:"definition,omitempty"`
}

// stixMarkings are the ids that the standard gives to the labels of the Traffic Light
// Protocol (STIX 2.1, 7.2.1.4), by tlpRank. It knows no amber+strict, which becomes red.
var stixMarkings = [...]struct{ label, id string }{
	{"white", "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"},
	{"green", "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"},
	{"amber", "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"},
	{"red", "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"},
	{"red", "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"},
}

func writeSTIX(w *bufio.Writer, l *List) {
	header := strings.Join(l.header(), "\n")
	made := l.made
	if made.IsZero() {
		made = unknownTime
	}
	self := stixObject{
		Type: "identity", SpecVersion: "2.1", ID: stixID("identity", "flowsnitch"), Created: stixTime(unknownTime), Modified: stixTime(unknownTime),
		Name: "flowsnitch", IdentityClass: "system",
	}
	fmt.Fprintf(w, "{\"type\":\"bundle\",\"id\":%q,\"objects\":[\n", stixID("bundle", header))
	writeObject(w, &self, "")
	writeObject(w, &stixObject{
		Type: "note", SpecVersion: "2.1", ID: stixID("note", header), CreatedBy: self.ID, Created: stixTime(made), Modified: stixTime(made),
		Content: header, ObjectRefs: []string{self.ID},
	}, ",")
	used := make(map[string]bool)
	for r := range l.Rows {
		o := l.indicator(r, made)
		o.CreatedBy = self.ID
		if r.TLP != "" {
			marking := stixMarkings[tlpRank(r.TLP)]
			o.Markings = []string{marking.id}
			if !used[marking.id] {
				used[marking.id] = true
				writeObject(w, &stixObject{
					Type: "marking-definition", SpecVersion: "2.1", ID: marking.id, Created: "2017-01-20T00:00:00.000Z",
					Name: "TLP:" + strings.ToUpper(marking.label), DefinitionType: "tlp", Definition: map[string]string{"tlp": marking.label},
				}, ",")
			}
		}
		writeObject(w, o, ",")
	}
	w.WriteString("\n]}\n")
}

// writeObject writes an object behind what separates it from the one before.
func writeObject(w *bufio.Writer, o *stixObject, separator string) {
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
func (l *List) indicator(r *Row, made time.Time) *stixObject {
	pattern := stixPattern(r)
	created := r.FirstSeen
	if created.IsZero() {
		created = unknownTime
	}
	modified := made
	if modified.Before(created) {
		modified = created
	}
	o := &stixObject{
		Type: "indicator", SpecVersion: "2.1", ID: stixID("indicator", pattern), Created: stixTime(created), Modified: stixTime(modified),
		Name: short(r.Prefix), Description: r.reason(), IndicatorTypes: []string{stixType(r.Category)},
		Pattern: pattern, PatternType: "stix", ValidFrom: stixTime(created), Confidence: min(r.Score, 100),
	}
	if r.Category != "" {
		o.Labels = []string{plain(r.Category, maxReason)}
	}
	if r.Expires.After(created) {
		o.ValidUntil = stixTime(r.Expires)
	}
	return o
}

// stixPattern gives the pattern that finds a row.
func stixPattern(r *Row) string {
	kind := "ipv4-addr"
	if r.Prefix.Addr().Is6() {
		kind = "ipv6-addr"
	}
	if r.Port != 0 {
		return fmt.Sprintf("[network-traffic:dst_ref.type = '%s' AND network-traffic:dst_ref.value = '%s' AND network-traffic:dst_port = %d]", kind, short(r.Prefix), r.Port)
	}
	return fmt.Sprintf("[%s:value = '%s']", kind, short(r.Prefix))
}

// stixType gives the type of indicator (STIX 2.1, 10.9) of a category.
func stixType(category string) string {
	switch category {
	case "tor", "proxy", "vpn", "anonymizer":
		return "anonymization"
	}
	return "malicious-activity"
}

package platforms

import (
	"encoding/json"
	"fmt"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// threatFoxIOC is an indicator of the ThreatFox API, or of its JSON export, where
// the value has another name and the id is the key of the list around it.
type threatFoxIOC struct {
	ID         jsonwalk.Text  `json:"id"`
	IOC        jsonwalk.Text  `json:"ioc"`
	Value      jsonwalk.Text  `json:"ioc_value"`
	Type       jsonwalk.Text  `json:"ioc_type"`
	Threat     jsonwalk.Text  `json:"threat_type"`
	Malware    jsonwalk.Text  `json:"malware_printable"`
	Confidence jsonwalk.Text  `json:"confidence_level"`
	FirstSeen  jsonwalk.Text  `json:"first_seen"`
	FirstUTC   jsonwalk.Text  `json:"first_seen_utc"`
	LastSeen   jsonwalk.Text  `json:"last_seen"`
	LastUTC    jsonwalk.Text  `json:"last_seen_utc"`
	Tags       jsonwalk.Words `json:"tags"`
}

// ThreatFox parses the answer to get_iocs, or an export. An answer without
// result is empty, one that reports an error is rejected.
func ThreatFox(d *document.Document, src *document.Source, _ string) error {
	j := jsonwalk.New(d, src)
	row := func() error { return threatFoxRow(j, "") }
	var status jsonwalk.Text
	none := "" // what stands in the place of data
	key := func(name string) error {
		switch name {
		case "query_status":
			j.Known = true
			return j.Row(&status)
		case "data":
			j.Known = true
			return j.Walk(jsonwalk.Handlers{Item: row, Scalar: func(t json.Token) error {
				none = fmt.Sprint(t)
				return nil
			}})
		}
		if _, isID := prefix.Decimal(name, 12, 1<<31-1); isID {
			j.Known = true
			return j.Walk(jsonwalk.Handlers{Item: func() error { return threatFoxRow(j, name) }})
		}
		return j.Skip()
	}
	if err := j.Document("an object with data", jsonwalk.Handlers{Item: row, Key: key}); err != nil {
		return err
	}
	if status != "" && status != "ok" && status != "no_result" {
		return d.Refuse("the answer is an error: query_status %q", document.Escape(string(status)))
	}
	if none != "" && status != "no_result" {
		return d.Refuse("data is %q, not a list", document.Escape(none))
	}
	return nil
}

// threatFoxRow reads one indicator; id is that of the list around it.
func threatFoxRow(j *jsonwalk.Reader, id string) error {
	var r threatFoxIOC
	if err := j.Row(&r); err != nil {
		return err
	}
	value := document.Trim(string(firstOf(r.IOC, r.Value)))
	var e document.Entry
	switch r.Type {
	case "ip:port":
		p, port, err := prefix.AddrPort(value)
		if err != nil {
			return j.RefuseRow(jsonwalk.Text(value), err)
		}
		e = r.entry(id)
		e.Prefix, e.Port = p, port
	default:
		j.Doc.Reject(string(r.Type)+" "+value, errNotAddrPort)
		if r.Type != "domain" && r.Type != "url" {
			return nil
		}
		name, ofURL := j.Doc.NameOf(value)
		if name == "" {
			return nil
		}
		j.Doc.Named()
		e = r.entry(id)
		e.Name, e.OfURL = name, ofURL
	}
	return j.Doc.Accept(e)
}

// entry gives what an entry has beside its value.
func (r *threatFoxIOC) entry(id string) document.Entry {
	e := document.Entry{Indicator: intel.Indicator{
		Score:       document.ScoreOf(string(r.Confidence)),
		Category:    document.CategoryOf(append(jsonwalk.Words{r.Threat}, r.Tags...)...),
		Description: string(r.Malware),
		NativeID:    string(firstOf(r.ID, jsonwalk.Text(id))),
		FirstSeen:   dates.Parse(string(firstOf(r.FirstSeen, r.FirstUTC))),
		LastSeen:    dates.Parse(string(firstOf(r.LastSeen, r.LastUTC))),
	}}
	if e.NativeID != "" {
		e.Ref = ThreatFoxRef(e.NativeID)
	}
	return e
}

// ThreatFoxRef is the page of an indicator by its number.
func ThreatFoxRef(id string) string {
	return "https://threatfox.abuse.ch/ioc/" + document.PathEscape(id) + "/"
}

// firstOf gives the first text that is not empty.
func firstOf(texts ...jsonwalk.Text) jsonwalk.Text {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

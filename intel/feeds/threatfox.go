package feeds

import (
	"encoding/json"
	"fmt"

	"github.com/flowsnitch/flowsnitch/intel"
)

// threatFoxIOC is an indicator of the ThreatFox API, or of its JSON export, where
// the value has another name and the id is the key of the list around it.
type threatFoxIOC struct {
	ID         text  `json:"id"`
	IOC        text  `json:"ioc"`
	Value      text  `json:"ioc_value"`
	Type       text  `json:"ioc_type"`
	Threat     text  `json:"threat_type"`
	Malware    text  `json:"malware_printable"`
	Confidence text  `json:"confidence_level"`
	FirstSeen  text  `json:"first_seen"`
	FirstUTC   text  `json:"first_seen_utc"`
	LastSeen   text  `json:"last_seen"`
	LastUTC    text  `json:"last_seen_utc"`
	Tags       words `json:"tags"`
}

// runThreatFox parses the answer to get_iocs, or an export. An answer without
// result is empty, one that reports an error is rejected.
func runThreatFox(d *document, src *source, _ string) error {
	j := newJSONReader(d, src)
	row := func() error { return j.threatFoxRow("") }
	var status text
	none := "" // what stands in the place of data
	key := func(name string) error {
		switch name {
		case "query_status":
			j.known = true
			return j.row(&status)
		case "data":
			j.known = true
			return j.walk(handlers{item: row, scalar: func(t json.Token) error {
				none = fmt.Sprint(t)
				return nil
			}})
		}
		if _, isID := decimal(name, 12, 1<<31-1); isID {
			j.known = true
			return j.walk(handlers{item: func() error { return j.threatFoxRow(name) }})
		}
		return j.skip()
	}
	if err := j.document("an object with data", handlers{item: row, key: key}); err != nil {
		return err
	}
	if status != "" && status != "ok" && status != "no_result" {
		return d.refuse("the answer is an error: query_status %q", escape(string(status)))
	}
	if none != "" && status != "no_result" {
		return d.refuse("data is %q, not a list", escape(none))
	}
	return nil
}

// threatFoxRow reads one indicator; id is that of the list around it.
func (j *jsonReader) threatFoxRow(id string) error {
	var r threatFoxIOC
	if err := j.row(&r); err != nil {
		return err
	}
	value := trim(string(firstOf(r.IOC, r.Value)))
	if r.Type != "ip:port" {
		j.d.reject(string(r.Type)+" "+value, errNotAddrPort)
		return nil
	}
	p, port, err := parseAddrPort(value)
	if err != nil {
		return j.refuseRow(text(value), err)
	}
	e := Entry{Indicator: intel.Indicator{
		Prefix:      p,
		Port:        port,
		Score:       scoreOf(string(r.Confidence)),
		Category:    categoryOf(append(words{r.Threat}, r.Tags...)...),
		Description: string(r.Malware),
		NativeID:    string(firstOf(r.ID, text(id))),
		FirstSeen:   parseTime(string(firstOf(r.FirstSeen, r.FirstUTC))),
		LastSeen:    parseTime(string(firstOf(r.LastSeen, r.LastUTC))),
	}}
	if e.NativeID != "" {
		e.Ref = threatFoxRef(e.NativeID)
	}
	return j.d.accept(e)
}

func threatFoxRef(id string) string {
	return "https://threatfox.abuse.ch/ioc/" + pathEscape(id) + "/"
}

// firstOf gives the first text that is not empty.
func firstOf(texts ...text) text {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

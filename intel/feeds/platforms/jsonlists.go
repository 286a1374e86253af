package platforms

import (
	"errors"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var errNotAddrPort = errors.New("not of type ip:port")

// Lists of one provider each: the Feodo Tracker, the AbuseIPDB blacklist, and the SANS ISC
// intelfeed.
var (
	Feodo     = jsonList("", feodoRow)
	AbuseIPDB = jsonList("data", abuseIPDBRow)
	ISC       = jsonList("", iscRow)
)

// jsonList makes the run function of a format that is a bare list of rows, or,
// when member is not empty, an object with the list in that member.
func jsonList(member string, row func(*jsonwalk.Reader) error) func(*document.Document, *document.Source, string) error {
	return func(d *document.Document, src *document.Source, _ string) error {
		j := jsonwalk.New(d, src)
		item := func() error { return row(j) }
		key := func(name string) error {
			if member == "" || name != member {
				return j.SkipDated(name)
			}
			return j.List(name, item)
		}
		shape := "a list"
		if member != "" {
			shape = "an object with " + member
		}
		return j.Document(shape, jsonwalk.Handlers{Item: item, Key: key})
	}
}

// feodoRow reads a row of the Feodo Tracker's JSON list.
func feodoRow(j *jsonwalk.Reader) error {
	var r struct {
		Address    jsonwalk.Text `json:"ip_address"`
		Port       jsonwalk.Text `json:"port"`
		Status     jsonwalk.Text `json:"status"`
		FirstSeen  jsonwalk.Text `json:"first_seen"`
		LastOnline jsonwalk.Text `json:"last_online"`
		Malware    jsonwalk.Text `json:"malware"`
	}
	if err := j.Row(&r); err != nil {
		return err
	}
	p, err := prefix.Parse(document.Trim(string(r.Address)))
	if err != nil {
		return j.RefuseRow(r.Address, err)
	}
	port, _ := prefix.Port(string(r.Port))
	return j.Doc.Accept(document.Entry{
		Indicator: intel.Indicator{
			Prefix:      p,
			Port:        port,
			Category:    "c2",
			Ref:         "https://feodotracker.abuse.ch/browse/host/" + p.Addr().String() + "/",
			Description: string(r.Malware),
			FirstSeen:   dates.Parse(string(r.FirstSeen)),
			LastSeen:    dates.Parse(string(r.LastOnline)),
		},
		Offline: r.Status == "offline",
	})
}

// abuseIPDBRow reads a row of the AbuseIPDB blacklist.
func abuseIPDBRow(j *jsonwalk.Reader) error {
	var r struct {
		Address    jsonwalk.Text `json:"ipAddress"`
		Score      jsonwalk.Text `json:"abuseConfidenceScore"`
		LastReport jsonwalk.Text `json:"lastReportedAt"`
		Country    jsonwalk.Text `json:"countryCode"`
	}
	if err := j.Row(&r); err != nil {
		return err
	}
	p, err := prefix.Parse(document.Trim(string(r.Address)))
	if err != nil {
		return j.RefuseRow(r.Address, err)
	}
	return j.Doc.Accept(document.Entry{Indicator: intel.Indicator{
		Prefix:      p,
		Score:       document.ScoreOf(string(r.Score)),
		Ref:         "https://www.abuseipdb.com/check/" + p.Addr().String(),
		Description: string(r.Country),
		LastSeen:    dates.Parse(string(r.LastReport)),
	}})
}

// iscRow reads a row of the SANS ISC intelfeed; octets may be padded with zeros.
func iscRow(j *jsonwalk.Reader) error {
	var r struct {
		Address     jsonwalk.Text `json:"ip"`
		Description jsonwalk.Text `json:"description"`
	}
	if err := j.Row(&r); err != nil {
		return err
	}
	a, err := prefix.Padded(document.Trim(string(r.Address)))
	if err != nil {
		return j.RefuseRow(r.Address, err)
	}
	return j.Doc.Accept(document.Entry{Indicator: intel.Indicator{
		Prefix:      netip.PrefixFrom(a, a.BitLen()),
		Category:    document.CategoryOf(r.Description),
		Ref:         document.ISCRef(a),
		Description: string(r.Description),
	}})
}

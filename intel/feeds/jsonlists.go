package feeds

import (
	"errors"
	"net/netip"

	"github.com/flowsnitch/flowsnitch/intel"
)

var errNotAddrPort = errors.New("not of type ip:port")

// jsonList makes the run function of a format that is a bare list of rows, or,
// when member is not empty, an object with the list in that member.
func jsonList(member string, row func(*jsonReader) error) func(*document, *source, string) error {
	return func(d *document, src *source, _ string) error {
		j := newJSONReader(d, src)
		item := func() error { return row(j) }
		key := func(name string) error {
			if member == "" || name != member {
				return j.skipDated(name)
			}
			return j.list(name, item)
		}
		wants := "a list"
		if member != "" {
			wants = "an object with " + member
		}
		return j.document(wants, handlers{item: item, key: key})
	}
}

// feodoRow reads a row of the Feodo Tracker's JSON list.
func feodoRow(j *jsonReader) error {
	var r struct {
		Address    text `json:"ip_address"`
		Port       text `json:"port"`
		Status     text `json:"status"`
		FirstSeen  text `json:"first_seen"`
		LastOnline text `json:"last_online"`
		Malware    text `json:"malware"`
	}
	if err := j.row(&r); err != nil {
		return err
	}
	p, err := parsePrefix(trim(string(r.Address)))
	if err != nil {
		return j.refuseRow(r.Address, err)
	}
	port, _ := parsePort(string(r.Port))
	return j.d.accept(Entry{
		Indicator: intel.Indicator{
			Prefix:      p,
			Port:        port,
			Category:    "c2",
			Ref:         "https://feodotracker.abuse.ch/browse/host/" + p.Addr().String() + "/",
			Description: string(r.Malware),
			FirstSeen:   parseTime(string(r.FirstSeen)),
			LastSeen:    parseTime(string(r.LastOnline)),
		},
		Offline: r.Status == "offline",
	})
}

// abuseIPDBRow reads a row of the AbuseIPDB blacklist.
func abuseIPDBRow(j *jsonReader) error {
	var r struct {
		Address    text `json:"ipAddress"`
		Score      text `json:"abuseConfidenceScore"`
		LastReport text `json:"lastReportedAt"`
		Country    text `json:"countryCode"`
	}
	if err := j.row(&r); err != nil {
		return err
	}
	p, err := parsePrefix(trim(string(r.Address)))
	if err != nil {
		return j.refuseRow(r.Address, err)
	}
	return j.d.accept(Entry{Indicator: intel.Indicator{
		Prefix:      p,
		Score:       scoreOf(string(r.Score)),
		Ref:         "https://www.abuseipdb.com/check/" + p.Addr().String(),
		Description: string(r.Country),
		LastSeen:    parseTime(string(r.LastReport)),
	}})
}

// iscRow reads a row of the SANS ISC intelfeed; octets may be padded with zeros.
func iscRow(j *jsonReader) error {
	var r struct {
		Address     text `json:"ip"`
		Description text `json:"description"`
	}
	if err := j.row(&r); err != nil {
		return err
	}
	a, err := parsePadded(trim(string(r.Address)))
	if err != nil {
		return j.refuseRow(r.Address, err)
	}
	return j.d.accept(Entry{Indicator: intel.Indicator{
		Prefix:      netip.PrefixFrom(a, a.BitLen()),
		Category:    categoryOf(r.Description),
		Ref:         iscRef(a),
		Description: string(r.Description),
	}})
}

// refuseRow counts a row whose address is missing or wrong.
func (j *jsonReader) refuseRow(address text, err error) error {
	if address == "" {
		err = errNoValue
	}
	j.d.reject(string(address), err)
	return nil
}

// scoreOf reads a confidence of 1 to 100; anything else is 0, not said.
func scoreOf(s string) uint8 {
	n, ok := decimal(s, 3, 100)
	if !ok {
		return 0
	}
	return uint8(n)
}

package enrich

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/oschwald/maxminddb-golang/v2"
)

// A Place is where an address belongs. What no database has is empty.
type Place struct {
	// Country is two capital letters, by ISO 3166.
	Country  string `json:"country,omitempty"`
	ASNumber uint32 `json:"as_number,omitempty"`
	// ASName is who has the AS: plain text of one line, at most maxName bytes and an ellipsis.
	ASName string `json:"as_name,omitempty"`
}

// maxName bounds the name of an AS.
const maxName = 80

// Known reports whether some database has the address.
func (p Place) Known() bool { return p != Place{} }

// fill takes from q what p lacks. Number and name come from one database.
func (p *Place) fill(q Place) {
	if p.Country == "" {
		p.Country = q.Country
	}
	if p.ASNumber == 0 {
		p.ASNumber, p.ASName = q.ASNumber, q.ASName
	}
}

// whole reports whether nothing is missing.
func (p *Place) whole() bool { return p.Country != "" && p.ASNumber != 0 }

// A nested record has the country in a map: GeoLite2 and GeoIP2, DB-IP. Addresses that are in use all over
// the world have only the country in which they are registered.
type nested struct {
	Country struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Registered struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"registered_country"`
	Number uint32 `maxminddb:"autonomous_system_number"`
	Name   string `maxminddb:"autonomous_system_organization"`
}

// A flat record has texts only: IPinfo. Its country is a code where there is no country_code,
// else a name, and the AS stands as "AS64496". In its database of AS alone the name is "name".
type flat struct {
	Country string `maxminddb:"country"`
	Code    string `maxminddb:"country_code"`
	ASN     string `maxminddb:"asn"`
	ASName  string `maxminddb:"as_name"`
	Name    string `maxminddb:"name"`
}

// decode reads a record in whichever layout it is. The library bounds what a record takes.
func decode(r maxminddb.Result) (Place, error) {
	var n nested
	err := r.Decode(&n)
	if _, other := errors.AsType[maxminddb.UnmarshalTypeError](err); err != nil && !other {
		return Place{}, err
	}
	if p := n.place(); err == nil && p.Known() {
		return p, nil
	}
	var f flat
	err = r.Decode(&f)
	if _, other := errors.AsType[maxminddb.UnmarshalTypeError](err); other {
		return Place{}, nil // a database of something else
	}
	return f.place(), err
}

func (n *nested) place() Place {
	p := Place{Country: country(n.Country.Code), ASNumber: n.Number}
	if p.Country == "" {
		p.Country = country(n.Registered.Code)
	}
	if p.ASNumber != 0 {
		p.ASName = plain(n.Name)
	}
	return p
}

func (f *flat) place() Place {
	p := Place{Country: country(f.Code)}
	if f.Code == "" {
		p.Country = country(f.Country)
	}
	digits := strings.TrimPrefix(strings.ToUpper(f.ASN), "AS")
	if n, err := strconv.ParseUint(digits, 10, 32); err == nil && n != 0 {
		p.ASNumber = uint32(n)
		if p.ASName = plain(f.ASName); p.ASName == "" {
			p.ASName = plain(f.Name)
		}
	}
	return p
}

// country gives a code in capital letters, or nothing.
func country(code string) string {
	if len(code) != 2 {
		return ""
	}
	for _, c := range []byte(code) {
		if c |= 0x20; c < 'a' || c > 'z' {
			return ""
		}
	}
	return strings.ToUpper(code)
}

// plain makes a foreign name one short line without anything that controls a terminal.
func plain(name string) string {
	return strings.TrimSpace(string(fit.AppendPlain(nil, name, maxName)))
}

// public reports whether a database can have an address.
func public(a netip.Addr) bool {
	return a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() && !a.IsMulticast()
}

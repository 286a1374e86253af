package stixpattern

import (
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// A patternTerm is the meaning of a part of a pattern: addresses, ports, types of an end, or
// other things. Only the addresses of it count, unless it is joined with others by AND.
type patternTerm struct {
	addresses []Address
	ports     []uint16
	end       string // that the addresses, ports or type are of: src, dst or neither
	isType    bool   // the type of an end
	isIP      bool   // the type is an address
	isName    bool   // the type is a domain name
	hasPort   bool   // the addresses have their ports
	other     bool   // it means something else, too, or several ends
	names     []Name // of the something else
}

// termOf gives the meaning of a comparison with the values.
func termOf(path string, values []string) (patternTerm, error) {
	object, property, _ := strings.Cut(path, ":")
	end := ""
	if object == "network-traffic" {
		end, property, _ = strings.Cut(property, "_")
		if end != "src" && end != "dst" {
			return patternTerm{other: true}, nil
		}
	}
	switch object + ":" + property {
	case "ipv4-addr:value", "ipv6-addr:value", "network-traffic:ref.value":
		t := patternTerm{end: end}
		for _, v := range values {
			t.addresses = append(t.addresses, Address{Value: v})
		}
		return t, nil
	case "network-traffic:port":
		t := patternTerm{end: end}
		for _, v := range values {
			port, err := prefix.Port(v)
			if err != nil {
				return t, err
			}
			t.ports = append(t.ports, port)
		}
		return t, nil
	case "network-traffic:ref.type":
		t := patternTerm{end: end, isType: true, isIP: true, isName: true}
		for _, v := range values {
			t.isIP = t.isIP && (v == "ipv4-addr" || v == "ipv6-addr")
			t.isName = t.isName && v == "domain-name"
		}
		return t, nil
	case "domain-name:value", "url:value":
		t := patternTerm{other: true}
		for _, v := range values {
			t.names = append(t.names, Name{v, object == "url"})
		}
		return t, nil
	}
	return patternTerm{other: true}, nil
}

// or adds a term: what is true of any of the addresses is listed.
func (t *patternTerm) or(o patternTerm) {
	if len(t.addresses)+len(t.ports) == 0 && !t.isType && !t.other {
		*t = o
		return
	}
	t.other = t.other || o.other || t.end != o.end || t.hasPort != o.hasPort ||
		t.isType != o.isType || (len(t.addresses) == 0) != (len(o.addresses) == 0)
	t.addresses = append(t.addresses, o.addresses...)
	t.ports = append(t.ports, o.ports...)
	t.names = append(t.names, o.names...)
	t.isIP = t.isIP && o.isIP
}

// conjunctionOf joins terms by AND: addresses of one end with its type and a port of
// it. A name of one end with its type is none of our business.
func conjunctionOf(terms []patternTerm) (patternTerm, error) {
	var out patternTerm
	var ports []uint16
	var portEnd, typeEnd string
	isIP, isName := true, true
	for _, t := range terms {
		switch {
		case t.other:
			return out, errNarrow
		case t.isType:
			if typeEnd != "" && typeEnd != t.end {
				return out, errNarrow
			}
			typeEnd, isIP, isName = t.end, isIP && t.isIP, isName && t.isName
		case len(t.addresses) > 0 && len(out.addresses) == 0:
			out.addresses, out.end, out.hasPort = t.addresses, t.end, t.hasPort
		case len(t.ports) > 0 && ports == nil:
			ports, portEnd = t.ports, t.end
		default:
			return out, errNarrow
		}
	}
	switch {
	case len(out.addresses) == 0, typeEnd != "" && typeEnd != out.end:
		return out, errNarrow
	case !isIP && ports == nil:
		return out.asNames(isName), nil
	case ports == nil:
		return out, nil
	case !isIP, out.hasPort, out.end != "" && out.end != portEnd:
		return out, errNarrow
	}
	return out.withPorts(ports)
}

// asNames gives the term of a name, or something else than an address, with its type, which
// a list may hold beside addresses.
func (t *patternTerm) asNames(isName bool) patternTerm {
	out := patternTerm{other: true}
	for _, a := range t.addresses {
		if isName {
			out.names = append(out.names, Name{Value: a.Value})
		}
	}
	return out
}

// withPorts gives each address each of the ports.
func (t *patternTerm) withPorts(ports []uint16) (patternTerm, error) {
	if len(t.addresses)*len(ports) > maxPatternProduct {
		return *t, errProduct
	}
	out := patternTerm{end: t.end, hasPort: true}
	for _, a := range t.addresses {
		for _, port := range ports {
			out.addresses = append(out.addresses, Address{a.Value, port})
		}
	}
	return out, nil
}

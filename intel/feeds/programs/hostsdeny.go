package programs

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

var (
	errWrapperRow  = errors.New("must be daemon list : client list")
	errWrapperHost = errors.New("a pattern of hosts, not an address or prefix")
)

// HostsDeny makes the parser of TCP wrappers' hosts.deny, as DenyHosts and others
// keep it: daemons, a colon, clients, and perhaps a colon and options. A client is an
// address, a prefix on the bound of an octet ("192.0.2."), an address with netmask or
// length, or [IPv6], also with a length. What EXCEPT names is taken out.
func HostsDeny(d *document.Document, _ string) (document.RowFunc, error) {
	unfinished := ""
	return func(line string) error {
		line = document.Trim(line)
		if unfinished == "" && d.Comment(line, "#") {
			return nil
		}
		if head, goesOn := strings.CutSuffix(line, `\`); goesOn && len(unfinished)+len(head) < document.MaxLineChars {
			unfinished += head + " "
			return nil
		}
		line, unfinished = unfinished+line, ""
		return wrapperRow(d, line)
	}, nil
}

func wrapperRow(d *document.Document, line string) error {
	daemons, rest, ok := strings.Cut(line, ":")
	clients, options := cutClients(rest)
	if !ok || document.Trim(daemons) == "" || document.Trim(clients) == "" {
		d.Reject(line, errWrapperRow)
		return nil
	}
	if word := strings.ToLower(document.Trim(options)); strings.HasPrefix(word, "allow") {
		d.Report.Skipped++
		return nil
	}
	e := document.Entry{Indicator: intel.Indicator{Description: document.Trim(daemons)}}
	for i, c := range strings.FieldsFunc(clients, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if c == "EXCEPT" && i > 0 {
			e.Exclude = !e.Exclude
			continue
		}
		p, err := wrapperPrefix(c)
		if err != nil {
			d.Reject(c, err)
			if e.Exclude {
				return nil
			}
			continue
		}
		e.Prefix = p
		if err := d.Accept(e); err != nil {
			return err
		}
	}
	return nil
}

// cutClients splits the clients from the options behind the next colon that is not in
// brackets.
func cutClients(s string) (clients, options string) {
	inside := false
	for i := range len(s) {
		switch s[i] {
		case '[':
			inside = true
		case ']':
			inside = false
		case ':':
			if !inside {
				return s[:i], s[i+1:]
			}
		}
	}
	return s, ""
}

func wrapperPrefix(s string) (netip.Prefix, error) {
	if strings.HasPrefix(s, "[") {
		inner, rest, closed := strings.Cut(s[1:], "]")
		if !closed || rest != "" && rest[0] != '/' {
			return netip.Prefix{}, prefix.ErrNotAddress
		}
		return prefix.Parse(inner + rest)
	}
	if s == "" || s[0] != '.' && !isOctetText(s) {
		return netip.Prefix{}, errWrapperHost
	}
	return cdbPrefix(s)
}

func isOctetText(s string) bool { return strings.Trim(s, "0123456789./") == "" }

// IsHostsDenyRow recognises "sshd: 192.0.2.1" and the like.
func IsHostsDenyRow(line string) bool {
	daemons, rest, ok := strings.Cut(document.Trim(line), ":")
	daemons = document.Trim(daemons)
	if !ok || daemons == "" || !document.IsLetter(daemons[0]) || strings.Trim(daemons, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. ,") != "" {
		return false
	}
	if prefix.IsAddr(document.Trim(line)) || strings.Contains(daemons, ".") {
		return false
	}
	clients, _ := cutClients(rest)
	words := strings.FieldsFunc(clients, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	if len(words) == 0 {
		return false
	}
	_, err := wrapperPrefix(words[0])
	return err == nil
}

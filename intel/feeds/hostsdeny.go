package feeds

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel"
)

var (
	errWrapperRow  = errors.New("must be daemon list : client list")
	errWrapperHost = errors.New("a pattern of hosts, not an address or prefix")
)

// startHostsDeny makes the parser of TCP wrappers' hosts.deny, as DenyHosts and others
// keep it: daemons, a colon, clients, and perhaps a colon and options. A client is an
// address, a prefix on the bound of an octet ("192.0.2."), an address with netmask or
// length, or [IPv6], also with a length. What EXCEPT names is taken out.
func startHostsDeny(d *document, _ string) (rowFunc, error) {
	unfinished := ""
	return func(line string) error {
		line = trim(line)
		if unfinished == "" && d.comment(line, "#") {
			return nil
		}
		if head, goesOn := strings.CutSuffix(line, `\`); goesOn && len(unfinished)+len(head) < maxLineChars {
			unfinished += head + " "
			return nil
		}
		line, unfinished = unfinished+line, ""
		return d.wrapperRow(line)
	}, nil
}

func (d *document) wrapperRow(line string) error {
	daemons, rest, ok := strings.Cut(line, ":")
	clients, options := cutClients(rest)
	if !ok || trim(daemons) == "" || trim(clients) == "" {
		d.reject(line, errWrapperRow)
		return nil
	}
	if word := strings.ToLower(trim(options)); strings.HasPrefix(word, "allow") {
		d.report.Skipped++
		return nil
	}
	e := Entry{Indicator: intel.Indicator{Description: trim(daemons)}}
	for i, c := range strings.FieldsFunc(clients, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if c == "EXCEPT" && i > 0 {
			e.Exclude = !e.Exclude
			continue
		}
		p, err := wrapperPrefix(c)
		if err != nil {
			d.reject(c, err)
			if e.Exclude {
				return nil
			}
			continue
		}
		e.Prefix = p
		if err := d.accept(e); err != nil {
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
			return netip.Prefix{}, errNotAddress
		}
		return parsePrefix(inner + rest)
	}
	if s == "" || s[0] != '.' && !isOctetText(s) {
		return netip.Prefix{}, errWrapperHost
	}
	return cdbPrefix(s)
}

func isOctetText(s string) bool { return strings.Trim(s, "0123456789./") == "" }

// isHostsDenyRow tells "sshd: 192.0.2.1" and the like.
func isHostsDenyRow(line string) bool {
	daemons, rest, ok := strings.Cut(trim(line), ":")
	daemons = trim(daemons)
	if !ok || daemons == "" || !isLetter(daemons[0]) || strings.Trim(daemons, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. ,") != "" {
		return false
	}
	if isBareAddress(trim(line)) || strings.Contains(daemons, ".") {
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

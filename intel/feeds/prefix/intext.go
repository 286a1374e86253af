package prefix

import (
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// LastInText gives where the last address in a text starts, or 0.
func LastInText(text string) int {
	last := 0
	for i := 0; i < len(text); {
		n := Span(text[i:], isAddressByte)
		if n > 0 && isWholeRun(text, i, i+n) {
			if _, ok := addressOf(text[i : i+n]); ok {
				last = i
			}
		}
		i += max(n, 1)
	}
	return last
}

// isWholeRun reports whether no letter or digit touches a part of the text.
func isWholeRun(text string, from, to int) bool {
	return (from == 0 || !isWordChar(text[from-1])) && (to == len(text) || !isWordChar(text[to]))
}

// InText finds the addresses in free text: runs of their characters that no
// letter or digit touches.
func InText(text string) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for i := 0; i < len(text); {
			n := Span(text[i:], isAddressByte)
			if n > 0 && isWholeRun(text, i, i+n) {
				if a, ok := addressOf(text[i : i+n]); ok && !yield(a) {
					return
				}
			}
			i += max(n, 1)
		}
	}
}

// addressOf reads a run of the characters of addresses, which may be an address with
// a port or with the full stop of a sentence.
func addressOf(run string) (netip.Addr, bool) {
	run = strings.TrimRight(run, ".")
	if len(run) > MaxLength || len(run) < 3 {
		return netip.Addr{}, false
	}
	if a, err := Addr(run); err == nil {
		return a, true
	}
	host, _, _ := strings.Cut(run, ":")
	a, err := Addr(host)
	return a, err == nil && a.Is4()
}

func isAddressByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' || c == '.' || c == ':'
}

// isWordChar recognises the characters that make a run of isAddressByte a part of a name
// such as host-192.0.2.1.example.
func isWordChar(c byte) bool {
	return c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z' || c == '_' || c >= 0x80
}

// IsAddr recognises an address without anything around it.
func IsAddr(s string) bool {
	_, err := Addr(s)
	return err == nil
}

// IntegerAddr reads an address or an unsigned 32-bit integer.
func IntegerAddr(s string) (netip.Addr, error) {
	if n, ok := Integer(s); ok {
		return Addr32(n), nil
	}
	return Addr(s)
}

// Integer reads an unsigned 32-bit integer.
func Integer(s string) (uint32, bool) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}

// Span counts the leading bytes of s that ok likes.
func Span(s string, ok func(byte) bool) int {
	n := 0
	for n < len(s) && ok(s[n]) {
		n++
	}
	return n
}

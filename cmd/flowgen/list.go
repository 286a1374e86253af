package main

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// readList reads prefixes from the argument itself when it looks like them, else
// from the file it names: one address or prefix a line, the rest of the line and
// lines that begin with # or ; are ignored.
func readList(arg string) ([]netip.Prefix, error) {
	if arg == "" {
		return nil, nil
	}
	first, _, _ := strings.Cut(arg, ",")
	if _, err := parsePrefix(first); err == nil {
		return parseList(arg)
	}
	f, err := os.Open(arg)
	if err != nil {
		return nil, fmt.Errorf("%q is neither a prefix nor a file that can be read: %w", arg, err)
	}
	defer f.Close()
	var list []netip.Prefix
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.ContainsAny(fields[0][:1], "#;") {
			continue
		}
		p, err := parsePrefix(fields[0])
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", arg, n, err)
		}
		list = append(list, p)
	}
	return list, lines.Err()
}

// parseList parses prefixes separated by commas.
func parseList(s string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		p, err := parsePrefix(part)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// parsePrefix takes an address for the prefix of that one address.
func parsePrefix(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.WithZone(""), a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a prefix", s)
	}
	return p, nil
}

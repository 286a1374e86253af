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
	errNFTPair = errors.New("a pair of addresses is narrower than a list of addresses")
	errNFTMap  = errors.New("a map, not a set")
	errNFTRule = errors.New("a rule, not a set")
)

// An nftText is the text of nftables while it is read.
type nftText struct {
	d     *document.Document
	depth int    // of braces inside the elements of a set; 0 = not in a set
	rest  string // of an element that goes on in the next line
}

// NFT makes the parser of nftables' text: sets as "nft list" prints them, add
// element commands and definitions; also the tables of pf.conf, which are written alike.
// Rules are no sets; one that names an address is rejected.
func NFT(d *document.Document, _ string) (document.RowFunc, error) {
	n := nftText{d: d}
	return n.line, nil
}

func (n *nftText) line(line string) error {
	line = document.Trim(line)
	if n.d.Comment(line, "#") {
		return nil
	}
	line = cutNFTComment(line)
	for line != "" {
		if n.depth == 0 {
			opens := strings.IndexByte(line, '{')
			if opens < 0 || !opensElements(line[:opens]) {
				n.outside(line)
				return nil
			}
			n.depth, n.rest, line = 1, "", line[opens+1:]
			continue
		}
		end := outsideQuotes(line, ",}")
		if end < 0 {
			n.rest += line + " "
			if len(n.rest) > document.MaxLineChars {
				n.d.Reject(n.rest, document.ErrLongLine)
				n.rest = ""
			}
			return nil
		}
		if err := n.element(document.Trim(n.rest + line[:end])); err != nil {
			return err
		}
		if line[end] == '}' {
			n.depth = 0
		}
		n.rest, line = "", document.Trim(line[end+1:])
	}
	return nil
}

// outside counts what stands outside of a set and names an address.
func (n *nftText) outside(line string) {
	for range prefix.InText(line) {
		n.d.Reject(line, errNFTRule)
		return
	}
}

// opensElements recognises what stands before the brace of a list of elements from what
// stands before that of a block or of an anonymous set in a rule.
func opensElements(before string) bool {
	words := strings.Fields(strings.ReplaceAll(before, "=", " = "))
	n := len(words)
	switch {
	case n >= 2 && words[n-1] == "=" && words[n-2] == "elements":
		return true
	case n >= 2 && words[n-1] == "=" && words[0] == "define":
		return true
	case n >= 4 && (words[0] == "add" || words[0] == "create") && words[1] == "element":
		return true
	}
	return n >= 2 && words[0] == "table" && strings.HasPrefix(words[1], "<")
}

// Element reads an address, prefix or range with what may follow it: a port by
// concatenation, a timeout, a counter, a comment.
func (n *nftText) element(text string) error {
	if text == "" {
		return nil
	}
	words := strings.Fields(text)
	text, words = joinDash(words), words[1:]
	if i := outsideQuotes(strings.Join(words, " "), ":"); i >= 0 && len(words) > 0 && contains(words, ":") {
		n.d.Reject(text, errNFTMap)
		return nil
	}
	if e := strings.TrimPrefix(text, "!"); e != text { // pf takes it out of the table
		return n.accept(text, e, document.Entry{Exclude: true})
	}
	var e document.Entry
	for i := 0; i+1 < len(words); i++ {
		switch words[i] {
		case ".":
			if _, err := prefix.Parse(words[i+1]); err == nil {
				n.d.Reject(text+" . "+words[i+1], errNFTPair)
				return nil
			}
			if port, err := prefix.Port(words[i+1]); err == nil {
				e.Port = port
			}
		case "comment":
			e.Description = strings.Trim(strings.Join(words[i+1:], " "), `"`)
		}
	}
	return n.accept(text, text, e)
}

// joinDash gives the first word, or three that are a range with blanks.
func joinDash(words []string) string {
	if len(words) >= 3 && words[1] == "-" {
		return words[0] + "-" + words[2]
	}
	return words[0]
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
		if strings.HasPrefix(w, `"`) {
			return false // a comment
		}
	}
	return false
}

func (n *nftText) accept(text, address string, e document.Entry) error {
	ps, err := nftPrefixes(address)
	if err != nil {
		n.d.Reject(text, err)
		return nil
	}
	return n.d.AcceptAll(ps, document.Entry{Exclude: e.Exclude, Indicator: intel.Indicator{Port: e.Port, Description: e.Description}})
}

func nftPrefixes(s string) ([]netip.Prefix, error) {
	if strings.IndexByte(s, '-') >= 0 {
		return prefix.Range(s, prefix.Addr)
	}
	p, err := prefix.Parse(s)
	return []netip.Prefix{p}, err
}

// cutNFTComment cuts a comment off a line.
func cutNFTComment(line string) string {
	if i := outsideQuotes(line, "#"); i >= 0 {
		return document.Trim(line[:i])
	}
	return line
}

// outsideQuotes finds the first of the characters that is not in quotes, or gives -1.
func outsideQuotes(s, chars string) int {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(chars, s[i]) >= 0:
			return i
		}
	}
	return -1
}

// IsNFTRow recognises the lines that only nftables writes.
func IsNFTRow(line string) bool {
	line = document.Trim(line)
	if opens := strings.IndexByte(line, '{'); opens >= 0 && opensElements(line[:opens]) {
		return true
	}
	words := strings.Fields(line)
	n := len(words)
	return n == 4 && words[0] == "table" && words[3] == "{" ||
		n == 3 && words[0] == "set" && words[2] == "{" ||
		n >= 4 && (words[0] == "add" || words[0] == "flush" || words[0] == "create") && (words[1] == "table" || words[1] == "set" || words[1] == "element")
}

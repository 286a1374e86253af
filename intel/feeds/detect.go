package feeds

import (
	"bytes"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
	"github.com/flowsnitch/flowsnitch/intel/feeds/programs"
	"github.com/flowsnitch/flowsnitch/intel/feeds/rows"
)

// Detect finds the format of a document by its start, 64 KiB or less of it as it
// comes from the wire. Text that is nothing more special is plain, JSON json; ok is
// false for markup. Formats that take an argument and those of local software without
// marks of their own cannot be detected.
func Detect(head []byte) (format string, ok bool) {
	src, err := document.NewSource(bytes.NewReader(head), document.DefaultMaxBytes)
	if err != nil {
		return "", false
	}
	return detect(src.Head())
}

// detect is Detect on decoded text.
func detect(head []byte) (string, bool) {
	if document.IsMarkup(head) {
		return "", false
	}
	if looksLikeJSON(head) {
		return detectJSON(head), true
	}
	return detectText(head), true
}

// looksLikeJSON recognises an object or array from text; a bracketed IPv6 address
// starts with a bracket too.
func looksLikeJSON(head []byte) bool {
	head = bytes.TrimLeft(head, document.Space)
	if len(head) == 0 || head[0] == '{' {
		return len(head) > 0
	}
	if head[0] != '[' {
		return false
	}
	head = bytes.TrimLeft(head[1:], document.Space)
	return len(head) == 0 || strings.IndexByte(`{["]`, head[0]) >= 0
}

// maxDetectRows is how many rows without a mark of their format are looked at.
const maxDetectRows = 10

// detectText looks for a mark in the first lines.
func detectText(head []byte) string {
	lines := document.NewLineReader(bytes.NewReader(head))
	for rows := 0; rows < maxDetectRows; {
		line, _, err := lines.Next()
		if err != nil {
			break
		}
		if format := markOf(line); format != "" {
			return format
		}
		if line = document.Trim(line); line != "" && strings.IndexByte("#;/", line[0]) < 0 {
			rows++
		}
	}
	return "plain"
}

// markOf names the format that a line belongs to without doubt.
func markOf(line string) string {
	switch {
	case strings.HasPrefix(line, "#fields\t"), strings.HasPrefix(line, "#separator "):
		return "zeek"
	case isOTXHeader(line):
		return "otx-csv"
	case isIPSetRow(line):
		return "ipset"
	case programs.IsNFTRow(line):
		return "nft"
	case programs.IsHostsDenyRow(line):
		return "hosts.deny"
	case strings.HasPrefix(line, "ExitNode "), strings.HasPrefix(line, "ExitAddress "):
		return "tor-exit"
	case isDShieldRow(line):
		return "dshield"
	case rows.IsPipeRow(line):
		return "pipe"
	}
	if columns, ok := rows.RangeHeader(line); ok {
		return "csvrange:" + columns
	}
	return ""
}

func isOTXHeader(line string) bool {
	cols, _ := rows.SplitCSV(line)
	return len(cols) >= 2 && strings.EqualFold(cols[0], "Indicator type") && strings.EqualFold(cols[1], "Indicator")
}

// isIPSetRow recognises "create SET TYPE ..." and "add SET ENTRY ...".
func isIPSetRow(line string) bool {
	words := strings.Fields(line)
	if len(words) < 3 {
		return false
	}
	if words[0] == "create" {
		return strings.IndexByte(words[2], ':') > 0
	}
	_, _, err := programs.IPSetEntry(words[2])
	return words[0] == "add" && err == nil
}

// isDShieldRow recognises the header or a row of the block list.
func isDShieldRow(line string) bool {
	cols := rows.SplitTabs(line)
	if len(cols) < 3 {
		return false
	}
	if strings.EqualFold(cols[0], "Start") && strings.EqualFold(cols[1], "End") {
		return true
	}
	_, startErr := prefix.Padded(cols[0])
	_, endErr := prefix.Padded(cols[1])
	_, isLength := prefix.Decimal(cols[2], 3, 128)
	return startErr == nil && endErr == nil && isLength
}

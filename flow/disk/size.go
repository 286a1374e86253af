package disk

import (
	"fmt"
	"strconv"
	"strings"
)

// A Size is a number of bytes in a configuration: digits alone, or with a unit, as in 20GB
// or 64MiB.
type Size int64

// units are those of sizes, the largest first.
var units = []struct {
	name  string
	bytes Size
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3},
}

// String writes the size with the largest unit of which it is a multiple.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.bytes == 0 {
			return fmt.Sprintf("%d%s", s/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalYAML writes the size as String does.
func (s Size) MarshalYAML() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalYAML reads a size.
func (s *Size) UnmarshalYAML(text []byte) error {
	n, err := ParseSize(strings.Trim(string(text), "\"' \n"))
	if err == nil {
		*s = n
	}
	return err
}

// ParseSize reads a size. Upper and lower case are the same.
func ParseSize(text string) (Size, error) {
	number, unit := text, Size(1)
	for _, u := range units {
		if len(text) > len(u.name) && strings.EqualFold(text[len(text)-len(u.name):], u.name) {
			number, unit = strings.TrimRight(text[:len(text)-len(u.name)], " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || Size(n) > (1<<63-1)/unit {
		if len(text) > 40 {
			text = text[:40] + "..."
		}
		return 0, fmt.Errorf("%q is not a size such as 500MB, 20GB or 64MiB, or a number of bytes", text)
	}
	return Size(n) * unit, nil
}

// Spare gives how many bytes of a file system of a size are left to others by what is useful
// but not necessary: 5 %, but no more than 10 GB, as 5 % of a large disk is more than others
// need, and no less than 500 MB; where that is more than a fifth of a small one, a fifth.
func Spare(total uint64) uint64 { return max(min(total/20, 10e9), min(500e6, total/5)) }

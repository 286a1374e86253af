package file

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Level is how much time a file covers: one interval as it was flushed, an hour, a day.
type Level byte

// The levels, lowest first, as they are in names.
const (
	Flush Level = 'f'
	Hour  Level = 'h'
	Day   Level = 'd'
)

// rank orders levels; 0 = there is no such level.
func (l Level) rank() int { return strings.IndexByte(" fhd", byte(l)) }

// A Name is that of a file: c-FROM-TO-LEVEL-SEQ-CRC.parquet.
type Name struct {
	From, To time.Time // by receipt, whole seconds, UTC; To is not before From
	Level    Level
	Seq      uint32 // from 1 on; numbers files of the same time and level, as a clock that jumped back makes them
	CRC      uint32 // CRC-32C from the first column index to the end of the file
}

const (
	stamp     = "20060102T150405Z"
	extension = ".parquet"
)

// prefix is what files of the same time and level have in common.
func (n Name) prefix() string {
	return fmt.Sprintf("c-%s-%s-%c-", n.From.UTC().Format(stamp), n.To.UTC().Format(stamp), n.Level)
}

func (n Name) String() string {
	return fmt.Sprintf("%s%d-%08x%s", n.prefix(), n.Seq, n.CRC, extension)
}

// Folder is the folder of the file below that of the history, by the day of From: 2026/11/29.
func (n Name) Folder() string { return n.From.UTC().Format("2006/01/02") }

// ParseName reads a name, without folders before it. Only what [Name.String] gives is one.
func ParseName(s string) (Name, error) {
	n, ok := parse(s)
	if !ok || n.String() != s {
		return Name{}, fmt.Errorf("%q is not the name of a history file", s)
	}
	return n, nil
}

func parse(s string) (n Name, ok bool) {
	s, ok = strings.CutPrefix(strings.TrimSuffix(s, extension), "c-")
	parts := strings.Split(s, "-")
	if !ok || len(parts) != 5 || len(parts[2]) != 1 {
		return Name{}, false
	}
	from, errFrom := time.Parse(stamp, parts[0])
	to, errTo := time.Parse(stamp, parts[1])
	seq, errSeq := strconv.ParseUint(parts[3], 10, 32)
	crc, errCRC := strconv.ParseUint(parts[4], 16, 32)
	n = Name{From: from, To: to, Level: Level(parts[2][0]), Seq: uint32(seq), CRC: uint32(crc)}
	good := errFrom == nil && errTo == nil && errSeq == nil && errCRC == nil
	return n, good && !to.Before(from) && n.Level.rank() > 0 && seq > 0
}

// MaySupersede reports whether the rows of o could be in n as well: the time of o lies within
// that of n, the level of n is not lower. Whether they are is in the metadata, [Info.Inputs]:
// a clock that was set back makes files of an hour that has been merged.
func (n Name) MaySupersede(o Name) bool {
	within := !o.From.Before(n.From) && !o.To.After(n.To)
	return within && n.Level.rank() >= o.Level.rank() && (n.Level != o.Level || n.Seq != o.Seq || n.CRC != o.CRC)
}

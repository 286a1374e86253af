package dates

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// space is what is trimmed.
const space = " \t\v\f\r\n"

// maxTime is longer than any spelling of a time by itself.
const maxTime = 64

// ToSecond gives a time in UTC, in whole seconds.
func ToSecond(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

// Parse reads the spellings of a time that feeds use, in UTC when no zone is
// given: RFC 3339 with or without zone and fraction, with blank instead of T,
// with " UTC" behind it, a bare date, seconds since 1970, and the two of mail
// headers and ctime. The zero time means that it is none of them.
func Parse(s string) time.Time {
	s = strings.TrimSuffix(strings.Trim(s, space), " UTC")
	if len(s) < 8 || len(s) > maxTime {
		return time.Time{}
	}
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return unixTime(seconds)
	}
	for _, layout := range timeLayouts() {
		if t, err := time.Parse(layout, s); err == nil {
			return inRange(t)
		}
	}
	return time.Time{}
}

func timeLayouts() [10]string {
	return [...]string{
		time.RFC3339,
		"2006-01-02T15:04:05",
		"2006-01-02 15:04:05",
		"2006-01-02",
		"2006-01-02 15:04:05Z07:00",
		time.RFC1123,
		time.RFC1123Z,
		"Mon, 02 Jan 2006 15:04:05",
		"Mon Jan _2 15:04:05 2006",
		"Mon Jan _2 15:04:05 MST 2006",
	}
}

func unixTime(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return inRange(time.Unix(seconds, 0).UTC())
}

// inRange drops times that cannot be written with four digits for the year.
func inRange(t time.Time) time.Time {
	if y := t.UTC().Year(); y < 1970 || y > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

// Find finds the first date in a text: one of Parse, or written as people do,
// with the month as number or name, before or behind the day. A date of numbers of
// which either may be the month counts as day and month, or as month and day where
// strokes separate it and the other would be later than today.
func Find(s string) time.Time {
	s = strings.Trim(strings.TrimLeft(s, ":= \t(["), space)
	if t := Parse(s); !t.IsZero() && len(s) > len("20060102") {
		return t
	}
	f := dateFinder{}
	for _, w := range dateTokens(fit.Cut(s, maxDateLine)) {
		if f.take(w) {
			break
		}
	}
	return f.time()
}

// A dateToken is a run of digits, of letters, or another character.
type dateToken struct {
	text   string
	digits bool
}

func dateTokens(s string) []dateToken {
	var out []dateToken
	var run []rune
	kind := func(r rune) int {
		switch {
		case r >= '0' && r <= '9':
			return 1
		case unicode.IsLetter(r):
			return 2
		}
		return 0
	}
	flush := func() {
		if len(run) > 0 {
			out = append(out, dateToken{strings.ToLower(string(run)), kind(run[0]) == 1})
			run = run[:0]
		}
	}
	for _, r := range s {
		k := kind(r)
		if len(run) > 0 && (k == 0 || k != kind(run[0])) {
			flush()
		}
		run = append(run, r)
		if k == 0 {
			flush()
		}
	}
	flush()
	return out
}

// A dateFinder collects the parts of a date.
type dateFinder struct {
	numbers  []int // up to three of the date
	year     int   // the place of the year in numbers, from 1
	month    int   // by name
	clock    []int // hour, minute, second
	mark     string
	stroke   bool // numbers are separated by /
	offset   int  // minutes east
	sign     int
	zone     bool
	pm, am   bool
	complete time.Time
}

// take takes one token in. It reports that the date cannot go on.
func (f *dateFinder) take(w dateToken) bool {
	before := f.mark
	f.mark = w.text
	switch {
	case w.digits:
		return f.number(w.text, before)
	case w.text == "/":
		f.stroke = f.stroke || len(f.numbers) > 0 && len(f.numbers) < 3
	case w.text == "+", w.text == "-":
		if len(f.clock) > 0 {
			f.sign = map[string]int{"+": 1, "-": -1}[w.text]
		}
	case w.text == "pm":
		f.pm = true
	case w.text == "am":
		f.am = true
	case w.text == ")":
		return f.dated()
	default:
		if m := monthNamed(w.text); m != 0 && f.month == 0 && len(f.numbers) < 3 {
			f.month = m
		}
	}
	return false
}

// dated reports whether day, month and year are known.
func (f *dateFinder) dated() bool {
	return !f.complete.IsZero() || f.year != 0 && (len(f.numbers) == 3 || f.month != 0 && len(f.numbers) == 2)
}

func (f *dateFinder) number(s, before string) bool {
	n, err := strconv.Atoi(s)
	if err != nil {
		return f.dated()
	}
	switch {
	case f.sign != 0 && !f.zone && len(f.clock) >= 2 && (len(s) == 4 || len(s) == 2):
		f.zone = true
		if len(s) == 4 {
			f.offset = f.sign * (n/100*60 + n%100)
		} else {
			f.offset = f.sign * n * 60
		}
	case before == ":" && len(f.clock) > 0 && len(f.clock) < 3 && len(s) <= 2:
		f.clock = append(f.clock, n)
	case len(s) == 8 && len(f.numbers) == 0 && n >= 19700101:
		f.numbers, f.year = []int{n / 10000, n / 100 % 100, n % 100}, 1
	case len(s) == 14 && len(f.numbers) == 0:
		f.complete, _ = time.Parse("20060102150405", s)
	case len(s) >= 9 && len(s) <= 13 && len(f.numbers) == 0 && f.month == 0:
		if len(s) == 13 {
			n /= 1000
		}
		f.complete = unixTime(int64(n))
	case f.dated():
		if len(f.clock) == 0 && len(s) <= 2 {
			f.clock = []int{n}
		}
	case len(s) == 4 && f.year == 0 && n >= 1970:
		f.numbers = append(f.numbers, n)
		f.year = len(f.numbers)
	case len(s) <= 2 && before == ":" || len(s) > 2:
		f.numbers, f.year = nil, 0 // something else
	case len(f.numbers) > 0 && f.month != 0 && f.year == 0 && len(f.clock) == 0:
		f.clock = []int{n} // Mon Mar 30 02:11:09 UTC 2026
	default:
		f.numbers = append(f.numbers, n)
		if len(f.numbers) > 3 {
			f.numbers = f.numbers[1:]
		}
	}
	return false
}

// time puts the parts together.
func (f *dateFinder) time() time.Time {
	if !f.complete.IsZero() {
		return inRange(f.complete)
	}
	if !f.dated() {
		return time.Time{}
	}
	year := f.numbers[f.year-1]
	var rest []int
	for i, n := range f.numbers {
		if i != f.year-1 {
			rest = append(rest, n)
		}
	}
	var t time.Time
	switch {
	case f.month != 0:
		t = f.at(year, f.month, rest[0])
	case f.year == 1:
		t = f.at(year, rest[0], rest[1])
	case rest[0] > 12:
		t = f.at(year, rest[1], rest[0])
	case rest[1] > 12:
		t = f.at(year, rest[0], rest[1])
	default: // either may be the month
		t = f.at(year, rest[1], rest[0])
		if other := f.at(year, rest[0], rest[1]); f.stroke && t.After(time.Now()) {
			t = other
		}
	}
	return inRange(t)
}

func (f *dateFinder) at(year, month, day int) time.Time {
	if month < 1 || month > 12 || day < 1 || day > 31 {
		return time.Time{}
	}
	clock := [3]int{}
	copy(clock[:], f.clock)
	if len(f.clock) < 2 || clock[0] > 23 || clock[1] > 59 || clock[2] > 60 {
		clock = [3]int{}
	}
	switch {
	case f.pm && clock[0] < 12:
		clock[0] += 12
	case f.am && clock[0] == 12:
		clock[0] = 0
	}
	t := time.Date(year, time.Month(month), day, clock[0], clock[1]-f.offset, clock[2], 0, time.UTC)
	return t
}

// monthNamed gives the number of a month by its name, or its first letters, in English,
// German, French, Spanish, Portuguese, Italian or Dutch; 0 = none.
func monthNamed(s string) int {
	if len(s) < 3 {
		return 0
	}
	for i, names := range [12]string{
		"january januar janvier enero janeiro gennaio januari jänner",
		"february februar février fevrier febrero fevereiro febbraio februari",
		"march märz maerz mars marzo março marco maart mrz",
		"april avril abril aprile",
		"may mai mayo maio maggio mei",
		"june juni juin junio junho giugno",
		"july juli juillet julio julho luglio",
		"august août aout agosto augustus",
		"september septembre septiembre setembro settembre sept",
		"october oktober octobre octubre outubro ottobre",
		"november novembre noviembre novembro",
		"december dezember décembre decembre diciembre dezembro dicembre",
	} {
		for name := range strings.FieldsSeq(names) {
			if name == s || strings.HasPrefix(name, s) && len([]rune(s)) == 3 {
				return i + 1
			}
		}
	}
	return 0
}

// A Rank orders what a date in a document may be of: a higher one counts, of one
// rank the latest.
type Rank int

// The ranks.
const (
	dateOfNothing Rank = iota
	dateOfList         // the list as such: date, created
	dateOfFile         // the file was generated, updated
	OfData             // the data are of then, whenever the file was made
)

// InComment finds the time of the data in a comment such as "Last updated: ..." or
// "generated on ...", with the rank of what it is the date of.
func InComment(line string) (Rank, time.Time) {
	if len(line) > maxDateLine {
		return dateOfNothing, time.Time{}
	}
	lower := strings.ToLower(line)
	rank, at := dateOfNothing, 0
	for _, k := range dateWords() {
		i := strings.Index(lower, k.word)
		if i < 0 || i > 0 && lower[i-1] >= 'a' && lower[i-1] <= 'z' {
			continue
		}
		if k.rank == dateOfNothing {
			return dateOfNothing, time.Time{} // the date of something else
		}
		if k.rank > rank {
			rank, at = k.rank, i+len(k.word)
		}
	}
	if rank == dateOfNothing || at > len(line) {
		return dateOfNothing, time.Time{}
	}
	return rank, Find(line[at:])
}

// maxDateLine is the longest comment that is looked at for a date.
const maxDateLine = 200

// A dateWord shows what the date behind it is of.
type dateWord struct {
	word string
	rank Rank
}

// dateWords are the words of the headers seen, in the languages of those who write
// lists; those of other dates come first.
func dateWords() []dateWord {
	return []dateWord{
		{"expire", dateOfNothing}, {"next update", dateOfNothing}, {"valid until", dateOfNothing}, {"frequency", dateOfNothing},
		{"update interval", dateOfNothing}, {"update every", dateOfNothing}, {"copyright", dateOfNothing}, {"licen", dateOfNothing},
		{"first seen", dateOfNothing}, {"last seen", dateOfNothing}, {"reference", dateOfNothing}, {"updated every", dateOfNothing},
		{"source file date", OfData}, {"data date", OfData}, {"data as of", OfData}, {"data from", OfData},
		{"updated", dateOfFile}, {"last update", dateOfFile}, {"update time", dateOfFile}, {"update date", dateOfFile},
		{"updatetime", dateOfFile}, {"lastupdate", dateOfFile}, {"update:", dateOfFile}, {"modified", dateOfFile}, {"last change", dateOfFile},
		{"generated", dateOfFile}, {"generation", dateOfFile}, {"compiled", dateOfFile}, {"exported", dateOfFile}, {"built", dateOfFile},
		{"produced", dateOfFile}, {"published", dateOfFile}, {"refreshed", dateOfFile}, {"as of", dateOfFile}, {"timestamp", dateOfFile},
		{"this file date", dateOfFile}, {"file date", dateOfFile}, {"release", dateOfFile},
		{"aktualisiert", dateOfFile}, {"aktualisierung", dateOfFile}, {"erstellt", dateOfFile}, {"erzeugt", dateOfFile}, {"stand:", dateOfFile}, {"stand ", dateOfFile},
		{"mise à jour", dateOfFile}, {"mis à jour", dateOfFile}, {"généré", dateOfFile}, {"actualizad", dateOfFile}, {"actualización", dateOfFile},
		{"generado", dateOfFile}, {"atualizad", dateOfFile}, {"aggiornat", dateOfFile}, {"aggiornamento", dateOfFile}, {"bijgewerkt", dateOfFile}, {"aktualizac", dateOfFile},
		{"zaktualizowano", dateOfFile}, {"обновлен", dateOfFile}, {"更新", dateOfFile},
		{"date", dateOfList}, {"created", dateOfList}, {"creation", dateOfList}, {"version", dateOfList}, {"time:", dateOfList}, {"datum", dateOfList}, {"fecha", dateOfList},
	}
}

// IsName recognises the members of JSON that hold the time of the data.
func IsName(name string) bool {
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name)) {
	case "updated", "updatedat", "lastupdated", "lastupdate", "lastmodified", "modified", "generated", "generatedat", "generatedon",
		"timestamp", "createdate", "creationtime", "creationdate", "created", "createdat", "date", "published", "publishedat", "exportedat", "updatetime", "synctoken":
		return true
	}
	return false
}

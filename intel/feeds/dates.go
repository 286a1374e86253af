package feeds

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/flowsnitch/flowsnitch/flow/fit"
)

// ParseTime reads a time in any of the spellings that lists and servers use, in UTC
// where no offset is given. The zero time means that there is none in the text.
func ParseTime(s string) time.Time { return findTime(s) }

// findTime finds the first date in a text: one of parseTime, or written as people do,
// with the month as number or name, before or behind the day. A date of numbers of
// which either may be the month counts as day and month, or as month and day where
// strokes separate it and the other would be later than today.
func findTime(s string) time.Time {
	s = trim(strings.TrimLeft(s, ":= \t(["))
	if t := parseTime(s); !t.IsZero() && len(s) > len("20060102") {
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

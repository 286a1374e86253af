package feeds

import "strings"

// header takes from a comment line what documents say of themselves there: the number
// of their entries. The time of their data is read from all comments, see comment.
func (d *document) header(line string) {
	line = headerText(line)
	if rest, ok := strings.CutPrefix(line, "END "); ok && strings.HasSuffix(rest, " entries") {
		d.declare(rest)
	}
	name, value, _ := strings.Cut(line, ":")
	if strings.EqualFold(trim(name), "entries") {
		d.declare(value)
	}
}

// headerText takes the marks off a comment line.
func headerText(line string) string {
	line = trim(strings.TrimLeft(line, "#;/*!@"+asciiSpace))
	return trim(strings.TrimRight(line, "#*"))
}

// A dateRank orders what a date in a document may be of: a higher one counts, of one
// rank the latest.
type dateRank int

// The ranks.
const (
	dateOfNothing dateRank = iota
	dateOfList             // the list as such: date, created
	dateOfFile             // the file was generated, updated
	dateOfData             // the data are of then, whenever the file was made
)

// maxDateLine is the longest comment that is looked at for a date.
const maxDateLine = 200

// headerDate takes the time of the data from a comment such as "Last updated: ..." or
// "generated on ...".
func (d *document) headerDate(line string) {
	if len(line) > maxDateLine {
		return
	}
	line = headerText(line)
	lower := strings.ToLower(line)
	rank, at := dateOfNothing, 0
	for _, k := range dateWords() {
		i := strings.Index(lower, k.word)
		if i < 0 || i > 0 && isLetter(lower[i-1]) {
			continue
		}
		if k.rank == dateOfNothing {
			return // the date of something else
		}
		if k.rank > rank {
			rank, at = k.rank, i+len(k.word)
		}
	}
	if rank == dateOfNothing || at > len(line) {
		return
	}
	d.dated(rank, line[min(at, len(line)):])
}

// dated keeps the time of the data, if the text has one.
func (d *document) dated(rank dateRank, text string) {
	t := findTime(text)
	if t.IsZero() || rank < d.dateRank || rank == d.dateRank && !t.After(d.report.Updated) {
		return
	}
	d.report.Updated, d.dateRank = t, rank
}

// A dateWord tells what the date behind it is of.
type dateWord struct {
	word string
	rank dateRank
}

// dateWords are the words of the headers seen, in the languages of those who write
// lists; those of other dates come first.
func dateWords() []dateWord {
	return []dateWord{
		{"expire", dateOfNothing}, {"next update", dateOfNothing}, {"valid until", dateOfNothing}, {"frequency", dateOfNothing},
		{"update interval", dateOfNothing}, {"update every", dateOfNothing}, {"copyright", dateOfNothing}, {"licen", dateOfNothing},
		{"first seen", dateOfNothing}, {"last seen", dateOfNothing}, {"reference", dateOfNothing}, {"updated every", dateOfNothing},
		{"source file date", dateOfData}, {"data date", dateOfData}, {"data as of", dateOfData}, {"data from", dateOfData},
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

// isDateName tells the members of JSON that hold the time of the data.
func isDateName(name string) bool {
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name)) {
	case "updated", "updatedat", "lastupdated", "lastupdate", "lastmodified", "modified", "generated", "generatedat", "generatedon",
		"timestamp", "createdate", "creationtime", "creationdate", "created", "createdat", "date", "published", "publishedat", "exportedat", "updatetime", "synctoken":
		return true
	}
	return false
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// declare keeps the leading number of a text such as "19 subnets".
func (d *document) declare(s string) {
	number, _, _ := strings.Cut(trim(s), " ")
	if n, ok := decimal(number, 9, 1<<30); ok {
		d.report.Declared = n
	}
}

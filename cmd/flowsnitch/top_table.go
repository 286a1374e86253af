package main

import (
	"slices"
	"strings"
)

// A column of a table.
type column struct {
	heading string
	right   bool // aligned
	min     int  // how wide it is at least
	// max is how wide it becomes when its cells need it and there is room; 0 = min.
	max int
	// rank is the order in which columns are left out on a narrow terminal, the highest
	// first; 0 = never.
	rank   int
	middle bool // a cell that is too long is cut in its middle: its ends matter most
}

// gap is what separates columns.
const gap = 2

// A table has the columns that there is room for.
type table struct {
	columns []column
	rows    [][]line
}

// lay gives the heading and the rows of a table for a terminal of so many columns; 0 =
// there is no end.
func (t *table) lay(total int) (heading line, rows []line) {
	shown := t.shown(total)
	widths := t.widths(shown, total)
	cells := make([]line, len(shown))
	for i, c := range shown {
		cells[i] = line{{t.columns[c].heading, strong}}
	}
	heading = t.join(shown, widths, cells)
	for _, row := range t.rows {
		for i, c := range shown {
			cells[i] = row[c]
		}
		rows = append(rows, t.join(shown, widths, cells))
	}
	return heading, rows
}

// shown gives the columns that there is room for, by index.
func (t *table) shown(total int) []int {
	var shown []int
	for c := range t.columns {
		shown = append(shown, c)
	}
	for total > 0 {
		need, last := -gap, 0
		for i, c := range shown {
			need += t.columns[c].min + gap
			if t.columns[c].rank > t.columns[shown[last]].rank {
				last = i
			}
		}
		if need <= total || t.columns[shown[last]].rank == 0 {
			break
		}
		shown = slices.Delete(shown, last, last+1)
	}
	return shown
}

// widths deals out what room is left, from left to right, to the columns that need it.
func (t *table) widths(shown []int, total int) []int {
	widths, left := make([]int, len(shown)), total+gap
	for i, c := range shown {
		widths[i] = t.columns[c].min
		left -= widths[i] + gap
	}
	for i, c := range shown {
		need := 0
		for _, row := range t.rows {
			need = max(need, row[c].width())
		}
		more := max(0, min(need, t.columns[c].max)-widths[i])
		if total > 0 {
			more = max(0, min(more, left))
		}
		widths[i] += more
		left -= more
	}
	return widths
}

// join puts cells side by side.
func (t *table) join(shown, widths []int, cells []line) line {
	var out line
	for i, c := range shown {
		cell := cells[i]
		if t.columns[c].middle {
			cell = plain(shorten(cell.String(), widths[i]))
		}
		cell = cell.cut(widths[i])
		blanks := piece{strings.Repeat(" ", widths[i]-cell.width()), normal}
		if i > 0 {
			out = append(out, piece{strings.Repeat(" ", gap), normal})
		}
		if t.columns[c].right {
			out = append(append(out, blanks), cell...)
		} else {
			out = append(append(out, cell...), blanks)
		}
	}
	return merged(out)
}

// merged joins neighbours of one style, so that a heading and the blanks behind it are one
// piece where nothing is lost by it.
func merged(l line) line {
	var out line
	for _, p := range l {
		blank := strings.Trim(p.text, " ") == ""
		switch n := len(out); {
		case p.text == "":
		case n > 0 && (out[n-1].style == p.style || blank && p.style == normal):
			out[n-1].text += p.text
		default:
			out = append(out, p)
		}
	}
	return out
}

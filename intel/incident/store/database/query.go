package database

import (
	"strconv"
	"strings"
)

// A Query is a statement that is put together, with its values. The zero value is empty.
type Query struct {
	text strings.Builder
	args []any
}

// Add appends a part, in which each ? stands for the next value.
func (q *Query) Add(text string, args ...any) *Query {
	for {
		before, after, more := strings.Cut(text, "?")
		q.text.WriteString(before)
		if !more {
			return q
		}
		q.args = append(q.args, args[0])
		args, text = args[1:], after
		q.text.WriteString("$" + strconv.Itoa(len(q.args)))
	}
}

// Wrap puts an inner query between two parts of a query that has no values yet.
func (q *Query) Wrap(before string, inner *Query, after string) *Query {
	q.text.WriteString(before + inner.text.String() + after)
	q.args = append(q.args, inner.args...)
	return q
}

// Text is the statement.
func (q *Query) Text() string { return q.text.String() }

// Args are its values.
func (q *Query) Args() []any { return q.args }

// Marks gives n placeholders.
func Marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

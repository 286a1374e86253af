package hunt

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Progress is how far a search has come.
type Progress struct {
	Files int   `json:"files"` // searched
	Of    int   `json:"of"`    // files in all
	Bytes int64 `json:"bytes"` // of the files searched
}

// A note is a line of an answer that is no row.
type note struct {
	Progress *Progress `json:"progress,omitempty"`
	Summary  *Summary  `json:"summary,omitempty"`
	// Error ends an answer that is not complete. The summary before it is of what was searched.
	Error string `json:"error,omitempty"`
}

// AppendProgress appends a line with the progress of a search to an answer.
func AppendProgress(dst []byte, p Progress) []byte { return appendNote(dst, note{Progress: &p}) }

// AppendEnd appends the end of an answer: the summary, and why the search did not come to
// its end, unless that is nil.
func AppendEnd(dst []byte, s *Summary, err error) []byte {
	dst = appendNote(dst, note{Summary: s})
	if err != nil {
		dst = appendNote(dst, note{Error: err.Error()})
	}
	return dst
}

func appendNote(dst []byte, n note) []byte {
	b, err := json.Marshal(n)
	if err != nil {
		b = []byte(`{"error":"the summary cannot be written"}`) // a number that is none
	}
	return append(append(dst, b...), '\n')
}

// errCut is the error of an answer without its end.
var errCut = errors.New("the answer ends before its summary")

// ReadAnswer reads an answer: lines of JSON, of which those of rows go to row as they are,
// newline included, in memory that is used again. An error of row ends the reading. The
// error of an answer that is not complete comes beside the summary of what was searched.
func ReadAnswer(r io.Reader, row func(line []byte) error, progress func(Progress)) (Summary, error) {
	var sum *Summary
	in := bufio.NewReaderSize(r, 256<<10) // a summary with many damaged files
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case err == io.EOF && len(line) == 0 && sum != nil:
			return *sum, nil
		case err == io.EOF:
			return Summary{}, errCut
		case err != nil:
			return Summary{}, err
		case bytes.HasPrefix(line, []byte(`{"first":`)):
			if err := row(line); err != nil {
				return Summary{}, err
			}
			continue
		}
		var n note
		if err := json.Unmarshal(line, &n); err != nil {
			return Summary{}, fmt.Errorf("not an answer of flowsnitch: %w", err)
		}
		switch {
		case n.Progress != nil:
			progress(*n.Progress)
		case n.Summary != nil:
			sum = n.Summary
		case n.Error != "" && sum != nil:
			return *sum, errors.New(n.Error)
		case n.Error != "":
			return Summary{}, errors.New(n.Error)
		}
	}
}

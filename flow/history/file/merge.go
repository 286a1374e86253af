package file

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

// MaxInputs is how many files may be merged at once. Each takes about 3 MB of memory, in
// the form for the edge 1.6 MB, where it should be 6 at most.
const MaxInputs = 24

// MaxInputsEdge is how many are to be merged at once with little memory, see Plan.Edge.
const MaxInputsEdge = 6

// A Plan is what to merge into what.
type Plan struct {
	Inputs  []string // paths
	Root    string   // of the history, see [Create]
	Name    Name     // of the result, without Seq and CRC
	Edge    bool     // see [Form]
	Program string   // see [Info]
	Home    string   // see [Info]
	// Keep chooses the rows of the inputs that get into the result; nil = all.
	Keep func(*row.Row) bool
	// Yield is called between two chunks of rows, for a merge in the background to give way;
	// nil = no call.
	Yield func()
}

// Merge makes one file of up to MaxInputs, in which equal keys are one row, their sum. The
// inputs stay: they are for the caller to remove, once it has the name. After an error
// there is no result. A [*DamagedError] names the input to leave out. Without any row to
// keep the error is [ErrEmpty].
func Merge(ctx context.Context, f disk.FS, p Plan) (_ Name, err error) {
	if len(p.Inputs) == 0 || len(p.Inputs) > MaxInputs {
		return Name{}, fmt.Errorf("merge of %d files at once, where 1 to %d are possible", len(p.Inputs), MaxInputs)
	}
	info := Info{Program: p.Program, Home: p.Home}
	form := Form{Edge: p.Edge}
	var heap []*input
	for _, path := range p.Inputs {
		in, err := Open(f, path)
		if err != nil {
			return Name{}, err
		}
		defer in.Close()
		info.Lost += in.Info.Lost
		info.Folded += in.Info.Folded
		info.Inputs = append(info.Inputs, filepath.Base(path))
		form.Rows += in.Rows
		one := &input{file: in}
		if err := one.next(); err != nil {
			return Name{}, err
		}
		if len(one.rows) > 0 {
			heap = append(heap, one)
		}
	}
	w, err := Create(f, p.Root, p.Name, form, info)
	if err != nil {
		return Name{}, err
	}
	defer w.Abort()
	row.Heapify(heap)

	// The last row of out is still open for rows of the same key.
	out := make([]row.Row, 0, chunk)
	for len(heap) > 0 {
		least := heap[0]
		r := &least.rows[0]
		switch n := len(out); {
		case p.Keep != nil && !p.Keep(r):
		case n > 0 && row.Compare(&out[n-1], r) == 0:
			out[n-1].Add(r)
		case n < chunk:
			out = append(out, *r)
		default:
			if err := w.Write(out); err != nil {
				return Name{}, err
			}
			out = append(out[:0], *r)
		}
		if least.rows = least.rows[1:]; len(least.rows) == 0 {
			if err := ctx.Err(); err != nil {
				return Name{}, err
			}
			if p.Yield != nil {
				p.Yield()
			}
			if err := least.next(); err != nil {
				return Name{}, err
			}
		}
		if len(least.rows) == 0 {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		row.Down(heap, 0)
	}
	if err := w.Write(out); err != nil {
		return Name{}, err
	}
	return w.Commit()
}

// An input is a file that is read from its beginning to its end.
type input struct {
	file  *File
	group int
	at    int64     // in the group
	rows  []row.Row // read and not yet taken
	room  []row.Row
}

// Head is the next row.
func (in *input) Head() *row.Row { return &in.rows[0] }

// next reads further rows; at the end there are none.
func (in *input) next() (err error) {
	f := in.file
	defer f.guard(&err)
	for in.group < len(f.groups) && in.at == f.groups[in.group].NumRows() {
		in.group, in.at = in.group+1, 0
	}
	if in.group == len(f.groups) {
		return nil
	}
	if err := f.enter(in.group); err != nil {
		return f.reason(err)
	}
	if in.room == nil {
		in.room = make([]row.Row, chunk)
	}
	n := min(chunk, f.groups[in.group].NumRows()-in.at)
	if err := f.read(in.at, in.room[:n]); err != nil {
		return f.reason(err)
	}
	in.rows, in.at = in.room[:n], in.at+n
	return nil
}

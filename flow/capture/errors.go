package capture

import (
	"fmt"
	"strings"
)

// An Error is where in which capture reading ended and why. Its text begins
// with the name of the capture, once, so a command prints it as it is.
type Error struct {
	// Name of the capture as given to Open or NewReader.
	Name string
	// Frame is the number, from 1, of the frame that could not be read; 0 when
	// the fault lies before the first, in opening the file or in its header.
	Frame int
	// Offset, in bytes of the uncompressed file, at which the record or block
	// begins that is at fault. It has no meaning when Frame is 0.
	Offset int64
	Err    error
}

// Error gives "NAME: why" or "NAME: frame N at offset O: why".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Name != "" {
		b.WriteString(e.Name + ": ")
	}
	if e.Frame != 0 {
		fmt.Fprintf(&b, "frame %d at offset %d: ", e.Frame, e.Offset)
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap gives the cause: io.ErrUnexpectedEOF for a capture that ends within a
// record, fs.ErrClosed after Close, or what the file system or gzip said.
func (e *Error) Unwrap() error { return e.Err }

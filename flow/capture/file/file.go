// Package file reads the frames of pcap and pcapng files, plain or gzip-compressed. It owns
// the position in the file. Lengths in a file are claims: each is checked against a cap and
// against its block before it is believed. Package capture looks for datagrams in the
// frames, and writes pcap files with the headers of this package.
package file

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// A Frame is one captured packet as the file holds it.
type Frame struct {
	Data []byte // borrowed from the reader until the next frame is read
	Link uint16 // link type
	Time time.Time
	Cut  bool // the packet on the wire was longer than Data
}

// A framing reads the frames of one file format. next fills f, or gives io.EOF
// where the file may end.
type framing interface {
	next(f *Frame) error
}

// A Reader reads the frames of a file. It is for one goroutine.
type Reader struct {
	src     *source
	framing framing
}

// New reads the header of a file. check refuses the link type of a pcap file; in pcapng
// each interface has its own, and frames of any are given.
func New(r io.Reader, check func(link uint16) error) (*Reader, error) {
	in, packed, err := Unpack(r)
	f := &Reader{src: &source{r: in}}
	if err != nil {
		return f, err
	}
	what := "first bytes"
	if packed {
		what = "first bytes within gzip"
	}
	return f, f.detect(what, check)
}

// Unpack gives what is in r if that is gzip-compressed, which packed reports, else r itself.
func Unpack(r io.Reader) (in *bufio.Reader, packed bool, err error) {
	in = bufio.NewReaderSize(r, 64<<10)
	if b, _ := in.Peek(2); !bytes.Equal(b, []byte{0x1f, 0x8b}) {
		return in, false, nil
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return in, true, fmt.Errorf("damaged gzip file: %w", Cause(err))
	}
	return bufio.NewReaderSize(z, 64<<10), true, nil
}

// IsCapture reports whether a file whose first 4 bytes are b is pcap or pcapng.
func IsCapture(b []byte) bool { return isPcap(b) || isPcapng(b) }

// Next reads the next frame. It gives io.EOF where the file may end.
func (r *Reader) Next(f *Frame) error { return r.framing.next(f) }

// Offset is where the record or block begins that was read last, in bytes of the
// uncompressed file.
func (r *Reader) Offset() int64 { return r.src.at }

// detect chooses the framing by the first bytes, called what in the error, and reads the
// header of the file.
func (r *Reader) detect(what string, check func(link uint16) error) error {
	magic, err := r.src.r.Peek(4)
	switch {
	case err != nil && err != io.EOF:
		return fmt.Errorf("cannot read: %w", Cause(err))
	case len(magic) == 0:
		return errors.New("empty file (pcap or pcapng expected)")
	case isPcap(magic):
		r.framing, err = newPcap(r.src, check)
	case isPcapng(magic):
		r.framing, err = newPcapng(r.src)
	default:
		err = fmt.Errorf("not a capture file (pcap or pcapng expected, %s % x)", what, magic)
	}
	return err
}

// A cutError is the text of an io.ErrUnexpectedEOF in words for people.
type cutError string

func (e cutError) Error() string { return string(e) }

// Unwrap gives io.ErrUnexpectedEOF.
func (e cutError) Unwrap() error { return io.ErrUnexpectedEOF }

// Cause strips the path that package os puts into its errors: the name of the
// capture stands in front already.
func Cause(err error) error {
	if err == io.ErrUnexpectedEOF {
		return cutError("the file ends early")
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

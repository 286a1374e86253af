package capture

import (
	"io"
	"io/fs"
	"os"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture/file"
)

// A Reader gives the UDP payloads of a capture in the order of the file. It is
// for one goroutine.
type Reader struct {
	name   string
	closer io.Closer // what Open opened; nil for NewReader
	frames *file.Reader
	frame  file.Frame
	frags  reassembler
	stats  Stats
	last   int
	err    error // what every further Next returns
}

// Open opens the pcap or pcapng file at path, which may be gzip-compressed.
// The errors of Open, and of the Reader, are of type *Error and begin with path.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{Name: path, Err: file.Cause(err)}
	}
	r, err := NewReader(f, path)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.closer = f
	return r, nil
}

// NewReader reads a capture from r; its header is read at once. name stands in
// front of every error. r stays the caller's to close.
func NewReader(r io.Reader, name string) (*Reader, error) {
	frames, err := file.New(r, checkLink)
	if err != nil {
		return nil, &Error{Name: name, Err: err}
	}
	return &Reader{name: name, frames: frames}, nil
}

// Next gives the next UDP payload of the capture, io.EOF at its end, or an
// *Error when the rest cannot be read; what it gave once it gives again. All
// datagrams in front of a damage come before its error. The payload is valid
// until the next call. Received is the time of the frame, in UTC, that completed
// the datagram; a frame without a time (a simple packet block of pcapng) has
// that of the frame before it, the zero time when there is none. A datagram of
// which the capture holds only the beginning is given as far as it is there,
// and counted as Truncated.
func (r *Reader) Next() (flow.Datagram, error) {
	for r.err == nil {
		if err := r.frames.Next(&r.frame); err != nil {
			r.err = r.fail(err)
			break
		}
		r.stats.Frames++
		if dg, ok := r.datagram(); ok {
			r.last = int(r.stats.Frames)
			return dg, nil
		}
	}
	return flow.Datagram{}, r.err
}

// fail returns where an error of the framing happened. The end of the file is no
// error.
func (r *Reader) fail(err error) error {
	if err == io.EOF {
		return err
	}
	return &Error{Name: r.name, Frame: int(r.stats.Frames) + 1, Offset: r.frames.Offset(), Err: err}
}

// datagram looks for a datagram in the frame that was read, and counts what it
// finds.
func (r *Reader) datagram() (flow.Datagram, bool) {
	p, what := findPacket(&r.frame)
	if what == isFragment {
		what = r.frags.add(&p, r.frame.Time)
	}
	var u udpDatagram
	if what == isUDP {
		u, what = readUDP(&p)
	}
	r.stats.count(what, r.frame.Cut)
	if what != isUDP {
		return flow.Datagram{}, false
	}
	r.stats.countDatagram(&u)
	return flow.Datagram{Payload: u.payload, Source: u.source, Received: r.frame.Time}, true
}

// Frame is the number, from 1, of the frame that completed the last datagram;
// 0 before the first.
func (r *Reader) Frame() int { return r.last }

// Stats returns what was found so far.
func (r *Reader) Stats() Stats {
	s := r.stats
	r.frags.fill(&s)
	return s
}

// Close ends reading: Next fails with fs.ErrClosed from then on. It closes the
// file that Open opened, and may be called again.
func (r *Reader) Close() error {
	if r.err == nil || r.err == io.EOF {
		r.err = &Error{Name: r.name, Err: fs.ErrClosed}
	}
	if r.closer == nil {
		return nil
	}
	err := r.closer.Close()
	r.closer = nil
	if err != nil {
		return &Error{Name: r.name, Err: file.Cause(err)}
	}
	return nil
}

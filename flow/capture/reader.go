package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
)

// A frame is one captured packet as the file holds it.
type frame struct {
	data []byte // borrowed from the source until the next frame is read
	link uint16 // link type
	time time.Time
	cut  bool // the packet on the wire was longer than data
}

// A framing reads the frames of one file format. next fills f, or gives io.EOF
// where the file may end.
type framing interface {
	next(f *frame) error
}

// A Reader gives the UDP payloads of a capture in the order of the file. It is
// for one goroutine.
type Reader struct {
	name    string
	file    io.Closer // what Open opened; nil for NewReader
	src     *source
	framing framing
	frame   frame
	frags   reassembler
	stats   Stats
	last    int
	err     error // what every further Next returns
}

// Open opens the pcap or pcapng file at path, which may be gzip-compressed.
// The errors of Open, and of the Reader, are of type *Error and begin with path.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{Name: path, Err: cause(err)}
	}
	r, err := NewReader(f, path)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.file = f
	return r, nil
}

// NewReader reads a capture from r; its header is read at once. name stands in
// front of every error. r stays the caller's to close.
func NewReader(r io.Reader, name string) (*Reader, error) {
	c := &Reader{name: name, src: &source{}}
	if err := c.start(bufio.NewReaderSize(r, 64<<10)); err != nil {
		return nil, &Error{Name: name, Err: err}
	}
	return c, nil
}

// start unpacks gzip, finds out what kind of file it is and reads its header.
func (r *Reader) start(br *bufio.Reader) error {
	r.src.r = br
	if b, _ := br.Peek(2); !bytes.Equal(b, []byte{0x1f, 0x8b}) {
		return r.detect("first bytes")
	}
	z, err := gzip.NewReader(br)
	if err != nil {
		return fmt.Errorf("damaged gzip file: %w", cause(err))
	}
	r.src.r = bufio.NewReaderSize(z, 64<<10)
	return r.detect("first bytes within gzip")
}

// detect chooses the framing by the first bytes, called what in the error.
func (r *Reader) detect(what string) error {
	magic, err := r.src.r.Peek(4)
	switch {
	case err != nil && err != io.EOF:
		return fmt.Errorf("cannot read: %w", cause(err))
	case len(magic) == 0:
		return errors.New("empty file (pcap or pcapng expected)")
	case isPcap(magic):
		r.framing, err = newPcap(r.src)
	case isPcapng(magic):
		r.framing, err = newPcapng(r.src)
	default:
		err = fmt.Errorf("not a capture file (pcap or pcapng expected, %s % x)", what, magic)
	}
	return err
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
		if err := r.framing.next(&r.frame); err != nil {
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

// fail says where an error of the framing happened. The end of the file is no
// error.
func (r *Reader) fail(err error) error {
	if err == io.EOF {
		return err
	}
	return &Error{Name: r.name, Frame: int(r.stats.Frames) + 1, Offset: r.src.at, Err: err}
}

// datagram looks for a datagram in the frame that was read, and counts what it
// finds.
func (r *Reader) datagram() (flow.Datagram, bool) {
	p, what := findPacket(&r.frame)
	if what == isFragment {
		what = r.frags.add(&p, r.frame.time)
	}
	var u udpDatagram
	if what == isUDP {
		u, what = readUDP(&p)
	}
	r.stats.count(what, r.frame.cut)
	if what != isUDP {
		return flow.Datagram{}, false
	}
	r.stats.countDatagram(&u)
	return flow.Datagram{Payload: u.payload, Source: u.source, Received: r.frame.time}, true
}

// Frame is the number, from 1, of the frame that completed the last datagram;
// 0 before the first.
func (r *Reader) Frame() int { return r.last }

// Stats tells what was found so far.
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
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	if err != nil {
		return &Error{Name: r.name, Err: cause(err)}
	}
	return nil
}

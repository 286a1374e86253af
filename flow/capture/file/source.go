package file

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxCaptured is the most bytes of one frame that are believed, in a file that
// may say anything. It is the limit of libpcap (MAXIMUM_SNAPLEN).
const maxCaptured = 256 << 10

// A source reads the bytes of a capture and knows where it is.
type source struct {
	r    *bufio.Reader
	off  int64 // bytes read so far
	at   int64 // where the record or block begins that is being read
	buf  []byte
	four [4]byte
}

// begin reads the n bytes with which a record begins. It gives io.EOF when the
// file ends right here, which is where a file may end.
func (s *source) begin(n int, what string) ([]byte, error) {
	s.at = s.off
	b := s.room(n)
	got, err := s.read(b)
	if got == 0 && err == io.EOF {
		return nil, err
	}
	return b, explain(err, what, got, n)
}

// need reads n bytes, at most maxCaptured, of something named what. They are
// valid until the next call of need or begin.
func (s *source) need(n int, what string) ([]byte, error) {
	b := s.room(n)
	got, err := s.read(b)
	return b, explain(err, what, got, n)
}

// room gives n bytes of the buffer.
func (s *source) room(n int) []byte {
	if cap(s.buf) < n {
		s.buf = make([]byte, max(n, 4096))
	}
	return s.buf[:n]
}

// read fills b, with the errors of io.ReadFull.
func (s *source) read(b []byte) (int, error) {
	n, err := io.ReadFull(s.r, b)
	s.off += int64(n)
	return n, err
}

// word reads 4 bytes of something named what, and leaves the buffer of need and
// begin alone.
func (s *source) word(what string) ([]byte, error) {
	got, err := s.read(s.four[:])
	return s.four[:], explain(err, what, got, len(s.four))
}

// skip passes over n bytes of something named what, without holding them.
func (s *source) skip(n int64, what string) error {
	got, err := io.CopyN(io.Discard, s.r, n)
	s.off += got
	return explain(err, what, got, n)
}

// explain returns what was being read when the file ended.
func explain[N int | int64](err error, what string, got, want N) error {
	if err == nil {
		return nil
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return cutError(fmt.Sprintf("the file ends within %s, after %d of %d bytes", what, got, want))
	}
	return Cause(err)
}

package feeds

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// headBytes is how much of a document its format is told by.
const headBytes = 64 << 10

// A source is the text of a document: decompressed, in UTF-8 without byte order
// mark, never longer than allowed.
type source struct {
	*bufio.Reader
	limit *limitedReader
}

// newSource unpacks gzip, or a ZIP archive with one file, by its magic and decodes by
// the byte order mark.
func newSource(r io.Reader, maxBytes int64) (*source, error) {
	raw := bufio.NewReaderSize(r, 4096)
	r = raw
	magic, _ := raw.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte("PK\x03\x04")), bytes.Equal(magic, []byte("PK\x05\x06")):
		list, err := unzip(raw, maxBytes)
		if err != nil {
			return nil, err
		}
		r = list
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		r = z
	}
	limit := &limitedReader{r: r, left: maxBytes, max: maxBytes}
	return &source{Reader: bufio.NewReaderSize(decodeText(limit), headBytes), limit: limit}, nil
}

// head gives the start of the text without consuming it.
func (s *source) head() []byte {
	head, _ := s.Peek(headBytes)
	return head
}

// failure is the error that ended the reading, if it was not the end.
func (s *source) failure() error { return s.limit.err }

// limitedReader fails, rather than ends, when there is more than allowed, and
// remembers how the reading ended.
type limitedReader struct {
	r         io.Reader
	left, max int64
	err       error // other than io.EOF
}

// Read reads one byte more than is allowed before it fails.
func (l *limitedReader) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		err = fmt.Errorf("%w: longer than the %d bytes allowed", ErrRejected, l.max)
		n--
		l.left = 0
	}
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
	}
	return n, err
}

// decodeText strips a UTF-8 byte order mark and decodes UTF-16 by its own.
func decodeText(r io.Reader) io.Reader {
	br := bufio.NewReaderSize(r, 4096)
	mark, _ := br.Peek(3)
	switch {
	case bytes.HasPrefix(mark, []byte("\xef\xbb\xbf")):
		_, _ = br.Discard(3)
	case bytes.HasPrefix(mark, []byte("\xff\xfe")):
		_, _ = br.Discard(2)
		return &utf16Reader{r: br, low: 0, high: 1}
	case bytes.HasPrefix(mark, []byte("\xfe\xff")):
		_, _ = br.Discard(2)
		return &utf16Reader{r: br, low: 1, high: 0}
	}
	return br
}

// A utf16Reader turns UTF-16 into UTF-8. What does not decode becomes U+FFFD.
type utf16Reader struct {
	r         *bufio.Reader
	low, high int // where the bytes of a unit stand
	unit      uint16
	pending   bool // unit was read, but not used
}

// Read fills p with whole characters; p must have room for one.
func (u *utf16Reader) Read(p []byte) (int, error) {
	if len(p) < utf8.UTFMax {
		return 0, io.ErrShortBuffer
	}
	n := 0
	for n+utf8.UTFMax <= len(p) {
		c, err := u.char()
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		n += utf8.EncodeRune(p[n:], c)
	}
	return n, nil
}

func (u *utf16Reader) char() (rune, error) {
	first, err := u.next()
	if err != nil {
		return 0, err
	}
	c := rune(first)
	if !utf16.IsSurrogate(c) {
		return c, nil
	}
	second, err := u.next()
	if err != nil {
		return utf8.RuneError, nil
	}
	if pair := utf16.DecodeRune(c, rune(second)); pair != utf8.RuneError {
		return pair, nil
	}
	u.unit, u.pending = second, true
	return utf8.RuneError, nil
}

func (u *utf16Reader) next() (uint16, error) {
	if u.pending {
		u.pending = false
		return u.unit, nil
	}
	var b [2]byte
	n, err := io.ReadFull(u.r, b[:])
	if n == 1 && errors.Is(err, io.ErrUnexpectedEOF) {
		return utf8.RuneError, nil // half a unit at the end
	}
	if err != nil {
		return 0, err
	}
	return uint16(b[u.low]) | uint16(b[u.high])<<8, nil
}

// looksLikeMarkup tells an HTML or XML page by its first character.
func looksLikeMarkup(head []byte) bool {
	head = bytes.TrimLeft(head, asciiSpace)
	return len(head) > 0 && head[0] == '<'
}

package document

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"golang.org/x/text/encoding/unicode"
)

// headBytes is how much of a document is looked at to detect its format.
const headBytes = 64 << 10

// A Source is the text of a document: decompressed, in UTF-8 without byte order
// mark, never longer than allowed.
type Source struct {
	*bufio.Reader
	limit *limitedReader
}

// NewSource unpacks gzip, or a ZIP archive with one file, by its magic and decodes by
// the byte order mark.
func NewSource(r io.Reader, maxBytes int64) (*Source, error) {
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
	return &Source{Reader: bufio.NewReaderSize(decodeText(limit), headBytes), limit: limit}, nil
}

// Head gives the start of the text without consuming it.
func (s *Source) Head() []byte {
	head, _ := s.Peek(headBytes)
	return head
}

// Failure is the error that ended the reading, if it was not the end.
func (s *Source) Failure() error { return s.limit.err }

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

// decodeText strips a UTF-8 byte order mark and decodes UTF-16 by its own; what does not
// decode becomes U+FFFD.
func decodeText(r io.Reader) io.Reader {
	br := bufio.NewReaderSize(r, 4096)
	mark, _ := br.Peek(3)
	switch {
	case bytes.HasPrefix(mark, []byte("\xef\xbb\xbf")):
		_, _ = br.Discard(3)
	case bytes.HasPrefix(mark, []byte("\xff\xfe")):
		_, _ = br.Discard(2)
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder().Reader(br)
	case bytes.HasPrefix(mark, []byte("\xfe\xff")):
		_, _ = br.Discard(2)
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder().Reader(br)
	}
	return br
}

// IsMarkup recognises an HTML or XML page by its first character.
func IsMarkup(head []byte) bool {
	head = bytes.TrimLeft(head, Space)
	return len(head) > 0 && head[0] == '<'
}

// maxZIP is how long an archive may be: its directory stands at the end, so that it has
// to be in memory as a whole.
const maxZIP = 32 << 20

// unzip opens the one list in an archive. Folders and what macOS adds do not count.
func unzip(raw *bufio.Reader, maxBytes int64) (io.Reader, error) {
	limit := min(maxZIP, maxBytes)
	body, err := io.ReadAll(io.LimitReader(raw, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: ZIP longer than the %d bytes allowed", ErrRejected, limit)
	}
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, fmt.Errorf("%w: ZIP: %v", ErrRejected, err)
	}
	var list *zip.File
	for _, f := range archive.File {
		base := path.Base(f.Name)
		switch {
		case f.FileInfo().IsDir(), strings.HasPrefix(f.Name, "__MACOSX/"), base == ".DS_Store":
			continue
		case list != nil:
			return nil, fmt.Errorf("%w: ZIP with several files, %s and %s; must be one list", ErrRejected, Escape(list.Name), Escape(f.Name))
		case f.Flags&1 != 0:
			return nil, fmt.Errorf("%w: ZIP with a password", ErrRejected)
		}
		list = f
	}
	if list == nil {
		return nil, fmt.Errorf("%w: ZIP without a file", ErrRejected)
	}
	r, err := list.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: ZIP: %v", ErrRejected, err)
	}
	return r, nil
}

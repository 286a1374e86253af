package document

import (
	"archive/zip"
	"bufio"
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
)

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

package silence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
)

// FileName is the name of the file in the state directory.
const FileName = "silences.json"

const (
	fileVersion = 1
	maxFile     = 64 << 20 // bytes; twice of what the largest number of entries takes
)

// A document is what the file holds: it in JSON, a newline, the CRC-32C of the JSON as eight
// hexadecimal digits, a newline.
type document struct {
	V        int       `json:"v"`
	Silences []Silence `json:"silences,omitempty"` // in the order in which they were made
	Allowed  []Allowed `json:"allowed,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encode(d *document) ([]byte, error) {
	b, err := json.Marshal(d)
	return sealed(b), err
}

// sealed appends the checksum of what is in b.
func sealed(b []byte) []byte { return fmt.Appendf(b, "\n%08x\n", crc32.Checksum(b, castagnoli)) }

// decode reads what encode wrote. Everything in it is checked: what it holds decides what
// people do not get to see.
func decode(b []byte) (d document, err error) {
	line, sum, _ := bytes.Cut(b, []byte("\n"))
	if string(sum) != fmt.Sprintf("%08x\n", crc32.Checksum(line, castagnoli)) {
		return document{}, errors.New("its checksum does not fit: it is damaged, or was edited by hand")
	}
	var form struct{ V int }
	if err := json.Unmarshal(line, &form); err != nil {
		return document{}, err
	}
	if form.V > fileVersion {
		return document{}, &newerError{form.V}
	}
	if err := json.Unmarshal(line, &d); err != nil {
		return document{}, err
	}
	if d.V != fileVersion {
		return document{}, fmt.Errorf("version %d does not exist", d.V)
	}
	if len(d.Silences) > MaxSilences+maxEnded || len(d.Allowed) > MaxAllowed {
		return document{}, fmt.Errorf("%d silences and %d allowed prefixes are more than there can be", len(d.Silences), len(d.Allowed))
	}
	ids := make(map[string]bool)
	for i := range d.Silences {
		s := &d.Silences[i]
		if err := errors.Join(s.check(nil), checkText(&s.Reason, &s.Author)); err != nil {
			return document{}, fmt.Errorf("silence %d: %w", i+1, err)
		}
		if !isID(s.ID) || ids[s.ID] {
			return document{}, fmt.Errorf("silence %d: its id is not one, or is there twice", i+1)
		}
		ids[s.ID] = true
		s.RemovedBy = plain(s.RemovedBy)
	}
	for i := range d.Allowed {
		a := &d.Allowed[i]
		if err := errors.Join(checkPrefix(&a.Prefix), checkText(&a.Reason, &a.Author)); err != nil {
			return document{}, fmt.Errorf("allowed prefix %d: %w", i+1, err)
		}
	}
	return d, nil
}

// readFile reads the file; one that does not exist holds nothing.
func readFile(f disk.FS, path string) (document, error) {
	file, err := f.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return document{}, nil
	}
	if err != nil {
		return document{}, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return document{}, err
	}
	if len(b) > maxFile {
		return document{}, &damagedError{fmt.Errorf("longer than %d MiB", maxFile>>20)}
	}
	d, err := decode(b)
	if err != nil {
		return document{}, &damagedError{err}
	}
	return d, nil
}

// A damagedError is what is wrong with the content of the file.
type damagedError struct{ error }

func (e *damagedError) Unwrap() error { return e.error }

// A newerError means that a newer version of the program has written the file.
type newerError struct{ has int }

func (e *newerError) Error() string {
	return fmt.Sprintf("a newer version of flowsnitch has written it (form %d, this version knows %d)", e.has, fileVersion)
}

// Load reads the file, once, before anything else. One that is damaged, or that a newer version
// has written, is moved aside and the error has where to; the book is empty then and goes on,
// as after a first start. After any other error, too: then the file stays, and is moved aside
// by the next change.
func (b *Book) Load() error {
	d, err := readFile(b.cfg.FS, b.cfg.Path)
	_, newer := errors.AsType[*newerError](err)
	damaged, bad := errors.AsType[*damagedError](err)
	switch {
	case bad && b.cfg.ReadOnly:
		err = fmt.Errorf("%s: %w", b.cfg.Path, damaged.error)
	case bad && newer:
		err = b.setAside(damaged.error, ".newer", "; install that version again and move it back")
	case bad:
		err = b.setAside(damaged.error, ".damaged", "")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unread = err != nil && !bad
	for i := range d.Silences {
		b.records = append(b.records, b.record(d.Silences[i]))
	}
	b.allowed = d.Allowed
	b.refresh(b.cfg.Now())
	return err
}

// setAside moves a file away that cannot be used because of err.
func (b *Book) setAside(err error, suffix, remedy string) error {
	aside := b.cfg.Path + suffix
	if e := b.cfg.FS.Rename(b.cfg.Path, aside); e != nil {
		return fmt.Errorf("%s: %w; it cannot be moved aside: %w", b.cfg.Path, err, e)
	}
	return fmt.Errorf("%s: %w; it was moved to %s, and there are no silences now%s", b.cfg.Path, err, aside, remedy)
}

// write replaces the file. Whoever calls it holds the gate, and no other lock.
func (b *Book) write(records []*record, allowed []Allowed) error {
	if b.cfg.ReadOnly {
		return errors.New("it is opened for reading only")
	}
	d := document{V: fileVersion, Allowed: allowed}
	for _, r := range records {
		d.Silences = append(d.Silences, r.view())
	}
	content, err := encode(&d)
	if err == nil && b.unread { // whatever is in it, it is not replaced
		if err = b.cfg.FS.Rename(b.cfg.Path, b.cfg.Path+".unread"); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		b.unread = err != nil
	}
	if err == nil {
		err = disk.Replace(b.cfg.FS, b.cfg.Path, content, 0o600)
	}
	var text string
	if err != nil {
		text = err.Error()
	}
	b.mu.Lock()
	b.unsaved = text
	b.mu.Unlock()
	return err
}

const (
	idLetters = "abcdefghijklmnopqrstuvwxyz234567"
	idLength  = 8
)

func isID(s string) bool {
	return len(s) == idLength && strings.Trim(s, idLetters) == ""
}

// prune drops the ended silences that were made first, beyond the number that is kept. They
// are kept by number, not by age: a clock that is a year ahead for a moment drops nothing.
func prune(records []*record, now time.Time) []*record {
	ended := 0
	for _, r := range records {
		if !r.InForce(now) {
			ended++
		}
	}
	return slices.DeleteFunc(records, func(r *record) bool {
		if ended <= maxEnded || r.InForce(now) {
			return false
		}
		ended--
		return true
	})
}

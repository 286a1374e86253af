package position

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks/journal/folder"
)

// A Report is what the files gave when they were opened. Those that are of no use are set
// aside under another name, else they would be news again.
type Report struct {
	Cursors    int
	End        uint64   // the highest number that the next event may have had
	Clean      bool     // all are of a regular stop, and there is one
	Bad        []string // files of no use; their sinks get all that is there
	Unreadable []string // the same, of files that may only be unreadable for now
	Missing    []string // sinks whose file is not there
	claim
}

// Open reads the places of all sinks, and the list of the sinks. mu is the journal's lock.
func Open(dir *folder.Folder, lane Lane, mu *sync.Mutex, at folder.Moment) (*Set, Report, error) {
	s := &Set{dir: dir, lane: lane, saving: disk.NewGate(), mu: mu, places: make(map[string]*Place), known: known{names: make(map[string]bool)}, saved: time.Now()}
	r := Report{Clean: true}
	if dir.Path == "" {
		return s, r, nil
	}
	names, err := dir.Disk.Names(dir.Path)
	if err != nil {
		return nil, r, err
	}
	err = dir.Retry(func() (err error) {
		s.known, err = loadKnown(dir.Disk, dir.Path)
		return err
	})
	if ofNoUse(err) {
		s.known.lost = true
		r.setAside(dir.Disk, knownPath(dir.Path), err)
	} else if err != nil {
		return nil, r, err
	}
	for _, name := range names {
		path := filepath.Join(dir.Path, name)
		if strings.HasSuffix(name, folder.NewSuffix) {
			_ = dir.Disk.Remove(path) // of an attempt that was cut off
		}
		if strings.HasSuffix(name, suffix) {
			if err := s.load(path, at, &r); err != nil {
				s.Close()
				return nil, r, err
			}
		}
	}
	r.Cursors = len(s.places)
	r.Clean = r.Clean && r.Cursors > 0
	r.Missing = s.known.missing(s.places)
	s.known.complete(s.places)
	return s, r, nil
}

// load reads one place and adds it. An error is one of the machine, not of the file.
func (s *Set) load(path string, at folder.Moment, r *Report) error {
	var p *Place
	var next uint64
	err := s.dir.Retry(func() (err error) {
		p, next, err = load(s.dir.Disk, path, at)
		return err
	})
	if err == nil && !s.known.owns(p.journal) {
		_ = p.file.Close()
		err = fmt.Errorf("it belongs to another journal: %w", errDamaged)
	}
	if ofNoUse(err) {
		s.known.lost, r.Clean = true, false
		r.setAside(s.dir.Disk, path, err)
		return nil
	}
	if err != nil {
		return err
	}
	s.places[p.name] = p
	r.Clean = r.Clean && !p.mayRepeat
	r.End = max(r.End, p.done.Position, next)
	r.add(p.done.Position, next)
	return nil
}

// setAside renames a file that is of no use, and adds it to the report.
func (r *Report) setAside(d disk.FS, path string, err error) {
	list, suffix := &r.Bad, damagedSuffix
	if folder.MayPass(err) {
		list, suffix = &r.Unreadable, unreadableSuffix
	}
	*list = append(*list, fmt.Sprintf("%s (%v)", path, err))
	_ = d.Rename(path, path+suffix)
}

// ofNoUse reports whether an error means that a file cannot be used: it is damaged, a link,
// or not readable for now.
func ofNoUse(err error) bool {
	return errors.Is(err, errDamaged) || errors.Is(err, syscall.ELOOP) || folder.MayPass(err)
}

// A claim is what the places that were saved last contain about the journal's end: there
// were events up to End, and one of them had still to have those from position on.
// Places of sinks that are long gone do not count.
type claim struct{ position, End uint64 }

func (c *claim) add(position, next uint64) {
	switch {
	case next > c.End:
		c.position, c.End = position, next
	case next == c.End:
		c.position = min(c.position, position)
	}
}

// LostBehind gives how many of the events are not there when the journal ends at end.
func (c claim) LostBehind(end uint64) uint64 {
	from := max(end, c.position)
	return max(c.End, from) - from
}

package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"go.uber.org/zap"
)

// templatesName is the file in the state directory that keeps templates, samplers
// and sequence numbers over a restart.
const templatesName = "templates"

// The file is written seldom, for the sake of SD cards.
const (
	// saveSequences is how often it is when only sequence numbers have moved. After a
	// crash the gap since then is an estimate.
	saveSequences = 10 * time.Minute
	// saveUnrest is how often it is at most when templates change to and fro, and when
	// there is ever something new. What is new after a calm is written at once; each
	// further time takes twice as long, beginning with saveAgain.
	saveUnrest = 5 * time.Minute
	saveAgain  = 5 * time.Second
	// saveFailed is how long a file that could not be written is left alone at most.
	saveFailed = time.Minute
)

// A templateFile keeps what is known of exporters over a restart.
type templateFile struct {
	path string
	x    *decode.Exporters
	date func() time.Time // that can be trusted
	log  *zap.Logger

	writing sync.Mutex    // held while the file is written
	changes uint64        // when it was last written
	unrest  uint64        // likewise
	written time.Time     // likewise
	spacing time.Duration // until something new is written again
	tried   time.Time     // when it could not be written
	failed  time.Duration // until that is tried again; 0 = it could be

	writes, errors atomic.Uint64
	trouble        atomic.Pointer[string] // why it cannot be written; nil = it can

	restored RestoredStatus // what load found
}

func newTemplateFile(dir string, x *decode.Exporters, date func() time.Time, log *zap.Logger) *templateFile {
	return &templateFile{path: filepath.Join(dir, templatesName), x: x, date: date, log: log}
}

// open loads what the last run has left. A file that cannot be read is no reason not to
// start: exporters send their templates again.
func (f *templateFile) open() {
	f.written = time.Now()
	log := f.log
	r, err := f.load()
	f.restored = restoredStatus(r, err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		log.Warn("templates of the last run are not all there; data waits for new ones", zap.String("file", f.path), zap.Error(err))
	case r.Damaged > 0:
		log.Warn("parts of the file of templates are damaged and left out",
			zap.String("file", f.path), zap.Int("lines", r.Damaged), zap.Int("templates", r.Templates))
	case r.Exporters > 0:
		log.Info("templates of the last run are back", zap.Int("exporters", r.Exporters), zap.Int("templates", r.Templates))
	}
	f.changes, f.unrest = f.x.Changes(), f.x.Unrest()
	if r.Clean {
		// Numbers that are exact after a clean stop would not be so after a crash.
		if err := f.write(false); err != nil {
			log.Warn("after a crash losses may be shown as exact that are estimates", zap.Error(err))
		}
	}
}

// restoredStatus is what loading has found. That there is no file is no error.
func restoredStatus(r decode.LoadReport, err error) RestoredStatus {
	s := RestoredStatus{
		Clean: r.Clean, Exporters: r.Exporters, Templates: r.Templates, Samplers: r.Samplers,
		Damaged: r.Damaged, Expired: r.Expired, Refused: r.Refused,
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Error = err.Error()
	}
	return s
}

func (f *templateFile) load() (decode.LoadReport, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return decode.LoadReport{}, err
	}
	defer file.Close()
	return f.x.Load(file, time.Now(), f.date())
}

// save writes the file when something has changed; at a clean stop always.
func (f *templateFile) save(clean bool) error {
	if !f.writing.TryLock() {
		return errors.New("templates: the file is still being written; the disk does not answer")
	}
	defer f.writing.Unlock()
	now := time.Now()
	if !clean && !f.due(now) {
		return f.lastError()
	}
	before, news := f.written, f.x.Changes() != f.changes
	if err := f.write(clean); err != nil {
		f.tried, f.failed = now, min(max(2*f.failed, saveAgain), saveFailed)
		f.errors.Add(1)
		text := err.Error()
		f.trouble.Store(&text)
		return err
	}
	f.failed = 0
	f.trouble.Store(nil)
	switch {
	case now.Sub(before) >= 2*saveUnrest:
		f.spacing = 0
	case news:
		f.spacing = min(max(2*f.spacing, saveAgain), saveUnrest)
	}
	return nil
}

// due reports whether it is time to write the file.
func (f *templateFile) due(now time.Time) bool {
	since := now.Sub(f.written)
	switch {
	case f.failed > 0:
		return now.Sub(f.tried) >= f.failed
	case f.x.Changes() != f.changes:
		return since >= f.spacing
	case f.x.Unrest() != f.unrest:
		return since >= saveUnrest
	}
	return since >= saveSequences
}

// lastError is why the file could not be written at the last try.
func (f *templateFile) lastError() error {
	if text := f.trouble.Load(); text != nil {
		return errors.New(*text)
	}
	return nil
}

// status may be called while the disk hangs.
func (f *templateFile) status() TemplateFileStatus {
	s := TemplateFileStatus{Writes: f.writes.Load(), WriteErrors: f.errors.Load()}
	if text := f.trouble.Load(); text != nil {
		s.Error = *text
	}
	return s
}

// write writes the file. clean means that no datagram will be decoded any more.
func (f *templateFile) write(clean bool) error {
	changes, unrest := f.x.Changes(), f.x.Unrest()
	err := disk.ReplaceBy(disk.OS{}, f.path, 0o600, func(w io.Writer) error { return f.x.Save(w, clean, time.Now(), f.date()) })
	if err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	f.changes, f.unrest, f.written = changes, unrest, time.Now()
	f.writes.Add(1)
	return nil
}

package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/decode"
	"go.uber.org/zap"
)

// templatesName is the file in the state directory that keeps templates, samplers
// and sequence numbers over a restart.
const templatesName = "templates"

// saveSequences is how often the file is written when only sequence numbers have
// moved: seldom, for the sake of SD cards. After a crash the gap since then is told
// as an estimate.
const saveSequences = 10 * time.Minute

// A templateFile keeps what is known of exporters over a restart.
type templateFile struct {
	path string
	x    *decode.Exporters
	date func() time.Time // that can be trusted

	writing sync.Mutex // held while the file is written
	changes uint64     // when it was last written
	written time.Time  // likewise

	restored RestoredStatus // what load found
}

// openTemplateFile loads what the last run has left. A file that cannot be read is
// no reason not to start: exporters send their templates again.
func openTemplateFile(dir string, x *decode.Exporters, date func() time.Time, log *zap.Logger) *templateFile {
	f := &templateFile{path: filepath.Join(dir, templatesName), x: x, date: date, written: time.Now()}
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
	f.changes = x.Changes()
	if r.Clean {
		// Numbers that are exact after a clean stop would not be so after a crash.
		if err := f.write(false); err != nil {
			log.Warn("after a crash losses may be told as exact that are not", zap.Error(err))
		}
	}
	return f
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
	if !clean && f.x.Changes() == f.changes && time.Since(f.written) < saveSequences {
		return nil
	}
	return f.write(clean)
}

// write writes the file. clean tells that no datagram will be decoded any more.
func (f *templateFile) write(clean bool) error {
	changes := f.x.Changes()
	var b bytes.Buffer
	if err := f.x.Save(&b, clean, time.Now(), f.date()); err != nil {
		return err
	}
	if err := replaceFile(f.path, b.Bytes()); err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	f.changes, f.written = changes, time.Now()
	return nil
}

// replaceFile puts a whole new file in the place of an old one: whoever reads it,
// after a power cut too, finds one of the two. What a power cut leaves beside it is
// written over the next time.
func replaceFile(path string, content []byte) error {
	tmp, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

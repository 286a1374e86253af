package history

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/flowsnitch/flowsnitch/flow/clock"
	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/store"
)

// open opens the folder, and reports whether contacts are kept from now on.
func (h *History) open(cfg *Config) bool {
	bound, err := h.size(cfg)
	h.mu.Lock()
	s := h.store
	h.mu.Unlock()
	switch {
	case err != nil:
	case s != nil: // contacts were kept before
		s.Reconfigure(cfg.Keep, int64(bound))
	default:
		s, err = h.keep(store.Config{
			Root: h.deps.Root, Edge: h.deps.Edge, Keep: cfg.Keep, MaxBytes: int64(bound), Program: h.deps.Program, Home: h.deps.Home,
			Now: h.deps.Now, Synced: func() bool { return !h.deps.Unsynced() }, Disk: h.disk, Space: h.deps.Space, Report: h.deps.Note,
		})
	}
	if err != nil {
		h.close(err.Error())
		return false
	}
	h.mu.Lock()
	h.store, h.on, h.off, h.bound = s, true, "", bound
	h.mu.Unlock()
	h.notice(cfg, bound)
	return true
}

// opening notes that the folder is not open yet, though it should be.
func (h *History) opening() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cfg.Enabled && !h.on && h.off == "" {
		h.off = h.deps.Root + " is still being opened; look for a disk that is slow or does not answer"
	}
}

// close keeps no contacts from now on. why is the reason, unless the configuration has it so.
func (h *History) close(why string) {
	h.mu.Lock()
	news := h.off != why
	h.on, h.off = false, why
	h.mu.Unlock()
	if news && why != "" {
		h.deps.Note(true, "history: no contacts are kept: "+why)
	}
}

// rebound takes up another age and size of all files.
func (h *History) rebound(cfg *Config) {
	bound, err := h.size(cfg)
	if err != nil {
		h.deps.Note(true, "history: "+err.Error())
		return
	}
	h.mu.Lock()
	h.bound = bound
	s := h.store
	h.mu.Unlock()
	s.Reconfigure(cfg.Keep, int64(bound))
}

// size gives how much all files may have.
func (h *History) size(cfg *Config) (disk.Size, error) {
	if cfg.MaxBytes > 0 {
		return cfg.MaxBytes, nil
	}
	_, total, err := h.deps.Space(h.deps.Root) // may be a file system of its own
	if errors.Is(err, fs.ErrNotExist) {
		_, total, err = h.deps.Space(filepath.Dir(h.deps.Root))
	}
	if err != nil {
		return 0, fmt.Errorf("the size of its file system is not known (%w); set history.max_bytes", err)
	}
	n := room(h.deps.Edge, total)
	if n == 0 {
		return 0, fmt.Errorf("the file system of %s has only %d MB; set history.max_bytes to keep a smaller history, or history.enabled to false", h.deps.Root, total/1e6)
	}
	return n, nil
}

// NoticeName is the file that shows that the notice has been given. It is beside the folders
// of the files, for whoever finds these.
const NoticeName = "README.txt"

// notice makes known, once, that personal data is being kept from now on.
func (h *History) notice(cfg *Config, bound disk.Size) {
	path := filepath.Join(h.deps.Root, NoticeName)
	if _, err := h.disk.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	text := fmt.Sprintf("from now on every contact of our hosts with addresses outside is kept in %s, for %s and up to %s, readable by the user and the group of flowsnitch. "+
		"In many countries this is personal data: history.exclude in the configuration leaves out networks, 'flowsnitch history erase' removes what was kept of an address, "+
		"history.enabled: false turns it off; see flow/history/README.md in the documentation", h.deps.Root, clock.Days(cfg.Keep), bound)
	h.deps.Note(false, "history: "+text)
	err := h.disk.MkdirAll(h.deps.Root, 0o750)
	if err == nil {
		err = disk.Replace(h.disk, path, []byte("flowsnitch: "+text+".\n"), 0o640)
	}
	if err != nil {
		h.deps.Note(true, "history: the notice about personal data will be repeated at the next start: "+err.Error())
	}
}

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
	"github.com/flowsnitch/flowsnitch/flow/history/folder"
)

// Stats are what there is, as of the latest Write or Tidy, and what was done since the start.
type Stats struct {
	Files  [3]int    `json:"files" name:"history_files" help:"Files of the contact history." label:"level" values:"flush,hour,day"`
	Bytes  uint64    `json:"bytes" name:"history_bytes" help:"Size of all files of the contact history." show:"some" words:"bytes on disk"`
	Oldest time.Time `json:"oldest,omitzero" name:"history_oldest_seconds" help:"Age of the oldest contacts that are kept." if:"Bytes"`
	Bad    int       `json:"bad_files" name:"history_bad_files" help:"Damaged files that were set aside and are still there." show:"some" words:"damaged files"`

	Written     time.Time `json:"written,omitzero" name:"history_written_seconds" help:"Age of the latest contacts that were written."`
	Rows        uint64    `json:"rows" name:"history_contacts_total" help:"Contacts that were written, once for each interval."`
	WriteErrors uint64    `json:"write_errors" name:"history_write_errors_total" help:"Failed attempts to write contacts; they are tried again." show:"some" words:"write errors"`
	Refused     uint64    `json:"refused_for_space" name:"history_refused_total" help:"Attempts to write contacts that were refused, as the file system is nearly full." show:"some" words:"writes refused, as the disk is nearly full"`
	BadTotal    uint64    `json:"bad_files_total" name:"history_bad_files_total" help:"Damaged files that were found and set aside."`

	Merges      uint64 `json:"merges" name:"history_merges_total" help:"Merges of files to hours and days."`
	MergeErrors uint64 `json:"merge_errors" name:"history_merge_errors_total" help:"Failed merges; they are tried again." show:"some" words:"failed merges"`
	Waiting     int    `json:"waiting" name:"history_merge_waiting" help:"Files that are due to be merged."`

	AgedFiles   uint64 `json:"deleted_by_age" name:"history_deleted_total" help:"Files deleted, as they were too old or all were too many." with:"why=age"`
	PushedFiles uint64 `json:"deleted_by_bytes" name:"history_deleted_total" help:"Files deleted, as they were too old or all were too many." with:"why=bytes"`
	ErasedRows  uint64 `json:"erased" name:"history_erased_total" help:"Contacts erased on request."`

	// Trouble is what must be repaired; empty = nothing.
	Trouble string `json:"trouble,omitempty"`
}

// rank is the place of a level in Stats.Files.
func rank(l file.Level) int { return slices.Index([]file.Level{file.Flush, file.Hour, file.Day}, l) }

// Stats gives the counters.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.stats
	for _, p := range s.trouble {
		if t.Trouble == "" {
			t.Trouble = p.text
		}
	}
	return t
}

func (s *Store) count(add func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.stats)
}

// measure counts the files.
func (s *Store) measure(days []folder.Day) {
	var t Stats
	for _, d := range days {
		for _, e := range d.Files {
			t.Files[rank(e.Name.Level)]++
			if t.Oldest.IsZero() || e.Name.From.Before(t.Oldest) {
				t.Oldest = e.Name.From
			}
			if e.Name.To.After(t.Written) {
				t.Written = e.Name.To
			}
		}
		t.Bad += len(d.Bad)
		for _, e := range everything(d) {
			t.Bytes += uint64(e.Size)
		}
	}
	s.count(func(to *Stats) {
		to.Files, to.Bytes, to.Oldest, to.Bad = t.Files, t.Bytes, t.Oldest, t.Bad
		if to.Written.IsZero() {
			to.Written = t.Written
		}
	})
}

// everything is each file of a day that takes space.
func everything(d folder.Day) []folder.Entry { return slices.Concat(d.Files, d.Superseded, d.Bad) }

// What can fail, the more important first.
const (
	writing = iota
	merging
	removing
	kinds
)

var failed = [kinds]string{"contacts cannot be written", "files cannot be merged", "files cannot be removed"}
var recovered = [kinds]string{"contacts are written again", "files are merged again", "files are removed again"}

// A problem is what was reported; its zero value is none.
type problem struct{ text, remedy string }

// outcome notes that something has failed, or succeeded. It is reported once for each remedy,
// and once that it is over.
func (s *Store) outcome(what int, err error) {
	var now problem
	if err != nil {
		now = problem{fmt.Sprintf("%s: %s; %s", failed[what], line(err), remedy(err)), remedy(err)}
	}
	s.mu.Lock()
	before := s.trouble[what]
	s.trouble[what] = now
	s.mu.Unlock()
	switch {
	case now.remedy != before.remedy && err != nil:
		s.cfg.Report(true, now.text)
	case now != before && err == nil:
		s.cfg.Report(false, recovered[what])
	}
}

// line is an error that may be many, in one line: the first, and how many more there are.
func line(err error) string {
	first, more, _ := strings.Cut(err.Error(), "\n")
	if more == "" {
		return first
	}
	return fmt.Sprintf("%s (and %d more)", first, 1+strings.Count(more, "\n"))
}

// remedy is what to do about an error of the disk; empty without one.
func remedy(err error) string {
	is := func(errs ...error) bool {
		return slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) })
	}
	switch {
	case err == nil:
		return ""
	case is(ErrSpace, syscall.ENOSPC, syscall.EDQUOT):
		return "make room on the file system, or lower history.max_bytes"
	case is(syscall.EROFS):
		return "the file system is read-only; look for disk errors in the kernel log, then mount it for writing"
	case is(fs.ErrPermission):
		return "the folder and all in it must belong to the user of this process"
	case is(disk.ErrLocked):
		return "stop the other process that writes there"
	case is(syscall.EIO):
		return "the disk fails; look into the kernel log and check or replace it"
	case is(syscall.EMFILE, syscall.ENFILE):
		return "raise the limit of open files"
	case is(syscall.ENOTDIR, syscall.ELOOP):
		return "something else is in the place of a folder; remove it"
	case is(fs.ErrNotExist):
		return "a folder or a file was removed; do not touch the history while it is in use"
	}
	return "check the disk"
}

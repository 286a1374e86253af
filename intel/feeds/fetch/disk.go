package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Names in the folder of the feeds.
const (
	tempPattern = ".tmp-*"
	extGood     = ".good"  // the last good generation
	extHeld     = ".held"  // one that is held back
	extState    = ".state" // when the source was asked, see state
)

// fileOf gives the path of a feed's file. Names of feeds are free text.
func fileOf(dir, prefix, name, ext string) string {
	return filepath.Join(dir, prefix+url.PathEscape(name)+ext)
}

// replace gives a complete file its name in one step and sees to it that the name
// survives a power cut.
func replace(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir flushes a folder. Not every file system can, and none must.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}

// writeFile writes a small file in one step.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = replace(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// sweep removes what an earlier process left half written.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	prefix := strings.TrimSuffix(tempPattern, "*")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// remove removes a file that need not be there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

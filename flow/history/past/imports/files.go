package imports

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/flow/history/file"
)

// daysOf gives the folders of days that have files, as yyyy/mm/dd, oldest first.
func daysOf(f disk.FS, root string) ([]string, error) {
	days := []string{""}
	for range 3 {
		var deeper []string
		for _, d := range days {
			names, err := f.Names(filepath.Join(root, d))
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				if strings.Trim(n, "0123456789") == "" {
					deeper = append(deeper, filepath.Join(d, n))
				}
			}
		}
		days = deeper
	}
	var with []string
	for _, d := range days {
		files, err := filesOf(f, filepath.Join(root, d))
		if err != nil {
			return nil, err
		}
		if len(files) > 0 {
			with = append(with, d)
		}
	}
	slices.Sort(with)
	return with, nil
}

// filesOf gives the history files of one day, oldest first.
func filesOf(f disk.FS, day string) ([]file.Name, error) {
	names, err := f.Names(day)
	if err != nil {
		return nil, err
	}
	var files []file.Name
	for _, s := range names {
		if n, err := file.ParseName(s); err == nil {
			files = append(files, n)
		}
	}
	slices.SortFunc(files, func(a, b file.Name) int {
		if c := a.From.Compare(b.From); c != 0 {
			return c
		}
		return strings.Compare(a.String(), b.String())
	})
	return files, nil
}

// sizeOf adds up the files of a history.
func sizeOf(f disk.FS, root string) (files, bytes int64, err error) {
	days, err := daysOf(f, root)
	if err != nil {
		return 0, 0, err
	}
	for _, day := range days {
		names, err := filesOf(f, filepath.Join(root, day))
		if err != nil {
			return 0, 0, err
		}
		for _, n := range names {
			info, err := f.Stat(filepath.Join(root, day, n.String()))
			if err != nil {
				return 0, 0, err
			}
			files, bytes = files+1, bytes+info.Size()
		}
	}
	return files, bytes, nil
}

// removeTree removes a folder with all that is in it. Links are not followed.
func removeTree(f disk.FS, path string) error {
	info, err := f.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		names, err := f.Names(path)
		if err != nil {
			return err
		}
		// The mark of a complete addition goes last: before it, all is done again.
		slices.SortFunc(names, func(a, b string) int {
			switch {
			case a == complete:
				return 1
			case b == complete:
				return -1
			}
			return strings.Compare(a, b)
		})
		for _, name := range names {
			if err := removeTree(f, filepath.Join(path, name)); err != nil {
				return err
			}
		}
	}
	if err := f.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

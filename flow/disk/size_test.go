package disk

import "testing"

// TestSize: sizes are read with all units and written with the largest that fits.
func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "20GB": 20e9, "20gb": 20e9, "20 GB": 20e9, "64MiB": 64 << 20, "1000": 1000, "3kb": 3000, "3KiB": 3072, "2TB": 2e12, "1TiB": 1 << 40,
		"9223372036854775807": 1<<63 - 1,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%q is written %q, which is %d, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "GB", "-1", "1.5GB", "20GBB", "x", "1 2GB", "9223372036854775808", "9223372036855TB", "١GB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
	for size, want := range map[Size]string{0: "0", 1000: "1kB", 1024: "1KiB", 20e9: "20GB", 1 << 30: "1GiB", 1001: "1001"} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(size), got, want)
		}
	}
}

// TestSpace: a file system has a size, and no more free than that.
func TestSpace(t *testing.T) {
	free, total, err := Space(t.TempDir())
	if err != nil || total == 0 || free > total {
		t.Errorf("%d of %d free, %v", free, total, err)
	}
	if _, _, err := Space("/nowhere/at/all"); err == nil {
		t.Error("a path that is not there is no error")
	}
}

// TestSpare: what is left to others never takes more than a share of a small file system.
func TestSpare(t *testing.T) {
	for total, want := range map[uint64]uint64{0: 0, 300e6: 60e6, 2.5e9: 500e6, 4e9: 500e6, 10e9: 500e6, 100e9: 5e9, 200e9: 10e9, 4e12: 10e9} {
		if got := Spare(total); got != want {
			t.Errorf("of %d: %d, want %d", total, got, want)
		}
	}
}

package file

import (
	"testing"
	"time"
)

func TestNames(t *testing.T) {
	n := Name{From: time.Date(2026, 11, 29, 13, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 29, 14, 0, 0, 0, time.UTC), Level: Hour, Seq: 1, CRC: 0x9f3a01c2}
	const text = "c-20261129T130000Z-20261129T140000Z-h-1-9f3a01c2.parquet"
	if n.String() != text || n.Folder() != "2026/11/29" {
		t.Errorf("%s in %s", n, n.Folder())
	}
	if got, err := ParseName(text); err != nil || got != n {
		t.Errorf("%+v, %v", got, err)
	}
	// A local time is the same name.
	n.From = n.From.In(time.FixedZone("", 9*3600))
	if n.String() != text || n.Folder() != "2026/11/29" {
		t.Errorf("with a zone: %s in %s", n, n.Folder())
	}
	for _, bad := range []string{
		"", "c-", ".parquet", text + ".bad", text + ".tmp", "x" + text, "2026/" + text,
		"c-20261129T130000Z-20261129T140000Z-h.tmp",
		"c-20261129T130000Z-20261129T140000Z-h-1-9f3a01c2",
		"c-20261129T130000Z-20261129T140000Z-h-1-9F3A01C2.parquet",
		"c-20261129T130000Z-20261129T140000Z-h-1-3a01c2.parquet",
		"c-20261129T130000Z-20261129T140000Z-h-01-9f3a01c2.parquet",
		"c-20261129T130000Z-20261129T140000Z-h-0-9f3a01c2.parquet",
		"c-20261129T130000Z-20261129T140000Z-h-+1-9f3a01c2.parquet",
		"c-20261129T130000Z-20261129T140000Z-h-4294967296-9f3a01c2.parquet",
		"c-20261129T130000Z-20261129T140000Z-x-1-9f3a01c2.parquet",
		"c-20261129T130000Z-20261129T140000Z- -1-9f3a01c2.parquet",
		"c-20261129T130000Z-20261129T140000Z--1-9f3a01c2.parquet",
		"c-20261129T140000Z-20261129T130000Z-h-1-9f3a01c2.parquet",
		"c-20261129T130000.5Z-20261129T140000Z-h-1-9f3a01c2.parquet",
		"c-20261129T250000Z-20261129T260000Z-h-1-9f3a01c2.parquet",
	} {
		if got, err := ParseName(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("c-20261129T130000Z-20261129T140000Z-h-1-9f3a01c2.parquet")
	f.Add("c-00000101T000000Z-99991231T235959Z-d-4294967295-00000000.parquet")
	f.Add("c-20261129T130000,5Z-20261129T140000Z-f-1-9f3a01c2.parquet")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			if n != (Name{}) {
				t.Errorf("%q: %+v beside an error", s, n)
			}
			return
		}
		if n.String() != s {
			t.Errorf("%q was read as %q", s, n)
		}
		if n.To.Before(n.From) || n.Seq == 0 || n.Level != Flush && n.Level != Hour && n.Level != Day {
			t.Errorf("%q: %+v", s, n)
		}
	})
}

func TestMaySupersede(t *testing.T) {
	at := func(from, to int, level Level, seq uint32) Name {
		return Name{From: noon.Add(time.Duration(from) * time.Minute), To: noon.Add(time.Duration(to) * time.Minute), Level: level, Seq: seq}
	}
	hour := at(0, 60, Hour, 2)
	for _, c := range []struct {
		name Name
		want bool
	}{
		{at(0, 10, Flush, 1), true}, {at(50, 60, Flush, 1), true}, {at(0, 60, Flush, 2), true},
		{at(-1, 10, Flush, 1), false}, {at(50, 61, Flush, 1), false}, {at(60, 70, Flush, 1), false},
		{at(0, 60, Hour, 1), true}, {at(10, 20, Hour, 1), true}, {hour, false}, {at(0, 60, Day, 1), false},
	} {
		if got := hour.MaySupersede(c.name); got != c.want {
			t.Errorf("the hour may supersede %s: %t", c.name, got)
		}
	}
	if day := at(-720, 720, Day, 1); !day.MaySupersede(hour) || !day.MaySupersede(at(0, 10, Flush, 1)) {
		t.Error("the day cannot supersede its parts")
	}
}

package monthtest

import (
	"slices"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/history/row"
)

func TestDay(t *testing.T) {
	m := Month{Seed: 1, Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Rows: 200_000}
	busiest := m.Busiest(1)[0]
	for day := range 2 {
		var last row.Row
		count, v6, scans, met := 0, 0, 0, 0
		if err := m.Day(day, func(rows []row.Row) error {
			for i := range rows {
				if count > 0 && row.Compare(&last, &rows[i]) >= 0 {
					t.Fatalf("row %d is out of order:\n%+v\n%+v", count, last, rows[i])
				}
				last = rows[i]
				count++
				if last.Outside.Hi != 0 {
					v6++
				}
				if last.Direction == row.Inbound {
					scans++
				}
				if last.Outside.Addr().Unmap() == busiest {
					met++
				}
				if from := uint32(m.Start.AddDate(0, 0, day).Unix()); last.First < from || last.Last < last.First || last.Last >= from+86400 {
					t.Fatalf("day %d: %+v", day, last)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		near := func(what string, got, want int) {
			if got < want*9/10 || got > want*11/10 {
				t.Errorf("%s: %d, want about %d", what, got, want)
			}
		}
		near("rows", count, m.Rows)
		near("scans", scans, count/2)
		if v6 < count/20 || v6 > count/4 { // the busiest few decide
			t.Errorf("%d of %d are IPv6", v6, count)
		}
		if met < visits/2 {
			t.Errorf("the busiest has %d rows", met)
		}
	}
	var a, b []row.Row
	for _, to := range []*[]row.Row{&a, &b} {
		_ = m.Day(3, func(rows []row.Row) error { *to = append(*to, rows...); return nil })
	}
	if !slices.Equal(a, b) {
		t.Error("a day has other rows the second time")
	}
}

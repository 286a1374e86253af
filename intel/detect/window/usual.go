package window

import (
	"cmp"
	"slices"
)

// UsualDays is over how many days the median is taken.
const UsualDays = 28

// A Usual remembers the greatest count of a group in each window of the last 28 days. Windows
// here lie side by side: with one of six hours there are four a day. Counts below a limit are
// not kept, as if they were 0: they cannot make a rise unusual. The zero Usual is empty.
type Usual struct {
	high []high // by window
}

type high struct{ window, count uint32 }

// Note notes the count of a window, whose number is that of windows since 1970.
func (u *Usual) Note(window, count, least uint32, perDay uint32) {
	if count < least {
		return
	}
	i, found := slices.BinarySearchFunc(u.high, window, func(h high, w uint32) int { return cmp.Compare(h.window, w) })
	if found {
		u.high[i].count = max(u.high[i].count, count)
		return
	}
	u.high = slices.Insert(u.high, i, high{window, count})
	for len(u.high) > 0 && u.high[0].window+(UsualDays+1)*perDay < window {
		u.high = slices.Delete(u.high, 0, 1)
	}
}

// Median is that of the counts of the same window of the day over the days before, at most
// 28; days is how many are known.
func (u *Usual) Median(window, perDay uint32, days int) uint32 {
	days = min(days, UsualDays)
	if days <= 0 {
		return 0
	}
	counts := make([]uint32, days) // those that were not kept are 0
	n := 0
	for _, h := range u.high {
		if h.window < window && (window-h.window)%perDay == 0 && (window-h.window)/perDay <= uint32(days) {
			counts[n] = h.count
			n++
		}
	}
	slices.Sort(counts)
	return counts[days/2]
}

// Last is the latest window that something is kept of; 0 = none.
func (u *Usual) Last() uint32 {
	if len(u.high) == 0 {
		return 0
	}
	return u.high[len(u.high)-1].window
}

// Bytes is the memory that the counts take, beside the struct.
func (u *Usual) Bytes() int { return cap(u.high) * 8 }

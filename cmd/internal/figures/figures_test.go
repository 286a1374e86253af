package figures

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

type inner struct {
	Count uint64
	On    bool
}

type Embedded struct{ Deep int }

type sample struct {
	Embedded
	Name   string
	At     time.Time
	Addr   netip.Addr
	List   []inner
	Sizes  [2]uint64
	ByName map[string]inner
	Maybe  *inner
	secret uint64
}

// TestMissing: every field is filled and changed once, and what is not shown is named.
func TestMissing(t *testing.T) {
	var s, again sample
	Fill(&s, time.Unix(1, 0))
	Fill(&again, time.Unix(1, 0))
	if fmt.Sprint(s.ByName, s.List, s.Sizes, s.Deep) != fmt.Sprint(again.ByName, again.List, again.Sizes, again.Deep) || s.Deep == 0 || s.secret != 0 {
		t.Errorf("%+v is not %+v", s, again)
	}
	got := Missing(&s, func() string { return "" }, nil, nil)
	key := fmt.Sprintf("ByName[%s].", onlyKey(s.ByName))
	want := []string{"Addr", "At", key + "Count", key + "On", "Deep", "List[].Count", "List[].On", "Maybe.Count", "Maybe.On", "Name", "Sizes[]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = Missing(&s, func() string { return fmt.Sprint(s.Embedded, s.Name, s.Addr, s.List, s.Sizes, s.ByName, *s.Maybe) },
		Exempt{"List[].": "shown", "At": "hidden"}, nil)
	if want := []string{"exemption without need: List[]."}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if s.Deep != again.Deep || fmt.Sprint(s.ByName) != fmt.Sprint(again.ByName) {
		t.Errorf("changes stay: %+v", s)
	}
}

func onlyKey(m map[string]inner) string {
	for key := range m {
		return key
	}
	return ""
}

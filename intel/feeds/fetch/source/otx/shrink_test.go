package otx

import "testing"

// TestShrinkPage: no pulse is left out when the pages get smaller.
func TestShrinkPage(t *testing.T) {
	for _, tt := range []struct {
		at    string
		limit int
		want  string
	}{
		{"http://h/p?limit=20&page=3", 10, "http://h/p?limit=10&page=5"},
		{"http://h/p?limit=20&page=3", 7, "http://h/p?limit=7&page=6"}, // begins 5 pulses early
		{"http://h/p?limit=20&page=1", 5, "http://h/p?limit=5&page=1"},
		{"http://h/p?limit=5&page=3", 20, "http://h/p?limit=5&page=3"},
		{"http://h/p?page=3", 5, "http://h/p?page=3"},
		{"http://h/p?limit=x&page=0", 5, "http://h/p?limit=x&page=0"},
	} {
		if got := shrinkPage(tt.at, tt.limit); got != tt.want {
			t.Errorf("%s to %d: %s, want %s", tt.at, tt.limit, got, tt.want)
		}
	}
}

package app

import (
	"fmt"
	"slices"
	"testing"
)

// TestReloadSites: sites hold until a restart, because contacts are kept by their number, and
// the log of a reload names what it has not applied.
func TestReloadSites(t *testing.T) {
	const one = "intel: {feeds: []}\nsites: [{name: oslo, home: [10.0.0.0/8]}]\nexporters: [{name: edge-1, address: 192.0.2.1, site: oslo}]\n"
	f := startFiled(t, one)
	for _, change := range []struct {
		text string
		want []string
	}{
		{"intel: {feeds: []}\nsites: [{name: oslo, home: [10.0.0.0/9]}]\nexporters: [{name: edge-1, address: 192.0.2.1, site: oslo}]\n",
			[]string{"sites[0].home"}},
		{"intel: {feeds: []}\nsites: [{name: bergen, home: [10.0.0.0/8]}]\nexporters: [{name: edge-1, address: 192.0.2.1, site: bergen}]\n",
			[]string{"sites[0].name", "exporters[0].site"}},
		{"intel: {feeds: []}\nsites: [{name: oslo, home: [10.0.0.0/8]}, {name: bergen}]\nexporters: [{name: edge-1, address: 192.0.2.1, site: oslo}]\n",
			[]string{"sites"}},
		{one, nil},
	} {
		f.write(t, change.text)
		f.logs.TakeAll()
		if err := f.Reload(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, entry := range f.logs.FilterMessageSnippet("take effect after a restart").All() {
			for _, key := range entry.ContextMap()["keys"].([]any) {
				got = append(got, fmt.Sprint(key))
			}
		}
		if !slices.Equal(got, change.want) {
			t.Errorf("%s\nthe log names %q, want %q", change.text, got, change.want)
		}
	}
}

//go:build integration

package taxii

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// TestBinary: an indicator of a collection makes a flow a hit, and none once it is
// revoked.
func TestBinary(t *testing.T) {
	s := start(t)
	then := time.Now().Add(-time.Hour)
	s.add(t, newIndicator(1, then, "62.0.1.1"), newIndicator(2, then, "62.0.2.1"))
	i := instance.New(t, fmt.Sprintf(`
intel:
  feeds:
    - {name: medallion, url: "%s/taxii2/", user: %s, password: %s, interval: 10s, taxii: {collections: ["bad addresses"]}}
`, s.base, user, password))
	i.Start(t)
	listed := func(addr string) bool {
		out, _ := i.Try(t, "lookup", addr) // fails while it is not listed
		return strings.Contains(out, "is listed by medallion")
	}
	i.Until(t, "the collection is read", func() bool { return listed("62.0.1.1") && listed("62.0.2.1") })
	i.Contact(t, "62.0.1.1")
	i.Until(t, "a hit", func() bool { return len(i.Hits(t, `"kind":"hit"`, "62.0.1.1", `"feed":"medallion"`)) == 1 })

	revoked := newIndicator(2, then.Add(time.Minute), "62.0.2.1")
	revoked["revoked"] = true
	s.add(t, revoked)
	i.Until(t, "the revocation is known", func() bool { return !listed("62.0.2.1") })
	i.Contact(t, "62.0.2.1", "62.0.1.1")
	var st struct {
		Hits struct {
			Found uint64 `json:"found"`
		} `json:"hits"`
	}
	i.Until(t, "the second flow to the other", func() bool { return i.Status(t, &st) && st.Hits.Found == 2 })
	if lines := i.Hits(t, "62.0.2.1"); len(lines) != 0 {
		t.Errorf("hits of what is revoked:\n%s", strings.Join(lines, ""))
	}
}

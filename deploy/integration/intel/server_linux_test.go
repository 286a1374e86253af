//go:build integration || soak

package intel

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// A provider serves one list, and misbehaves when it is told to.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	answer   http.HandlerFunc
	requests []*http.Request
}

func provide(t testing.TB, answer http.HandlerFunc) *provider {
	p := &provider{answer: answer}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, r)
		answer := p.answer
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *provider) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests)
}

// serves gives n addresses of a generation, each in another place.
func serves(generation, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(listed(generation, n)) }
}

// listed are n addresses; those of two generations differ in all but the first.
func listed(generation, n int) []byte {
	b := []byte("62.0.0.1\n")
	for i := 1; i < n; i++ {
		b = fmt.Appendf(b, "%d.%d.%d.%d\n", 63+generation, i>>16, i>>8&0xff, i&0xff)
	}
	return b
}

// cut gives a compressed list of which the end is missing.
func cut(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(listed(1, 1000))
	_ = z.Close()
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write(b.Bytes()[:b.Len()/2])
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEndWhileStarting: a start that hangs, here at a list that nobody writes, does not
// keep the program from ending, and what hangs is named.
func TestEndWhileStarting(t *testing.T) {
	dir := shortDir(t)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	config := file(t, "f.yml", fmt.Sprintf("state_dir: %s\nlisten: [{udp: \"127.0.0.1:0\"}]\nweb: {listen: \"\"}\ncanary: {every: 0s}\n", dir))
	ctx, cancel := context.WithCancel(t.Context())
	var out, errOut syncBuffer
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"run", "-c", config, "--intel", pipe}, strings.NewReader(""), &out, &errOut)
	}()
	eventually(t, "it starts", func() bool {
		select {
		case c := <-code:
			code <- c
			return true // it refuses the pipe, which is as good
		default:
			r := command(t, "status", "-c", config)
			return r.code == exitDone
		}
	})
	cancel()
	select {
	case c := <-code:
		if c == exitDone {
			t.Errorf("exit code %d: %s", c, errOut.String())
		}
	case <-time.After(patience):
		t.Fatalf("it does not end: %s", errOut.String())
	}
	if end, err := syscall.Open(pipe, syscall.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
		syscall.Close(end) // lets go of the start
	}
}

// TestSignalsDuringFetch: SIGHUP while a feed never ends its answer reloads, any number of
// times, and the end comes at once.
func TestSignalsDuringFetch(t *testing.T) {
	asked, over := make(chan struct{}, 100), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "198.51.100.1")
		w.(http.Flusher).Flush()
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	defer server.Close()
	defer close(over)
	feeds := fmt.Sprintf("intel: {feeds: [{name: far, url: %q}]}", server.URL)
	i := startIn(t, shortDir(t), "203.0.113.9\n", feeds)
	<-asked
	update := make(chan result, 1)
	go func() { update <- command(t, "intel", "update", "-c", i.config) }()
	text := read(t, i.config)
	for n := range 3 {
		i.write(t, i.config, fmt.Sprintf("%shome: [10.%d.0.0/16]\n", text, n))
		hangUp(t)
		eventually(t, "a reload", func() bool { return strings.Count(i.err.String(), "info reloaded") > n })
	}
	select {
	case r := <-update:
		if r.code == exitDone && !strings.Contains(r.out, "far") {
			t.Errorf("the update says %+v", r)
		}
	case <-time.After(patience):
		t.Fatal("the update hangs")
	}
	begin := time.Now()
	if code := i.end(t); code != exitDone {
		t.Errorf("exit code %d: %s", code, i.err.String())
	}
	if d := time.Since(begin); d > patience {
		t.Errorf("the end took %v", d)
	}
}

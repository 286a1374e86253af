package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain keeps the feeds of the built-in configuration from asking their providers: no
// test of ours is worth a request to them. Loopback needs no proxy. Dates are printed in UTC,
// from before the first goroutine reads a clock; and no app outlives its test.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		os.Setenv(name, "http://127.0.0.1:9") // where nobody listens
	}
	os.Unsetenv(configVariable)
	packageConfig = "/nonexistent/flowsnitch.yml" // this machine may have the package
	time.Local = time.UTC
	code := m.Run()
	if left := leftRunning(); left != nil {
		fmt.Printf("FAIL: of an app that a test has started there is still\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leftRunning gives the stack of a goroutine of an app, if there is one that does not end.
func leftRunning() (stack []byte) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		all := make([]byte, 8<<20)
		stack = nil
		for g := range bytes.SplitSeq(all[:runtime.Stack(all, true)], []byte("\n\n")) {
			if bytes.Contains(g, []byte("/cmd/internal/app.")) {
				stack = g
			}
		}
		if stack == nil {
			return nil
		}
	}
	return stack
}

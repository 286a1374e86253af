package main

import (
	"os"
	"testing"
)

// TestMain keeps the feeds of the built-in configuration from asking their providers: no
// test of ours is worth a request to them. Loopback needs no proxy.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		os.Setenv(name, "http://127.0.0.1:9") // where nobody listens
	}
	os.Unsetenv(configVariable)
	packageConfig = "/nonexistent/flowsnitch.yml" // this machine may have the package
	os.Exit(m.Run())
}

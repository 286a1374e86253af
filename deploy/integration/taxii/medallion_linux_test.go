//go:build integration

package taxii

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

const (
	user, password = "analyst", "not-a-secret"
	collection     = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
	second         = "64993447-4d7e-4f70-b94d-d7f33742ee63" // another collection that can be read
	mediaType      = "application/taxii+json;version=2.1"
	version        = "medallion==3.0.0"
	// patience detects what hangs; it says nothing about speed.
	patience = time.Minute
)

// A server is a running medallion.
type server struct{ base string }

// install gives the program in a virtual environment that is made once.
func install(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "flowsnitch", version)
	program := filepath.Join(dir, "bin", "medallion")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if run(t, "python3", "-m", "venv", dir) != nil {
		if os.Geteuid() != 0 {
			t.Fatal("python3 with venv is needed: apt-get install python3-venv")
		}
		_ = run(t, "apt-get", "update", "-qq")
		_ = run(t, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "python3-venv")
		if err := run(t, "python3", "-m", "venv", dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t, filepath.Join(dir, "bin", "pip"), "install", "-q", version); err != nil {
		t.Fatal(err)
	}
	return program
}

func run(t *testing.T, name string, args ...string) error {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Logf("%s: %v\n%s", name, err, out)
	}
	return err
}

// start runs a server with two empty collections that can be read, and one that cannot, two
// objects a page at most.
func start(t *testing.T) server {
	t.Helper()
	program := install(t)
	dir := t.TempDir()
	port := strconv.Itoa(instance.FreePort(t))
	s := server{base: "http://127.0.0.1:" + port}
	kind := []string{"application/stix+json;version=2.1"}
	write(t, filepath.Join(dir, "data.json"), map[string]any{
		"/discovery": map[string]any{"title": "test", "default": s.base + "/trust/", "api_roots": []string{s.base + "/trust/"}},
		"trust": map[string]any{
			"information": map[string]any{"title": "trust", "versions": []string{mediaType}, "max_content_length": 1 << 20},
			"status":      []any{},
			"collections": []any{
				map[string]any{"id": collection, "title": "bad addresses", "can_read": true, "can_write": true,
					"media_types": kind, "objects": []any{}, "manifest": []any{}},
				map[string]any{"id": second, "title": "more bad addresses", "can_read": true, "can_write": true,
					"media_types": kind, "objects": []any{}, "manifest": []any{}},
				map[string]any{"id": "52892447-4d7e-4f70-b94d-d7f22742ff63", "title": "closed", "can_read": false, "can_write": true,
					"media_types": kind, "objects": []any{}, "manifest": []any{}},
			},
		},
	})
	config := filepath.Join(dir, "config.json")
	write(t, config, map[string]any{
		"backend": map[string]any{"module": "medallion.backends.memory_backend", "module_class": "MemoryBackend",
			"filename": filepath.Join(dir, "data.json")},
		"users": map[string]string{user: password},
		"taxii": map[string]int{"max_page_size": 2},
	})
	instance.Serve(t, program, "--port", port, config)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("medallion does not listen: %v", err)
		}
	}
}

func write(t *testing.T, path string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An indicator is one version of a STIX indicator.
type indicator map[string]any

// version makes a version of indicator n that names an address.
func newIndicator(n int, modified time.Time, addr string) indicator {
	at := modified.UTC().Format("2006-01-02T15:04:05.000Z")
	return indicator{
		"type": "indicator", "spec_version": "2.1", "id": fmt.Sprintf("indicator--00000000-0000-4000-8000-%012d", n),
		"created": "2026-01-01T00:00:00.000Z", "modified": at, "name": "test", "indicator_types": []string{"malicious-activity"},
		"pattern": "[ipv4-addr:value = '" + addr + "']", "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z",
	}
}

// add posts indicators to the first collection.
func (s server) add(t *testing.T, list ...indicator) {
	t.Helper()
	s.addTo(t, collection, list...)
}

// addTo posts indicators, each in a request of its own: the server notes the time of the
// request.
func (s server) addTo(t *testing.T, collection string, list ...indicator) {
	t.Helper()
	for _, i := range list {
		body, err := json.Marshal(map[string]any{"objects": []any{i}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodPost, s.base+"/trust/collections/"+collection+"/objects/", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", mediaType)
		r.Header.Set("Accept", mediaType)
		r.SetBasicAuth(user, password)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			t.Fatalf("post: %s\n%s", resp.Status, answer)
		}
	}
}

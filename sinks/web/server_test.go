package web

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// TestValidate: nothing is open to others by accident.
func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, ""},
		{Config{Listen: "127.0.0.1:8055"}, ""},
		{Config{Listen: "[::1]:8055"}, ""},
		{Config{Listen: "localhost:0"}, ""},
		{Config{Listen: "8055"}, "listen: "},
		{Config{Listen: ":8055"}, "listen: :8055 is reachable by others"},
		{Config{Listen: "0.0.0.0:8055"}, "is reachable by others"},
		{Config{Listen: "192.0.2.1:8055", TokenFile: "t"}, ""}, // a tunnel or a proxy may be there
		{Config{Listen: "192.0.2.1:8055", TokenFile: "t", TLS: TLS{Cert: "c", Key: "k"}}, ""},
		{Config{Listen: "192.0.2.1:8055", TLS: TLS{Cert: "c", Key: "k", ClientCA: "a"}}, ""},
		{Config{Listen: "127.0.0.1:1", TLS: TLS{Cert: "c"}}, "tls.key: "},
		{Config{Address: "https://flowsnitch.example/"}, ""},
		{Config{Address: "http://[2001:db8::1]:8055/x"}, ""},
		{Config{Address: "flowsnitch.example"}, "address: "},
		{Config{Address: "javascript:alert(1)"}, "address: "},
		{Config{Address: "https:///x"}, "address: "},
		{Config{Address: "https://a:b@flowsnitch.example"}, "without user"},
		{Config{Address: "https://flowsnitch.example/?x"}, "address: "},
		{Config{Address: "https://flowsnitch.example/#x"}, "address: "},
		{Config{Listen: "127.0.0.1:1", TLS: TLS{ClientCA: "c"}}, "tls.cert: "},
	} {
		err := tt.cfg.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%+v: %v, want %q", tt.cfg, err, tt.want)
		}
	}
}

// TestToken: pages want the token, which can be renewed; what is open does not.
func TestToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	s := NewServer(Config{Listen: "127.0.0.1:0", TokenFile: file})
	ok := JSON(func() (int, any) { return http.StatusOK, "well" })
	s.Serve([]observe.Route{{Method: "GET", Path: "/page", Role: observe.Reader, Handler: ok}})
	s.Serve([]observe.Route{{Method: "GET", Path: "/open", Role: observe.Public, Handler: ok}})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(t.Context())
	ask := func(method, path, token string) int {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+s.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, tt := range []struct {
		method, path, token string
		want                int
	}{
		{"GET", "/page", "Bearer first", 200}, {"GET", "/page", "", 401}, {"GET", "/page", "Bearer firs", 401}, {"GET", "/page", "Basic first", 401},
		{"GET", "/open", "", 200}, {"POST", "/open", "", 405}, {"GET", "/none", "", 404}, {"GET", "/../page", "", 401},
	} {
		if got := ask(tt.method, tt.path, tt.token); got != tt.want {
			t.Errorf("%s %s with %q: %d, want %d", tt.method, tt.path, tt.token, got, tt.want)
		}
	}
	write("second")
	if ask("GET", "/page", "Bearer first") != 401 || ask("GET", "/page", "Bearer second") != 200 {
		t.Error("a token that was renewed")
	}
	write("\n")
	if ask("GET", "/page", "Bearer ") != 401 {
		t.Error("an empty token lets in")
	}
}

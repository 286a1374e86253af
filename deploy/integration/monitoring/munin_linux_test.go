//go:build integration

package monitoring

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// group stands in for the group flowsnitch, which the package makes: any that every Debian
// has will do.
const group = "operator"

// letIn gives a folder to the group, and lets everybody pass to it.
func letIn(t *testing.T, dir string, files ...string) {
	t.Helper()
	g, err := user.LookupGroup(group)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, dir) {
		if err := os.Chown(path, 0, gid); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range files {
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	// With the bit for the group, what is made there is of the group too: the socket.
	if err := os.Chmod(dir, 0o750|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
}

// copyFile makes a copy that everybody may run.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	instance.WriteFile(t, to, instance.ReadFile(t, from))
	if err := os.Chmod(to, 0o755); err != nil {
		t.Fatal(err)
	}
}

// muninFolder makes what is /etc/munin: the plugin under its name, and once more as
// somebody who is not in the group.
func muninFolder(t *testing.T, dir string, port int, config string) {
	t.Helper()
	for _, folder := range []string{"plugins", "plugin-conf.d"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "flowsnitch")
	copyFile(t, instance.Binary(t, "flowsnitch"), program)
	copyFile(t, file("munin", "flowsnitch"), filepath.Join(dir, "plugins", "flowsnitch"))
	if err := os.Symlink("flowsnitch", filepath.Join(dir, "plugins", "flowsnitch_outside")); err != nil {
		t.Fatal(err)
	}
	conf := instance.Replace(t, instance.ReadFile(t, file("munin", "flowsnitch.conf")), "\ngroup flowsnitch", "\ngroup "+group)
	conf = instance.Replace(t, conf, "/etc/flowsnitch/flowsnitch.yml", config)
	conf = instance.Replace(t, conf, "# env.program /usr/local/bin/flowsnitch", "env.program /etc/munin/flowsnitch")
	outside := instance.Replace(t, instance.Replace(t, conf, "[flowsnitch]", "[flowsnitch_outside]"), "\ngroup "+group, "")
	instance.WriteFile(t, filepath.Join(dir, "plugin-conf.d", "flowsnitch"), conf+outside)
	instance.WriteFile(t, filepath.Join(dir, "munin-node.conf"), fmt.Sprintf(`
log_file %s/node.log
pid_file %s/node.pid
background 0
setsid 0
user root
group root
host 127.0.0.1
port %d
allow ^127\.0\.0\.1$
`, dir, dir, port))
}

// inPlace makes a command that sees a folder as /etc/munin, which munin-node has built in.
func inPlace(dir string, args ...string) *exec.Cmd {
	script := `mount --bind "$0" /etc/munin && exec "$@"`
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, dir}, args...)...)
}

// A node is a conversation with munin-node.
type node struct {
	conn net.Conn
	in   *bufio.Reader
}

// dialNode connects, as the server of Munin does.
func dialNode(port int) (*node, error) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(instance.Patience))
	n := &node{conn, bufio.NewReader(conn)}
	_, err = n.in.ReadString('\n') // the greeting
	return n, err
}

// line asks for what is answered with one line.
func (n *node) line(t *testing.T, command string) string {
	t.Helper()
	fmt.Fprintln(n.conn, command)
	line, err := n.in.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(line)
}

// lines asks for what ends with a dot, and gives the lines by graph and first word.
func (n *node) lines(t *testing.T, command string) map[string]string {
	t.Helper()
	fmt.Fprintln(n.conn, command)
	lines, graph := make(map[string]string), ""
	for {
		line, err := n.in.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v after %q", command, err, lines)
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case ".":
			return lines
		case "multigraph":
			graph = strings.TrimPrefix(rest, "flowsnitch_")
		default:
			lines[graph+" "+word] = rest
		}
	}
}

// values asks a plugin for its values.
func values(t *testing.T, port int, plugin string) map[string]string {
	t.Helper()
	n, err := dialNode(port)
	if err != nil {
		t.Fatal(err)
	}
	defer n.conn.Close()
	if got := n.line(t, "cap multigraph"); !strings.Contains(got, "multigraph") {
		t.Fatalf("cap: %s", got)
	}
	return n.lines(t, "fetch "+plugin)
}

// TestMunin asks a munin-node as the server of Munin does, while wires are pulled.
func TestMunin(t *testing.T) {
	t.Parallel()
	i, log := newInstance(t, "")
	letIn(t, i.Dir, i.Config)
	stop := serveLog(t, log)
	i.Start(t)
	i.Contact(t, "62.0.0.53")

	dir, port := t.TempDir(), instance.FreePort(t)
	muninFolder(t, dir, port, i.Config)
	if out, err := inPlace(dir, "munin-run", "flowsnitch", "autoconf").CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "yes" {
		t.Errorf("autoconf: %v\n%s", err, out)
	}
	d := launch(t, inPlace(dir, "munin-node"))
	var n *node
	d.until(t, "munin-node answers", func() any { return "nothing" }, func() (ok bool) {
		var err error
		n, err = dialNode(port)
		return err == nil
	})
	defer n.conn.Close()
	n.line(t, "cap multigraph")
	if got := n.line(t, "list"); !strings.Contains(got+" ", "flowsnitch ") {
		t.Errorf("list: %q", got)
	}
	config := n.lines(t, "config flowsnitch")
	if config["flows v9.type"] != "DERIVE" || config["checks sinks.critical"] != "1.5" || config["memory graph_category"] != "network" {
		t.Errorf("config: %q", config)
	}

	var got map[string]string
	show := func() any { return got }
	fetched := func(plugin string, want ...string) func() bool {
		return func() bool {
			got = values(t, port, plugin)
			for _, w := range want {
				if key, value, _ := strings.Cut(w, "="); got[key] != value {
					return false
				}
			}
			return true
		}
	}
	well := fetched("flowsnitch", "checks answers.value=0", "checks sinks.value=0", "checks canary.value=0", "flows v5.value=1", "losses kernel.value=0")
	d.until(t, "all is well, and every line has its value", show, func() bool {
		ok := well()
		for key := range config {
			if field, is := strings.CutSuffix(key, ".label"); is {
				ok = ok && got[field+".value"] != "" && got[field+".value"] != "U"
			}
		}
		return ok
	})
	d.until(t, "who is not in the group learns nothing", show, fetched("flowsnitch_outside", "checks answers.value=U", "checks sinks.value=U", "flows v5.value=U"))
	if text := instance.ReadFile(t, filepath.Join(dir, "node.log")); !strings.Contains(text, "ermission") {
		t.Errorf("the log of munin-node does not say why:\n%s", text)
	}

	stop()
	d.until(t, "a sink fails", show, fetched("flowsnitch", "checks sinks.value=1"))
	if cause := got["checks sinks.extinfo"]; !strings.Contains(cause, "cannot deliver") {
		t.Errorf("the cause of a failing sink is %q", cause)
	}
	serveLog(t, log)
	d.until(t, "the sink is well", show, fetched("flowsnitch", "checks sinks.value=0", "checks sinks.extinfo="))

	i.Kill()
	d.until(t, "the instance is gone", show, fetched("flowsnitch", "checks answers.value=2", "checks sinks.value=U", "flows v5.value=U"))
	i.Start(t)
	d.until(t, "it is back", show, fetched("flowsnitch", "checks answers.value=0", "checks sinks.value=0", "flows v5.value=0"))
}

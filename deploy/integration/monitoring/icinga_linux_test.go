//go:build integration

package monitoring

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs/authority"
	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// icinga makes the command that runs Icinga in a folder, with objects in addition to its
// own templates and to flowsnitch.conf.
func icinga(t *testing.T, dir, rules, objects string, options ...string) *exec.Cmd {
	t.Helper()
	instance.WriteFile(t, filepath.Join(dir, "flowsnitch.conf"), rules)
	instance.WriteFile(t, filepath.Join(dir, "objects.conf"), objects)
	main := instance.WriteFile(t, filepath.Join(dir, "icinga2.conf"), `
const PluginDir = "/usr/lib/nagios/plugins"
const NodeName = "here"
include <itl>
include <plugins>
object Endpoint NodeName {}
object Zone NodeName { endpoints = [ NodeName ] }
include "flowsnitch.conf"
include "objects.conf"
`)
	args := append([]string{"daemon", "-c", main}, options...)
	for constant, path := range map[string]string{
		"DataDir": "data", "LogDir": "log", "CacheDir": "cache", "SpoolDir": "spool", "InitRunDir": "run",
		"PidPath": "run/pid", "VarsPath": "cache/vars", "ObjectsPath": "cache/objects",
		"StatePath": "data/state", "ModAttrPath": "data/modified",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-D", constant+"="+path)
	}
	for _, folder := range []string{"data", "log", "cache", "spool", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("icinga2", args...)
	cmd.Env = append(os.Environ(), "ICINGA2_USER=root", "ICINGA2_GROUP=root")
	return cmd
}

// TestIcingaFiles: Icinga takes the files as they are, the example for an agent too.
func TestIcingaFiles(t *testing.T) {
	t.Parallel()
	rules, hosts := instance.ReadFile(t, file("icinga", "flowsnitch.conf")), instance.ReadFile(t, file("icinga", "hosts.conf"))
	before, agent, _ := strings.Cut(hosts, "// object Host")
	agent = instance.Replace(t, instance.Replace(t, agent, "\n// ", "\n"), "= name\n", "= name\nzone = NodeName\n") // as from zones.d
	hosts = before + "object Host" + agent + `
object Endpoint "flowsnitch-agent" {}
object Zone "flowsnitch-agent" { endpoints = [ "flowsnitch-agent" ]; parent = NodeName }
`
	out, err := icinga(t, t.TempDir(), rules, hosts, "-C").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Instantiated 4 Hosts") || !strings.Contains(string(out), "Instantiated 6 Services") {
		t.Errorf("%v\n%s", err, out)
	}
}

// sshHost runs an SSH server for root, and gives its port and the key that it takes.
func sshHost(t *testing.T) (port int, key string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // the package's unit makes it
		t.Fatal(err)
	}
	key = filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	port = instance.FreePort(t)
	config := instance.WriteFile(t, filepath.Join(dir, "sshd_config"), fmt.Sprintf(
		"ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nAuthorizedKeysFile %s.pub\nStrictModes no\nUsePAM no\nPidFile none\n", port, key, key))
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		t.Fatal(err)
	}
	launch(t, exec.Command(sshd, "-D", "-e", "-f", config))
	return port, key
}

// A verdict is what Icinga knows of a service.
type verdict struct{ state, output, perfdata string }

// A monitor is a running Icinga.
type monitor struct {
	*daemon
	dir string
}

// verdicts gives the last one of each service.
func (m *monitor) verdicts() map[string]verdict {
	paths, _ := filepath.Glob(filepath.Join(m.dir, "services.*"))
	slices.Sort(paths) // by time
	known := make(map[string]verdict)
	for _, p := range paths {
		b, _ := os.ReadFile(p)
		for line := range strings.Lines(string(b)) {
			if part := strings.Split(strings.TrimSpace(line), "\t"); len(part) == 5 && part[0] == "service" {
				known[part[1]] = verdict{part[2], part[4], part[3]}
			}
		}
	}
	return known
}

// all waits until services have a state, with a part of a text in their output.
func (m *monitor) all(t *testing.T, state, text string, services ...string) {
	t.Helper()
	m.until(t, fmt.Sprintf("%s %q of %v", state, text, services), func() any { return m.verdicts() }, func() bool {
		known := m.verdicts()
		return !slices.ContainsFunc(services, func(name string) bool {
			return known[name].state != state || !strings.Contains(known[name].output, text)
		})
	})
}

// perfdata waits until Icinga has read performance data of a service that are as they
// should be. Of a check that the busy machine was too slow for it has none.
func (m *monitor) perfdata(t *testing.T, service, what string, ok func(string) bool) {
	t.Helper()
	m.until(t, what+" of "+service, func() any { return m.verdicts() }, func() bool { return ok(m.verdicts()[service].perfdata) })
}

// TestIcinga pulls one wire after another.
func TestIcinga(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), authority.New(t)
	cert, key := ca.Issue(t)
	port, token := instance.FreePort(t), instance.WriteFile(t, filepath.Join(dir, "token"), "a3f1c09be2\n")
	i, log := newInstance(t, fmt.Sprintf(`web: {listen: "127.0.0.1:%d", token_file: %s, tls: {cert: %s, key: %s}}`, port, token, cert, key))
	stop := serveLog(t, log)
	i.Start(t)

	sshPort, sshKey := sshHost(t)
	ours := instance.WriteFile(t, filepath.Join(dir, "ours"), "a3f1c09be2\n")
	rules := instance.Replace(t, instance.ReadFile(t, file("icinga", "flowsnitch.conf")), "/usr/bin/flowsnitch", instance.Binary(t, "flowsnitch"))
	rules = instance.Replace(t, instance.Replace(t, rules, "check_interval = 1m", "check_interval = 1s"), "retry_interval = 30s", "retry_interval = 1s")
	m := &monitor{dir: dir}
	m.daemon = launch(t, icinga(t, dir, rules, fmt.Sprintf(`
object CheckerComponent "checker" {}
object PerfdataWriter "results" {
	service_perfdata_path = "%[1]s/services"
	service_temp_path = "%[1]s/services-new"
	host_perfdata_path = "%[1]s/hosts"
	host_temp_path = "%[1]s/hosts-new"
	service_format_template = "service\t$host.name$!$service.name$\t$service.state$\t$service.perfdata$\t$service.output$"
	rotation_interval = 1s
}
object Host "here" {
	check_command = "dummy"
	vars.flowsnitch_config = "%[2]s"
	vars.flowsnitch["health"] = {}
	vars.flowsnitch["some"] = {
		flowsnitch_checks = [ "workers", "templates" ]
		flowsnitch_warning = [ "workers=@100:200", "templates=~:1" ]
		flowsnitch_critical = "workers=600"
		flowsnitch_timeout = 5
	}
}
object Host "remote" {
	check_command = "dummy"
	vars.flowsnitch_url = "https://127.0.0.1:%[3]d"
	vars.flowsnitch_token_file = "%[4]s"
	vars.flowsnitch_ca_file = "%[5]s"
	vars.flowsnitch["health"] = {}
}
object Host "ssh" {
	check_command = "dummy"
	address = "127.0.0.1"
	vars.flowsnitch_ssh = true
	vars.by_ssh_port = %[6]d
	vars.by_ssh_logname = "root"
	vars.by_ssh_identity = "%[7]s"
	vars.by_ssh_quiet = true
	vars.by_ssh_options = [ "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null" ]
	vars.flowsnitch_config = "%[2]s"
	vars.flowsnitch["health"] = {}
	vars.flowsnitch["some"] = {
		flowsnitch_checks = [ "workers" ]
		flowsnitch_warning = "@100:200"
		flowsnitch_critical = "~:600"
	}
}
`, dir, i.Config, port, ours, ca.File, sshPort, sshKey)))

	health := []string{"here!flowsnitch-health", "remote!flowsnitch-health", "ssh!flowsnitch-health"}
	every := append([]string{"here!flowsnitch-some", "ssh!flowsnitch-some"}, health...)
	m.all(t, "OK", "FLOWSNITCH OK - ", every...)
	for name, labels := range map[string]string{
		"here!flowsnitch-health":   "canary clock exporters feeds history incidents loss report rules silence sinks spool templates workers",
		"remote!flowsnitch-health": "canary clock exporters feeds history incidents loss report rules silence sinks spool templates workers",
		"here!flowsnitch-some":     "templates workers",
	} {
		m.perfdata(t, name, "the values of "+labels, func(got string) bool { return labelsOf(got) == labels })
	}
	for _, name := range []string{"here!flowsnitch-some", "ssh!flowsnitch-some"} {
		m.perfdata(t, name, "the ranges", func(got string) bool {
			return strings.Contains(got, "s;@100:200;") && strings.Contains(got, "600;0")
		})
	}

	stop()
	m.all(t, "WARNING", "cannot deliver", health...)
	m.all(t, "OK", "", "here!flowsnitch-some")
	serveLog(t, log)
	m.all(t, "OK", "", health...)

	instance.WriteFile(t, ours, "wrong\n")
	m.all(t, "UNKNOWN", "--token-file", "remote!flowsnitch-health")
	instance.WriteFile(t, ours, "a3f1c09be2\n")
	m.all(t, "OK", "", "remote!flowsnitch-health")

	i.Kill()
	m.all(t, "CRITICAL", "", every...)
	m.all(t, "CRITICAL", "no running instance", "here!flowsnitch-health", "ssh!flowsnitch-health")
	i.Start(t)
	m.all(t, "OK", "", every...)
}

// labelsOf gives the labels of performance data, sorted.
func labelsOf(perfdata string) string {
	labels := make(map[string]bool)
	for value := range strings.FieldsSeq(perfdata) {
		label, _, _ := strings.Cut(value, "=")
		labels[strings.Trim(label, "'")] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(labels)), " ")
}

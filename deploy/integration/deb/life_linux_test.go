//go:build integration

package deb

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// here gives Debian's name of the architecture that runs the test.
func here(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH == "arm" {
		return "armhf"
	}
	if _, ok := limits[runtime.GOARCH]; !ok {
		t.Skipf("there is no package for %s", runtime.GOARCH)
	}
	return runtime.GOARCH
}

const (
	config = "/etc/flowsnitch/flowsnitch.yml"
	hitLog = "/var/log/flowsnitch/hits.json"
)

// TestLife: installed, run, upgraded, removed and purged.
func TestLife(t *testing.T) {
	m := newMachine(t)
	before := m.files(t)
	m.put(t, packageOf(t, here(t)), "tmp/old.deb")
	repack(t, m.path("tmp/old.deb"), m.path("tmp/new.deb"))

	m.sh(t, "dpkg -i /tmp/old.deb")
	t.Run("installed", func(t *testing.T) { testInstalled(t, m) })
	t.Run("unit", func(t *testing.T) { testUnit(t, m) })

	m.sh(t, "sed -i 's#^  deny: \\[\\].*#  deny: [203.0.113.0/24]#' "+config)
	t.Run("first hit", func(t *testing.T) { testHit(t, m, "1") })
	t.Run("upgrade", func(t *testing.T) { testUpgrade(t, m) })
	t.Run("hit after the upgrade", func(t *testing.T) { testHit(t, m, "2") })

	t.Run("remove", func(t *testing.T) {
		kept := m.sh(t, "md5sum "+config+" "+hitLog)
		m.sh(t, "dpkg -r flowsnitch")
		if got := m.sh(t, "md5sum "+config+" "+hitLog); got != kept {
			t.Errorf("configuration and log before\n%safter\n%s", kept, got)
		}
		m.sh(t, "! test -e /usr/bin/flowsnitch")
	})
	t.Run("purge", func(t *testing.T) {
		m.sh(t, "dpkg -P flowsnitch; ! getent passwd flowsnitch; ! getent group flowsnitch")
		if got := m.files(t); !slices.Equal(got, before) {
			t.Errorf("left behind: %v\ngone: %v", without(got, before), without(before, got))
		}
	})
}

// files lists the root but for what dpkg keeps on its own doings, and copies of the
// lists of users.
func (m *machine) files(t *testing.T) []string {
	t.Helper()
	own := regexp.MustCompile(`^/(proc|tmp|run|dev)/|^/var/(lib/dpkg|cache|log/(dpkg|apt))|^/etc/\w+-$|^/etc/\.pwd\.lock$`)
	var list []string
	err := filepath.WalkDir(m.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, m.dir)
		if own.MatchString(name) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		list = append(list, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// repack makes the package of a later version whose configuration has another comment.
func repack(t *testing.T, old, to string) {
	t.Helper()
	dir := t.TempDir()
	output(t, "bash", "-euc", `
dpkg-deb -R "$0" "$1/x"
sed -i 's/^Version: .*/Version: 2.0.0/' "$1/x/DEBIAN/control"
echo '# a word of version 2' >> "$1/x/etc/flowsnitch/flowsnitch.yml"
dpkg-deb -Znone --root-owner-group -b "$1/x" "$2"`, old, dir, to)
}

// testInstalled looks at what the package has put where, and whether it works.
func testInstalled(t *testing.T, m *machine) {
	for _, script := range []string{
		`test "$(getent passwd flowsnitch | cut -d: -f6,7)" = /var/lib/flowsnitch:/usr/sbin/nologin`,
		`test "$(stat -c '%U:%G %a' /etc/flowsnitch/flowsnitch.yml)" = 'root:flowsnitch 640'`,
		`test "$(stat -c '%U:%G %a' /etc/flowsnitch)" = 'root:flowsnitch 750'`,
		`test "$(stat -c '%U:%G %a' /var/lib/flowsnitch)" = 'flowsnitch:flowsnitch 750'`,
		`test "$(stat -c '%U:%G %a' /var/log/flowsnitch)" = 'flowsnitch:flowsnitch 750'`,
		`test -L /etc/systemd/system/multi-user.target.wants/flowsnitch.service`,
		`dpkg --verify flowsnitch`,
		`dpkg-query -W -f '${Conffiles}' flowsnitch | grep -c . | grep -qx 3`,
		`setpriv --reuid flowsnitch --regid flowsnitch --clear-groups flowsnitch config check -c ` + config,
		`logrotate -d /etc/logrotate.d/flowsnitch`,
		`bash -n /usr/share/bash-completion/completions/flowsnitch`,
		`flowsnitch __complete conf | grep -q ^config`,
		`flowsnitch version | grep -q ' ` + version + ` '`,
		// A page for each command that the help tells of.
		`for c in $(flowsnitch --help | sed -n '/^Available Commands/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
			test $c = help || gzip -t /usr/share/man/man1/flowsnitch-$c.1.gz; done`,
	} {
		if out, err := m.try(script); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// testUnit: systemd takes the unit, and gives it a good mark. Its figure is ten times
// that of its table: 1.5 is the most that we allow.
func testUnit(t *testing.T, m *machine) {
	m.sh(t, "systemd-analyze verify --man=no flowsnitch.service")
	out := m.sh(t, "systemd-analyze security --no-pager --offline=true --threshold=15 flowsnitch.service")
	t.Log(strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
}

// testHit runs the service by hand, as its user, until a synthetic exporter has made it
// find something new.
func testHit(t *testing.T, m *machine, seed string) {
	m.put(t, instance.Binary(t, "flowgen"), "tmp/flowgen")
	m.sh(t, "systemctl start flowsnitch")
	before := strings.Count(m.log(), `"kind":"hit"`)
	m.sh(t, fmt.Sprintf(`
/tmp/flowgen --to 127.0.0.1:2055 --home 10.0.0.0/8 --hits 1 --hit-list 203.0.113.0/24 --flows 10 --count 10 --seed %s
for i in $(seq 600); do test "$(grep -c '"kind":"hit"' %s)" -gt %d && exit 0; sleep 0.1; done
cat /run/flowsnitch.log
exit 1`, seed, hitLog, before))
	m.sh(t, "flowsnitch status -c "+config+"; systemctl stop flowsnitch")
}

func (m *machine) log() string {
	b, _ := os.ReadFile(m.path(hitLog))
	return string(b)
}

// testUpgrade: an upgrade asks nothing, and keeps what the administrator has changed
// and what the program knows.
func testUpgrade(t *testing.T, m *machine) {
	m.sh(t, "chmod 0644 "+config+"; rm /etc/logrotate.d/flowsnitch")
	const known = "stat -c '%n %U %G %a' " + config + "; find /var/lib/flowsnitch /var/log/flowsnitch " + config + " -type f | sort | xargs md5sum"
	before := m.sh(t, known)
	if n := strings.Count(before, "/var/lib/flowsnitch"); n < 2 {
		t.Errorf("only %d files of state to keep:\n%s", n, before)
	}
	m.sh(t, "dpkg --force-confold -i /tmp/new.deb")
	if after := m.sh(t, known); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
	m.sh(t, "! test -e /etc/logrotate.d/flowsnitch; dpkg-query -W -f '${Version}' flowsnitch | grep -qx 2.0.0; tail -n 1 "+config+".dpkg-dist | grep -q 'version 2'")
}

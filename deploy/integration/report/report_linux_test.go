//go:build integration

package report

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/report"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
)

// patience bounds a browser.
const patience = time.Minute

// hostile would end an element, call a server or run a script.
const hostile = `</td><script>document.title="x"</script><img src="http://192.0.2.1/x.png" onerror="alert(1)"> blåbær 漢字`

// written makes a store of a week with 300 offenders, and writes its report.
func written(t *testing.T, path string) {
	t.Helper()
	until := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	c := store.DefaultConfig(filepath.Join(t.TempDir(), "incidents.db"))
	c.Now = func() time.Time { return until }
	s, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	var b batch.Batch
	for n := range 300 {
		offender := netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
		if n >= 256 {
			offender = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", n))
		}
		e := event.Event{
			Kind: event.KindHit, ID: uuid.New(), Contact: uuid.New(), Seq: 1, Time: until.Add(-time.Duration(n+1) * 30 * time.Minute), Offender: offender,
			Local: netip.AddrFrom4([4]byte{10, 0, 0, byte(n % 40)}), Site: "oslo", Direction: event.Outbound, Answered: event.AnsweredYes, Severity: event.Severity(n % 4), Reason: hostile,
			Flows: uint64(n), Bytes: uint64(n) << 20, Protocol: 6, HasProtocol: true, ServicePort: 443, Country: "NO", ASNumber: 64496, ASName: hostile,
			Indicators: []event.Indicator{{Prefix: netip.PrefixFrom(offender, offender.BitLen()), Feed: "feed " + hostile, Category: "c2", Score: 90}},
		}
		e.ContactFirstSeen = e.Time
		b.Add(&e)
	}
	if _, err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	r, err := report.Make(t.Context(), s, report.Options{Sensor: "pi-oslo", From: until.AddDate(0, 0, -7), Until: until, MaxTLP: report.DefaultTLP, Now: until})
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPrint: Chromium prints the report on A4 in a network namespace of its own, where nothing can
// be reached, and the PDF has what the report has, hostile text as text.
func TestPrint(t *testing.T) {
	for program, from := range map[string]string{"chromium": "chromium", "pdftotext": "poppler-utils", "pdfinfo": "poppler-utils", "unshare": "util-linux"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("NOT PROVEN that the report prints: %s is missing; install Debian's package %s", program, from)
		}
	}
	dir := t.TempDir()
	page, pdf := filepath.Join(dir, "report.html"), filepath.Join(dir, "report.pdf")
	written(t, page)
	run := func(name string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c := exec.CommandContext(ctx, name, args...)
		c.WaitDelay = time.Second
		c.Env = append(os.Environ(), "HOME="+dir)
		var problems bytes.Buffer
		c.Stderr = &problems
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, problems.String())
		}
		return string(out)
	}
	run("unshare", "--net", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--no-pdf-header-footer", "--print-to-pdf="+pdf, "file://"+page)
	info := run("pdfinfo", pdf)
	field := func(name string) string {
		m := regexp.MustCompile(`(?m)^` + name + `: +(.*)$`).FindStringSubmatch(info)
		if m == nil {
			t.Fatalf("no %s in %s", name, info)
		}
		return m[1]
	}
	if pages, _ := strconv.Atoi(field("Pages")); pages < 2 || pages > 30 || !strings.Contains(field("Page size"), "A4") {
		t.Errorf("%s", info)
	}
	if title := field("Title"); !strings.HasPrefix(title, "flowsnitch report of pi-oslo") {
		t.Errorf("title %q", title)
	}
	text := strings.Join(strings.Fields(run("pdftotext", "-layout", pdf, "-")), " ")
	for _, want := range []string{"flowsnitch report of pi-oslo", "Is it alive", "BLIND", "What needs somebody", "Hosts of ours", "10.0.0.", "New in this period", "300 offenders",
		"Persistent offenders", "Busiest days", "AS64496", "Alerts", "Feeds", "Silenced", "<script>", "blåbær"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the PDF: %.2000s", want, text)
		}
	}
	t.Logf("%s pages, %s", field("Pages"), field("File size"))
}

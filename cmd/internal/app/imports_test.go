package app_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the path of this module, top the way from here to its folder.
const (
	module = "github.com/flowsnitch/flowsnitch"
	top    = "../../.."
)

// A goPackage is what 'go list' says of one package, test files left out.
type goPackage struct {
	ImportPath, Dir, Name string
	GoFiles, Imports      []string
}

// packages lists every package of the module as it is built for a system.
func packages(t *testing.T, system string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Name,GoFiles,Imports", "./...")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// rules tell which packages of ours a package may import: the first rule that
// matches its folder holds. A pattern ends in /* for everything below.
var rules = []struct {
	folder string
	may    []string
}{
	{"flow", nil},
	{"flow/forward", []string{"flow", "flow/udp"}},
	{"flow/fit", nil},
	{"flow/disk", nil},
	{"flow/disk/disktest", []string{"flow/disk"}}, // for tests
	{"flow/collect", []string{"flow", "flow/clock", "flow/decode"}},
	{"flow/collect/traffic", []string{"flow", "flow/collect", "flow/decode", "flow/observe"}},
	{"flow/history/file/filetest", []string{"flow/disk", "flow/history/file", "flow/history/row"}}, // for tests
	{"flow/history/past", []string{"flow", "flow/capture", "flow/capture/file", "flow/decode", "flow/disk", "flow/history/*"}},
	{"flow/history/past/imports", []string{"flow/disk", "flow/history/file", "flow/history/folder"}},
	{"flow/history/past/hours", []string{"flow/decode", "flow/disk", "flow/history/file", "flow/history/recorder", "flow/history/row", "flow/history/table"}},
	{"flow/history/past/ipfix", []string{"flow", "flow/history/past/nfdump/field"}},
	{"flow/history/past/nfdump", []string{"flow/history/past/nfdump/*"}},
	{"flow/history/past/nfdump/field", nil},
	{"flow/history/past/nfdump/*", []string{"flow/history/past/nfdump/field"}},
	{"flow/history", []string{"flow", "flow/clock", "flow/collect", "flow/decode", "flow/disk", "flow/observe", "flow/history/*"}},
	{"flow/history/*", []string{"flow", "flow/span", "flow/clock", "flow/collect", "flow/decode", "flow/disk", "flow/observe", "flow/history/*"}},
	{"flow/decode", []string{"flow", "flow/decode/*"}},
	{"flow/decode/sflow", []string{"flow", "flow/decode/packet"}},
	{"flow/decode/template", []string{"flow", "flow/decode/packet", "flow/decode/sampling"}},
	{"flow/capture", []string{"flow", "flow/capture/file"}},
	{"flow/synth/noise", []string{"flow", "flow/synth"}},
	{"flow/*", []string{"flow"}},
	{"intel", []string{"flow"}},
	{"intel/lookup", []string{"intel", "intel/lookup/*", "intel/event", "flow"}},
	{"intel/lookup/listings", []string{"intel", "intel/lookup/prefilter", "intel/event", "flow"}},
	{"intel/lookup/prefilter", []string{"intel", "flow"}},
	{"intel/event", []string{"intel/event/jsonline", "flow", "flow/fit"}},
	{"intel/event/compact", []string{"intel/event"}},
	{"intel/event/jsonline", []string{"flow/fit"}},
	{"intel/hunt/retro/listed", []string{"intel/lookup", "flow", "flow/disk"}},
	{"intel/event/sent", []string{"flow/disk"}},
	{"intel/hunt/retro/jobs", []string{"intel/hunt/retro/listed", "intel/lookup", "flow/disk"}},
	{"intel/hunt/retro/contact", []string{"intel/hunt", "intel/hunt/retro/listed", "intel", "intel/lookup", "intel/event", "intel/correlate/score", "flow", "flow/history/row"}},
	{"intel/hunt/retro", []string{"intel/hunt", "intel/hunt/question", "intel/hunt/retro/*", "intel", "intel/lookup", "intel/event", "intel/event/sent", "intel/correlate/score", "flow", "flow/disk", "flow/history/row", "flow/observe", "flow/span"}},
	{"intel/match", []string{"intel", "intel/lookup", "intel/event", "flow", "flow/decode"}},
	{"intel/sites", []string{"intel"}},
	{"intel/correlate", []string{"intel/correlate/conversation", "intel/correlate/dedup", "intel/correlate/packed", "intel/correlate/score", "intel/correlate/fold", "intel/correlate/listing", "intel", "intel/lookup", "intel/event", "intel/sites", "flow"}},
	{"intel/correlate/storm", []string{"intel", "intel/lookup"}},
	{"intel/correlate/fold", []string{"intel/correlate/conversation", "intel/event", "intel/lookup"}},
	{"intel/correlate/score", []string{"intel/correlate/conversation", "intel/lookup", "intel/event", "intel/sites", "flow/fit"}},
	{"intel/correlate/listing", []string{"intel/correlate/packed", "intel/correlate/score", "intel/lookup", "intel/event"}},
	{"intel/correlate/conversation", []string{"intel/correlate/packed", "intel/lookup", "intel/event", "intel/sites", "flow"}},
	{"intel/correlate/dedup", []string{"intel/correlate/conversation", "intel/correlate/packed", "flow"}},
	{"intel/correlate/packed", nil},
	{"intel/correlate/hittest", []string{"intel/lookup", "flow"}}, // for tests
	{"intel/correlate/queue", []string{"intel/lookup", "intel/event", "flow", "flow/clock"}},
	{"intel/incident", []string{"flow", "flow/fit", "intel/event"}},
	{"intel/incident/story", []string{"flow", "flow/fit", "flow/observe", "intel/event", "intel/incident"}},
	{"intel/incident/report", []string{"flow/fit", "flow/observe", "intel", "intel/event", "intel/incident", "intel/incident/report/columns"}},
	{"intel/incident/report/columns", []string{"flow/fit"}},
	{"intel/incident/batch", []string{"flow/fit", "intel", "intel/event", "intel/incident"}},
	{"intel/incident/pulse", []string{"intel/incident"}},
	{"intel/incident/intake", []string{"intel/event", "intel/incident/batch", "intel/incident/store"}},
	{"intel/incident/store", []string{"flow", "flow/fit", "flow/disk", "intel/event", "intel/incident", "intel/incident/batch", "intel/incident/store/*"}},
	{"intel/incident/store/schema", []string{"flow/fit", "intel/incident", "intel/incident/store/database"}},
	{"intel/incident/store/raised", []string{"intel/event", "intel/incident", "intel/incident/store/database", "intel/incident/store/schema"}},
	{"intel/incident/store/forget", []string{"intel/incident", "intel/incident/store/database", "intel/incident/store/schema"}},
	{"intel/incident/store/reader", []string{"flow/span", "intel/event", "intel/incident", "intel/incident/batch", "intel/incident/store/database", "intel/incident/store/raised", "intel/incident/store/schema"}},
	{"intel/incident/store/database", []string{"flow/disk"}},
	{"intel/detect", []string{"flow", "intel", "intel/event", "intel/detect/rule", "intel/detect/state", "intel/detect/window"}},
	{"intel/detect/rule", []string{"flow", "intel/event"}},
	{"intel/detect/rulebook", []string{"intel/detect/rule", "configs/rules", "flow/disk"}},
	{"intel/detect/state", []string{"flow"}},
	{"intel/detect/window", []string{"flow", "intel/detect/state"}},
	{"intel/detect/follow", []string{"flow", "flow/disk", "flow/history/folder", "intel/detect", "intel/detect/contacts", "intel/detect/hits", "intel/detect/rule", "intel/detect/state", "intel/event", "intel/event/sent"}},
	{"intel/detect/contacts", []string{"flow", "flow/history/file", "flow/history/folder", "flow/history/row", "intel/detect/rule", "intel/event", "intel/hunt"}},
	{"intel/detect/tally", []string{"flow", "flow/history/folder", "flow/history/row", "intel/detect/contacts", "intel/detect/rule"}},
	{"intel/detect/hits", []string{"flow", "intel", "intel/detect/rule", "intel/detect/state", "intel/event"}},
	{"intel/hunt", []string{"flow", "flow/fit", "flow/history/folder", "flow/history/row", "intel/hunt/question", "intel/event", "intel/event/jsonline"}},
	{"intel/hunt/question", []string{"intel", "flow", "flow/span", "intel/feeds", "intel/feeds/document"}},
	{"intel/feeds", []string{"intel/feeds/document", "intel/feeds/prefix", "intel/feeds/jsonwalk", "intel/feeds/rows", "intel/feeds/programs", "intel/feeds/platforms"}},
	{"intel/feeds/prefix", []string{"flow/fit"}},
	{"intel/feeds/dates", []string{"flow/fit"}},
	{"intel/feeds/stixpattern", []string{"intel/feeds/prefix"}},
	{"intel/feeds/hostname", nil},
	{"intel/feeds/document", []string{"intel/feeds/hostname", "intel/feeds/prefix", "intel/feeds/dates", "intel", "flow/fit"}},
	{"intel/feeds/jsonwalk", []string{"intel/feeds/document", "intel/feeds/dates"}},
	{"intel/feeds/platforms", []string{"intel/feeds/document", "intel/feeds/prefix", "intel/feeds/dates", "intel/feeds/jsonwalk", "intel/feeds/stixpattern", "intel"}},
	{"intel/feeds/programs", []string{"intel/feeds/document", "intel/feeds/prefix", "intel/feeds/dates", "intel"}},
	{"intel/feeds/rows", []string{"intel/feeds/document", "intel/feeds/hostname", "intel/feeds/prefix", "intel/feeds/dates", "intel/feeds/jsonwalk", "intel/feeds/platforms", "intel", "flow/fit"}},
	{"intel/feeds/fetch", []string{"intel", "intel/lookup", "intel/feeds/document", "intel/feeds/fetch/*"}},
	{"intel/feeds/fetch/spec", []string{"intel", "intel/feeds", "intel/feeds/hostname", "configs/secret"}},
	{"intel/feeds/fetch/client", []string{"configs/secret", "configs/tlsfiles", "intel/feeds/fetch/spec", "intel"}},
	{"intel/feeds/fetch/store", []string{"intel", "intel/feeds/document", "flow/disk"}},
	{"intel/feeds/fetch/guard", []string{"intel/feeds/fetch/spec", "intel/feeds/fetch/store", "intel", "intel/feeds/document"}},
	{"intel/feeds/fetch/schedule", []string{"intel/feeds/fetch/spec", "intel/feeds/fetch/client", "intel/feeds/fetch/store", "intel/feeds/fetch/source", "intel/feeds/fetch/guard"}},
	{"intel/feeds/fetch/quarantine", []string{"intel/feeds/fetch/store"}},
	{"intel/feeds/fetch/runner", []string{"intel/feeds/fetch/spec", "intel/feeds/fetch/client", "intel/feeds/fetch/store", "intel/feeds/fetch/guard", "intel/feeds/fetch/schedule", "intel/feeds/fetch/source", "intel/feeds/fetch/source/*", "intel/feeds/document"}},
	{"intel/feeds/fetch/source", []string{"intel/feeds/fetch/spec", "intel/feeds/fetch/client", "intel/feeds/fetch/store", "intel/feeds", "intel/feeds/document"}},
	{"intel/feeds/fetch/source/local", []string{"intel/feeds/fetch/source", "intel/feeds/fetch/source/misp", "intel/feeds/fetch/spec", "intel/feeds/fetch/store", "intel/feeds/fetch/guard", "intel/feeds", "intel/feeds/document"}},
	{"intel/feeds/fetch/source/*", []string{"intel/feeds/fetch/source", "intel/feeds/fetch/spec", "intel/feeds/fetch/client", "intel/feeds/fetch/store", "intel/feeds/document", "intel/feeds/dates"}},
	{"intel/enrich", []string{"intel/event", "flow", "flow/fit", "flow/observe"}},
	{"intel/silence", []string{"intel", "intel/event", "flow", "flow/disk", "flow/fit"}},
	{"intel/*", []string{"intel", "intel/lookup", "intel/event", "flow", "flow/fit"}},
	{"sinks/web", []string{"flow/disk", "flow/observe", "configs/secret", "configs/tlsfiles"}},
	{"sinks", []string{"configs/tlsfiles", "sinks/internal/*", "intel/event", "flow"}},
	{"sinks/internal/sinktest", []string{"sinks", "intel/event"}}, // for tests
	{"sinks/internal/*", []string{"sinks/internal/*"}},
	{"sinks/journal", []string{"sinks", "sinks/journal/*", "flow/disk", "intel/event"}},
	{"sinks/journal/memory", []string{"sinks/journal/record", "intel/event"}},
	{"sinks/journal/folder", []string{"flow/disk"}},
	{"sinks/journal/segment", []string{"sinks/journal/folder", "sinks/journal/record", "flow/disk"}},
	{"sinks/journal/position", []string{"sinks", "sinks/journal/folder", "flow/disk"}},
	{"sinks/journal/record", []string{"flow/disk", "intel/event", "intel/event/compact"}},
	{"sinks/webhook", []string{"sinks", "sinks/webhook/*", "intel", "intel/event", "configs/secret"}},
	{"sinks/webhook/notice", []string{"sinks/form", "intel", "intel/event", "flow/fit"}},
	{"sinks/webhook/templates", []string{"sinks/webhook/notice", "intel/event", "flow/fit"}},
	{"sinks/webhook/reported", []string{"intel/event", "flow/disk"}},
	{"sinks/syslog", []string{"sinks", "sinks/form", "sinks/syslog/link", "intel/event", "flow", "flow/fit", "configs/tlsfiles"}},
	{"sinks/syslog/link", nil},
	{"sinks/form", []string{"sinks/form/*", "intel/event", "flow", "flow/fit"}},
	{"sinks/form/words", []string{"intel/event", "intel/event/jsonline", "flow/fit"}},
	{"sinks/form/*", []string{"sinks/form/words", "intel/event", "intel/event/jsonline", "flow", "flow/fit"}},
	{"sinks/export", []string{"sinks/export/choice", "sinks/export/row", "intel"}},
	{"sinks/export/choice", []string{"intel"}},
	{"sinks/export/row", nil},
	{"sinks/export/stix", []string{"intel", "sinks/export", "sinks/export/row"}},
	{"sinks/export/names", []string{"intel", "sinks/export/choice", "sinks/export/row", "intel/feeds/hostname"}},
	{"sinks/export/target", []string{"sinks/export", "sinks/export/names", "sinks/export/row", "sinks/export/stix"}},
	{"sinks/console", []string{"intel/event", "sinks/form"}},
	{"sinks/*", []string{"sinks", "sinks/form", "sinks/internal/*", "intel/event", "flow", "flow/fit", "flow/disk", "configs/secret", "configs/tlsfiles"}},
	{"configs/authority", nil}, // for tests
	{"configs/secret", nil},
	{"configs/tlsfiles", nil},
	{"configs/rules", nil},
	{"configs", []string{"flow", "flow/*", "intel", "intel/*", "sinks", "sinks/*", "configs/secret", "configs/tlsfiles"}},
	{"deploy/*", nil}, // tests of the whole, from outside
	{"cmd/*", []string{"cmd/internal/*", "configs", "configs/secret", "configs/tlsfiles", "flow", "flow/*", "intel", "intel/*", "sinks", "sinks/*"}},
}

// owners are the only folders that may import a library.
var owners = map[string][]string{
	"github.com/netsampler/goflow2":        {"flow/decode/template"},
	"github.com/gaissmai/bart":             {"intel", "intel/lookup", "intel/lookup/listings"}, // sets of prefixes: networks, exclusions, listings
	"github.com/segmentio/kafka-go":        {"sinks/kafka"},
	"github.com/parquet-go/parquet-go":     {"flow/history/file"},
	"github.com/oschwald/maxminddb-golang": {"intel/enrich"},
	"github.com/jackc/pgx":                 {"intel/incident/store/database"},
	"modernc.org/sqlite":                   {"intel/incident/store/database"},
}

// TestImports: data flows down, imports point up.
func TestImports(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "freebsd"} {
		checkImports(t, packages(t, system))
	}
}

func checkImports(t *testing.T, list []goPackage) {
	t.Helper()
	for _, p := range list {
		folder := strings.TrimPrefix(p.ImportPath, module+"/")
		may, ok := allowedImports(folder)
		if !ok {
			t.Errorf("%s: no rule says what a package there may import", folder)
		}
		for _, path := range p.Imports {
			if complaint := judge(folder, may, path); complaint != "" {
				t.Errorf("%s imports %s: %s", folder, path, complaint)
			}
		}
	}
}

func allowedImports(folder string) ([]string, bool) {
	for _, r := range rules {
		if matches(folder, r.folder) {
			return r.may, true
		}
	}
	return nil, false
}

// matches tells whether a folder is the one of a pattern, or below it.
func matches(folder, pattern string) bool {
	if below, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(folder, below)
	}
	return folder == pattern
}

// judge says what is wrong with an import; empty = nothing.
func judge(folder string, may []string, path string) string {
	if ours, ok := strings.CutPrefix(path, module+"/"); ok {
		if !slices.ContainsFunc(may, func(pattern string) bool { return matches(ours, pattern) }) {
			return "allowed are " + strings.Join(may, ", ")
		}
		return ""
	}
	if folder == "flow" && strings.Contains(strings.Split(path, "/")[0], ".") {
		return "flow needs the standard library only"
	}
	for library, folders := range owners {
		if (path == library || strings.HasPrefix(path, library+"/")) && !slices.Contains(folders, folder) {
			return "only " + strings.Join(folders, " and ") + " may"
		}
	}
	return ""
}

// TestJudge: the rules catch what they are made for.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		folder, path string
		good         bool
	}{
		{"flow", "net/netip", true},
		{"flow", "golang.org/x/sys/unix", false},
		{"flow", module + "/intel", false},
		{"flow/udp", module + "/flow", true},
		{"flow/udp", module + "/flow/decode", false},
		{"flow/decode/template", "github.com/netsampler/goflow2/v2/decoders/netflow", true},
		{"flow/capture", "github.com/netsampler/goflow2/v2/decoders/netflow", false},
		{"intel", module + "/flow", true},
		{"intel", module + "/flow/decode", false},
		{"intel", module + "/intel/lookup", false},
		{"intel/lookup", "github.com/gaissmai/bart", true},
		{"intel/event", module + "/flow", true},
		{"intel/event", module + "/intel", false},
		{"intel/match", module + "/flow/decode", true},
		{"intel/match", module + "/intel/correlate", false},
		{"intel/correlate", module + "/flow/decode", false},
		{"flow/collect", module + "/flow/decode", true},
		{"flow/collect", module + "/flow/udp", false},
		{"intel/feeds", module + "/flow/decode", false},
		{"intel/feeds", "github.com/gaissmai/bart", false},
		{"intel/feeds/document", module + "/intel/feeds", false},
		{"intel/feeds/platforms", module + "/intel/feeds/rows", false},
		{"intel/feeds/fetch", module + "/intel/feeds/fetch/store", true},
		{"intel/feeds/fetch/source", module + "/intel/feeds/fetch", false},
		{"intel/feeds/fetch/source/otx", module + "/intel/feeds/fetch/source", true},
		{"intel/feeds/fetch/source", module + "/intel/feeds/fetch/source/otx", false},
		{"intel/feeds/fetch/runner", module + "/intel/lookup", false},
		{"intel/feeds/fetch/source/local", module + "/intel/feeds/fetch/client", false},
		{"intel/feeds/fetch/store", module + "/intel/feeds/fetch/source", false},
		{"sinks", module + "/flow/udp", false},
		{"sinks", module + "/sinks/journal", false},
		{"sinks/journal", module + "/sinks", true},
		{"sinks/journal/record", module + "/sinks", false},
		{"sinks/syslog", module + "/sinks/journal", false},
		{"sinks", module + "/intel", false},
		{"sinks/jsonlog", module + "/sinks", true},
		{"sinks/export", module + "/intel", true},
		{"sinks/export", module + "/intel/lookup", false},
		{"sinks/export", module + "/sinks/export/target", false},
		{"sinks/export/target", module + "/intel", false},
		{"sinks/jsonlog", module + "/configs", false},
		{"sinks/kafka", module + "/configs/secret", true},
		{"configs/secret", module + "/configs", false},
		{"sinks/jsonlog", "github.com/segmentio/kafka-go", false},
		{"sinks/kafka", "github.com/segmentio/kafka-go/compress", true},
		{"configs", module + "/cmd/internal/app", false},
		{"cmd/flowsnitch", module + "/cmd/internal/app", true},
	} {
		may, _ := allowedImports(tt.folder)
		if complaint := judge(tt.folder, may, tt.path); (complaint == "") != tt.good {
			t.Errorf("%s imports %s: %q", tt.folder, tt.path, complaint)
		}
	}
}

// TestTopLevel: the house has no further rooms.
func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	rooms := []string{"cmd", "configs", "deploy", "flow", "intel", "sinks"}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(rooms, e.Name()) {
			t.Errorf("a folder %s at the top level, allowed are %s", filepath.Join("/", e.Name()), strings.Join(rooms, ", "))
		}
	}
}

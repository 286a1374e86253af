package spec

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/configs/secret"
)

// A Feed is one source. It is at a preset's URL, or at exactly one of url,
// file and dir; with the blocks otx, taxii and misp the url is the base of such
// a service. What is left out comes from the preset.
type Feed struct {
	// Name in events; default: the preset's, or the file's name without extension.
	Name string `yaml:"name"`
	// Preset names a known feed, see Presets.
	Preset string `yaml:"preset"`
	URL    URL    `yaml:"url"`
	File   string `yaml:"file"`
	// Dir is a drop directory: all files in it together are the feed.
	Dir string `yaml:"dir"`
	// Format as feeds.Formats lists them; default: detected by content.
	Format string `yaml:"format"`
	// Path names the members of JSON that hold the addresses, such as data.ip; the
	// format is then json.
	Path string `yaml:"path"`
	// Interval between two fetches, of files between two looks.
	Interval time.Duration `yaml:"interval"`
	// Score (1 to 100), Category and TLP hold for entries that have none
	// of their own.
	Score    int    `yaml:"score"`
	Category string `yaml:"category"`
	TLP      string `yaml:"tlp"`
	// MinScore drops entries whose own score is lower.
	MinScore int `yaml:"min_score"`
	// MaxAge drops entries last seen longer ago; entries that bear no date have the
	// date that their copy bears, else the age of the copy. 0 = never.
	MaxAge time.Duration `yaml:"max_age"`
	// Operator makes the list the operator's own word, like deny: no guard
	// applies to it but the ban on /0.
	Operator bool `yaml:"operator"`
	// MayBeEmpty accepts an empty list.
	MayBeEmpty bool `yaml:"may_be_empty"`
	// MaxSpace and MaxSpace6 are the lengths of the IPv4 and IPv6 prefix that is as large as
	// the space that the list may cover.
	MaxSpace  int `yaml:"max_space"`
	MaxSpace6 int `yaml:"max_space6"`
	// MayTurnOver allows nearly all entries to be replaced at once.
	MayTurnOver bool `yaml:"may_turn_over"`
	// Class of a warninglist: infrastructure, shared, scanner or sinkhole.
	Class string `yaml:"class"`

	// APIKey, or the file that holds it, goes into the header that the preset or
	// the service requires, else into "Authorization: Bearer".
	APIKey     secret.Text `yaml:"api_key"`
	APIKeyFile string      `yaml:"api_key_file"`
	// User and Password for basic authentication.
	User         string      `yaml:"user"`
	Password     secret.Text `yaml:"password"`
	PasswordFile string      `yaml:"password_file"`
	// Headers of every request. Their values are kept as secret as a key.
	Headers []Header `yaml:"headers"`
	// CAFile holds the certificates to trust instead of the system's.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile are a certificate of our own and its private key.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// MaxBytes caps a document after decompression.
	MaxBytes int64 `yaml:"max_bytes"`

	OTX   *OTX   `yaml:"otx"`
	TAXII *TAXII `yaml:"taxii"`
	MISP  *MISP  `yaml:"misp"`
}

// A Header is one header of a request.
type Header struct {
	Name  string      `yaml:"name"`
	Value secret.Text `yaml:"value"`
}

// OTX marks an AlienVault OTX account.
type OTX struct {
	// Limit is how many pulses one page has: the service times out on large ones.
	Limit int `yaml:"limit"`
}

// TAXII marks a TAXII 2.1 server; the url is that of its discovery, of an API root
// or of a collection.
type TAXII struct {
	// Collections by id or title; none = all that can be read.
	Collections []string `yaml:"collections"`
	// Limit is how many objects one page has at most; the server may give fewer.
	Limit int `yaml:"limit"`
}

// MISP marks a MISP instance.
type MISP struct {
	// Source is feed for a feed directory (manifest.json), or search for the REST
	// search of an instance.
	Source string `yaml:"source"`
	// Limit is how many events one page of a search has.
	Limit int `yaml:"limit"`
}

// The sources of a MISP block.
const (
	mispFeed   = "feed"
	mispSearch = "search"
)

// Defaults.
const (
	DefaultScore    = 50
	OperatorScore   = 90 // the operator's own lists: their word is final
	defaultInterval = 6 * time.Hour
	pagedInterval   = 30 * time.Minute
	pollInterval    = 5 * time.Second
	MinFloor        = time.Minute
	minInterval     = 10 * time.Second
	defaultMaxBytes = 256 << 20
	DefaultMaxCount = 5_000_000
	MaxCount        = 50_000_000
	maxInterval     = 30 * 24 * time.Hour
	maxName         = 64
	// What a list may cover: as much as one IPv4 prefix of this length, and one of IPv6.
	defaultMaxSpace  = 8
	defaultMaxSpace6 = 20
)

// List gives the feed of a file that the operator names on the command line.
func List(path string) Feed {
	return Feed{Name: baseName(path), File: path, Score: OperatorScore, Operator: true}
}

func baseName(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// A kind is how a source is read.
type kind string

const (
	KindHTTP       kind = "http"
	kindFile       kind = "file"
	KindDir        kind = "dir"
	KindOTX        kind = "otx"
	KindTAXII      kind = "taxii"
	KindMISPFeed   kind = "misp-feed"
	KindMISPSearch kind = "misp-search"
)

// Local reports whether a source is on this machine, where reading it costs no provider anything.
func (k kind) Local() bool { return k == kindFile || k == KindDir }

// paged sources are read piece by piece.
func (k kind) paged() bool {
	return k == KindOTX || k == KindTAXII || k == KindMISPFeed || k == KindMISPSearch
}

// A Spec is a feed with all its defaults.
type Spec struct {
	Feed
	Kind      kind
	Floor     time.Duration
	KeyHeader string
	Body      string // of a POST
	Accept    string
	Patience  time.Duration // until the first byte of an answer
}

// Resolve fills in the preset and the defaults. It expects a valid feed.
func (f Feed) Resolve() Spec {
	s := Spec{Feed: f, Floor: MinFloor}
	if p, ok := presetOf(f); ok {
		s.fromPreset(p)
	}
	s.Kind = s.kindOf()
	s.Name = cmp.Or(s.Name, baseName(cmp.Or(s.File, s.Dir)))
	s.Score = cmp.Or(s.Score, DefaultScore)
	s.MaxBytes = cmp.Or(s.MaxBytes, defaultMaxBytes)
	s.Interval = cmp.Or(s.Interval, s.Kind.interval())
	s.MaxSpace = cmp.Or(s.MaxSpace, defaultMaxSpace)
	s.MaxSpace6 = cmp.Or(s.MaxSpace6, defaultMaxSpace6)
	if s.Floor == MinFloor {
		s.Floor = min(s.Floor, s.Interval) // no provider has asked for more
	}
	s.Headers = append([]Header(nil), s.Headers...)
	s.defaultKind()
	return s
}

// fromPreset takes over what the feed leaves out.
func (s *Spec) fromPreset(p Preset) {
	s.Floor = max(s.Floor, p.Floor)
	s.Body, s.Accept, s.KeyHeader = p.body, p.accept, p.keyHeader
	if s.Preset == "" {
		return // the provider's rules hold, the rest is the operator's
	}
	s.Name = cmp.Or(s.Name, p.Name)
	if s.File == "" && s.Dir == "" {
		s.URL = cmp.Or(s.URL, URL(p.URL))
	}
	s.Format = cmp.Or(s.Format, p.Format)
	s.Interval = cmp.Or(s.Interval, p.Interval)
	s.Score = cmp.Or(s.Score, p.Score)
	s.MinScore = cmp.Or(s.MinScore, p.MinScore)
	s.Category = cmp.Or(s.Category, p.Category)
	s.TLP = cmp.Or(s.TLP, p.TLP)
	s.MaxAge = cmp.Or(s.MaxAge, p.MaxAge)
	s.MayBeEmpty = s.MayBeEmpty || p.MayBeEmpty
	s.Class = cmp.Or(s.Class, p.Class)
	s.MaxSpace = cmp.Or(s.MaxSpace, p.maxSpace)
	s.MaxSpace6 = cmp.Or(s.MaxSpace6, p.maxSpace6)
	s.OTX = cmp.Or(s.OTX, p.otx)
	s.MISP = cmp.Or(s.MISP, p.misp)
}

func (s *Spec) kindOf() kind {
	switch {
	case s.File != "":
		return kindFile
	case s.Dir != "":
		return KindDir
	case s.OTX != nil:
		return KindOTX
	case s.TAXII != nil:
		return KindTAXII
	case s.MISP != nil && s.MISP.Source == mispSearch:
		return KindMISPSearch
	case s.MISP != nil:
		return KindMISPFeed
	}
	return KindHTTP
}

func (k kind) interval() time.Duration {
	switch {
	case k.Local():
		return pollInterval
	case k.paged():
		return pagedInterval
	}
	return defaultInterval
}

// defaultKind sets what depends on the kind alone.
func (s *Spec) defaultKind() {
	s.Patience = time.Minute
	switch s.Kind {
	case KindOTX:
		s.KeyHeader = "X-OTX-API-KEY"
		s.Patience = 2 * time.Minute
		s.Format = "otx"
	case KindTAXII:
		s.Format = "stix"
		s.Accept = "application/taxii+json;version=2.1"
	case KindMISPFeed, KindMISPSearch:
		s.KeyHeader = cmp.Or(s.KeyHeader, "Authorization")
		s.Accept = "application/json"
		s.Format = "misp"
	}
	if s.Path != "" && s.Format == "" {
		s.Format = "json"
	}
	if s.Class != "" && s.Format == "" && strings.HasSuffix(string(s.URL), ".json") {
		s.Format = "misp-warn"
	}
}

// Origin names the source without its secrets: a feed that is pointed elsewhere
// begins anew.
func (s *Spec) Origin() string {
	where := s.File + s.Dir
	if s.URL != "" {
		sum := sha256.Sum256([]byte(string(s.URL) + s.Body))
		where = s.URL.String() + " " + hex.EncodeToString(sum[:8])
	}
	return strings.TrimSpace(string(s.Kind) + " " + where + " " + s.Format + " " + s.Path)
}

// Place is where the feed comes from, for people: without secrets.
func (s *Spec) Place() string {
	if s.Kind.Local() {
		return s.File + s.Dir
	}
	return s.URL.String()
}

// keyed reports whether requests carry a secret.
func (s *Spec) keyed() bool {
	return s.APIKey != "" || s.APIKeyFile != "" || s.User != "" || len(s.Headers) > 0
}

// KeyMissing reports whether the provider requires a key while there is none.
func (s *Spec) KeyMissing() bool {
	p, known := presetOf(s.Feed)
	required := known && p.Key == KeyRequired || s.Kind == KindOTX || s.Kind == KindMISPSearch
	return required && !s.Kind.Local() && !s.keyed() && s.CertFile == ""
}

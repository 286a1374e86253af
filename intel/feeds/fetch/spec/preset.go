package spec

import (
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
)

// A Need is whether a provider requires a key.
type Need string

// The needs.
const (
	NoKey       Need = "no"
	KeyOptional Need = "optional"
	KeyRequired Need = "required"
)

// A Preset is a known feed and how its provider allows it to be fetched.
type Preset struct {
	Name string
	// About is what the feed lists, in a line.
	About string
	// URL is empty where every customer has one of his own.
	URL    string
	Format string
	// Interval is the usual one, Floor the shortest that the provider allows.
	Interval, Floor time.Duration
	// Licence is a note on the terms, for people.
	Licence string
	Key     Need
	// Score, MinScore, Category, TLP and MaxAge as in Feed.
	Score, MinScore int
	Category, TLP   string
	MaxAge          time.Duration
	// MayBeEmpty is set where the list has been empty on good days.
	MayBeEmpty bool
	// Class makes it a warninglist.
	Class string
	// Checked is when, and in which public documentation, the address was last found.
	Checked string
	// BuiltIn feeds need no key, and their terms allow everybody to use them.
	BuiltIn bool

	maxSpace, maxSpace6 int // 0 = the usual

	otx       *OTX
	misp      *MISP
	keyHeader string
	accept    string
	body      string
}

const (
	day = 24 * time.Hour

	licenceSANS     = "CC BY-NC-SA 4.0: for your own network, not for resale; not meant as a plain block list"
	licenceSpamhaus = "free for any use; keep the notice when passing it on; faster clients get firewalled"
	licenceAbuse    = "terms of abuse.ch of November 2025: free under fair use, commercial use may need a subscription; a free key from auth.abuse.ch"
	licenceFireHOL  = "each list keeps the terms of its maintainer, see its header"
	licenceCC0      = "CC0"
)

// Presets gives the known feeds: those that list first, then the warninglists.
func Presets() []Preset {
	all := append(listings(), warnings()...)
	for i := range all {
		all[i].Checked = checkedOn(all[i].Name)
	}
	return all
}

// checkedOn is when the address of a preset was last found in public documentation,
// and where: audits and catalogues that fetch what they list, else the provider's own
// documentation or clients, else projects that use it.
func checkedOn(name string) string {
	switch name {
	case "greensnow", "binarydefense", "cins-army", "firehol-level2", "spamhaus-drop", "blocklist-de", "ipsum", "c2intel":
		return "2026-10-02, an audit of public feeds that fetches them"
	case "dshield", "et-compromised":
		return "2026-10-02, FireHOL's copies of it are renewed"
	case "threatfox-misp", "circl-misp":
		return "2026-09-19, a catalogue of MISP feeds"
	case "feodo":
		return "2026-09-12, a probe of abuse.ch: answers, its CSV unchanged since 2026-03-04"
	case "spamhaus-drop-v6":
		return "2026-11-30, descriptions of Spamhaus' JSON lists of 2024; its own page could not be reached"
	case "tor-exit":
		return "2026-11-30, the Tor Project's format of exit lists, and its notice of March 2020 on the service"
	case "dataplane-sshclient", "bruteforceblocker", "dshield-intelfeed":
		return "2026-11-30, in the code of projects in use; no documentation of the provider could be reached"
	case "threatfox":
		return "2026-11-30, abuse.ch's own example clients (github.com/abusech/ThreatFox)"
	case "abuseipdb":
		return "2026-11-30, the provider's documentation (docs.abuseipdb.com)"
	case "crowdsec":
		return "2026-11-30, the provider's documentation (docs.crowdsec.net, raw IP list)"
	case "otx":
		return "2026-11-30, the provider's own client (OTX-Python-SDK)"
	}
	if strings.HasPrefix(name, "warn-") {
		return "2026-09-08, main branch of MISP's warninglists, type cidr"
	}
	return ""
}

// BuiltIn gives the feeds that are used when the operator names none.
func BuiltIn() []Feed {
	var out []Feed
	for _, p := range Presets() {
		if p.BuiltIn {
			out = append(out, Feed{Preset: p.Name})
		}
	}
	return out
}

func listings() []Preset {
	return []Preset{
		{Name: "dshield", About: "SANS ISC recommended block list: the 20 /24s that attack most, of 3 days",
			URL: "https://feeds.dshield.org/block.txt", Format: "dshield", Interval: 12 * time.Hour, Floor: time.Hour,
			Licence: licenceSANS, Key: NoKey, Score: 60, Category: "scan", BuiltIn: true},
		{Name: "dshield-intelfeed", About: "SANS ISC context on 100,000 addresses: open resolvers, scanners, name servers",
			URL: "https://isc.sans.edu/api/intelfeed?json", Format: "isc-json", Interval: 12 * time.Hour, Floor: time.Hour,
			Licence: licenceSANS, Key: NoKey, Score: 15},
		{Name: "spamhaus-drop", About: "Spamhaus DROP: networks run by criminals, IPv4",
			URL: "https://www.spamhaus.org/drop/drop_v4.json", Format: "drop-json", Interval: day, Floor: time.Hour,
			Licence: licenceSpamhaus, Key: NoKey, Score: 85, Category: "hijacked", BuiltIn: true},
		{Name: "spamhaus-drop-v6", About: "Spamhaus DROP: networks run by criminals, IPv6",
			URL: "https://www.spamhaus.org/drop/drop_v6.json", Format: "drop-json", Interval: day, Floor: time.Hour,
			Licence: licenceSpamhaus, Key: NoKey, Score: 85, Category: "hijacked", BuiltIn: true},
		{Name: "feodo", About: "abuse.ch Feodo Tracker: botnet command and control, online ones; a handful, and none new since March 2026",
			URL: "https://feodotracker.abuse.ch/downloads/ipblocklist.json", Format: "feodo-json", Interval: time.Hour,
			Floor: 5 * time.Minute, Licence: licenceAbuse, Key: KeyOptional, Score: 90, Category: "c2", MayBeEmpty: true,
			keyHeader: "Auth-Key"},
		{Name: "c2intel", About: "C2IntelFeeds: command and control servers of frameworks such as Cobalt Strike, seen live in the last 30 days",
			URL:    "https://raw.githubusercontent.com/drb-ra/C2IntelFeeds/master/feeds/IPC2s-30day.csv",
			Format: "csv:ip", Interval: 6 * time.Hour, Floor: time.Hour, Licence: "CC BY-NC-SA 4.0: not for resale; data courtesy of Censys",
			Key: NoKey, Score: 80, Category: "c2", BuiltIn: true},
		{Name: "threatfox-misp", About: "abuse.ch ThreatFox as a MISP feed, without a key: an event a day, of the last 30 days",
			URL: "https://threatfox.abuse.ch/downloads/misp", Format: "misp", Interval: 3 * time.Hour, Floor: time.Hour,
			Licence: licenceAbuse, Key: NoKey, Score: 75, Category: "c2", MaxAge: 30 * day, misp: &MISP{Source: mispFeed}},
		{Name: "threatfox", About: "abuse.ch ThreatFox: indicators of the last 7 days, address and port",
			URL: "https://threatfox-api.abuse.ch/api/v1/", Format: "threatfox-json", Interval: time.Hour,
			Floor: 5 * time.Minute, Licence: licenceAbuse, Key: KeyRequired, Score: 75, MinScore: 75, Category: "c2",
			keyHeader: "Auth-Key", body: `{"query":"get_iocs","days":7}`, accept: "application/json"},
		{Name: "et-compromised", About: "Emerging Threats: compromised hosts",
			URL:    "https://rules.emergingthreats.net/blockrules/compromised-ips.txt",
			Format: "plain", Interval: 6 * time.Hour, Floor: time.Hour, Licence: "BSD (ET Open)", Key: NoKey, Score: 55,
			Category: "compromised", BuiltIn: true},
		{Name: "cins-army", About: "CINS Army: 15,000 addresses with a bad score",
			URL: "https://cinsscore.com/list/ci-badguys.txt", Format: "plain", Interval: 6 * time.Hour, Floor: time.Hour,
			Licence: "free; terms on cinsscore.com", Key: NoKey, Score: 50, Category: "scan"},
		{Name: "blocklist-de", About: "blocklist.de: attackers of the last 48 hours, seen by fail2ban",
			URL: "https://lists.blocklist.de/lists/all.txt", Format: "plain", Interval: 6 * time.Hour, Floor: time.Hour,
			Licence: "free for use, no warranty", Key: NoKey, Score: 50, Category: "bruteforce", BuiltIn: true},
		{Name: "greensnow", About: "GreenSnow: scanners and brute forcers",
			URL: "https://blocklist.greensnow.co/greensnow.txt", Format: "plain", Interval: 6 * time.Hour, Floor: time.Hour,
			Licence: "free; terms on greensnow.co", Key: NoKey, Score: 45, Category: "scan"},
		{Name: "ipsum", About: "IPsum: addresses on 3 public lists or more",
			URL:    "https://raw.githubusercontent.com/stamparm/ipsum/master/levels/3.txt",
			Format: "plain", Interval: day, Floor: 6 * time.Hour, Licence: "Unlicense", Key: NoKey, Score: 50, BuiltIn: true},
		{Name: "firehol-level2", About: "FireHOL level 2: attacks of the last 48 hours, from several lists",
			URL:    "https://iplists.firehol.org/files/firehol_level2.netset",
			Format: "plain", Interval: day, Floor: time.Hour, Licence: licenceFireHOL, Key: NoKey, Score: 45},
		{Name: "bruteforceblocker", About: "Daniel Gerzo's BruteForceBlocker: SSH brute forcers",
			URL:    "https://danger.rulez.sk/projects/bruteforceblocker/blist.php",
			Format: "plain", Interval: 6 * time.Hour, Floor: time.Hour, Licence: "free", Key: NoKey, Score: 45, Category: "bruteforce"},
		{Name: "binarydefense", About: "Binary Defense Artillery ban list",
			URL: "https://www.binarydefense.com/banlist.txt", Format: "plain", Interval: 6 * time.Hour, Floor: time.Hour,
			Licence: "free, not for commercial use", Key: NoKey, Score: 45, Category: "scan"},
		{Name: "dataplane-sshclient", About: "DataPlane.org: SSH clients at honeypots",
			URL: "https://dataplane.org/sshclient.txt", Format: "pipe", Interval: 6 * time.Hour, Floor: time.Hour,
			Licence: "free, not for commercial use", Key: NoKey, Score: 40, Category: "scan"},
		{Name: "tor-exit", About: "exits of the Tor network: context, not evil",
			URL: "https://check.torproject.org/exit-addresses", Format: "tor-exit", Interval: time.Hour, Floor: 30 * time.Minute,
			Licence: "public data of the Tor project", Key: NoKey, Score: 20, Category: "anonymizer"},
		{Name: "abuseipdb", About: "AbuseIPDB black list: confidence 90 and more; the free plan has 5 calls a day",
			URL:    "https://api.abuseipdb.com/api/v2/blacklist?confidenceMinimum=90&limit=10000",
			Format: "abuseipdb-json", Interval: 6 * time.Hour, Floor: 5 * time.Hour, Licence: "terms on abuseipdb.com; no redistribution",
			Key: KeyRequired, Score: 60, keyHeader: "Key", accept: "application/json"},
		{Name: "crowdsec", About: "CrowdSec block list integration; url, user and password are those of your integration",
			Format: "plain", Interval: time.Hour, Floor: 5 * time.Minute, Licence: "terms of your CrowdSec plan", Key: KeyRequired,
			Score: 60},
		{Name: "otx", About: "AlienVault OTX: the pulses you subscribe to, with their evidence",
			URL: "https://otx.alienvault.com", Format: "otx", Interval: 30 * time.Minute, Floor: 5 * time.Minute,
			Licence: "OTX terms of use; a personal, free key", Key: KeyRequired, Score: 60, MaxAge: 180 * day, MayBeEmpty: true,
			otx: &OTX{}},
		{Name: "circl-misp", About: "CIRCL's public MISP feed",
			URL: "https://www.circl.lu/doc/misp/feed-osint", Format: "misp", Interval: time.Hour, Floor: 15 * time.Minute,
			Licence: "public; TLP of each event", Key: NoKey, Score: 60, MaxAge: 365 * day, misp: &MISP{Source: mispFeed}},
	}
}

// wide are the lists of clouds, which cover more than others may: about 2^27 addresses.
var wide = map[string]int{"amazon-aws": 4, "microsoft-azure": 5, "google-gcp": 5}

// warnings gives the MISP warninglists of use, by class.
func warnings() []Preset {
	var out []Preset
	for _, w := range []struct {
		class intel.Class
		lists []string
	}{
		{intel.ClassInfrastructure, []string{"crl-ip", "microsoft-office365-ip", "public-dns-v6"}},
		{intel.ClassShared, []string{"akamai", "amazon-aws", "cloudflare", "fastly", "github", "google-gcp",
			"icloud-private-relay", "microsoft-azure", "public-dns-v4", "smtp-sending-ips", "telegram-ips", "vpn-ipv4", "zscaler"}},
		{intel.ClassScanner, []string{"censys-scanning", "googlebot", "shodan-scanning", "tenable-cloud-ipv4", "tenable-cloud-ipv6"}},
		{intel.ClassSinkhole, []string{"parking-domain", "sinkholes"}},
	} {
		for _, list := range w.lists {
			out = append(out, Preset{
				Name: "warn-" + list, About: "MISP warninglist " + list, Class: string(w.class),
				URL:      "https://raw.githubusercontent.com/MISP/misp-warninglists/main/lists/" + list + "/list.json",
				maxSpace: wide[list], Format: "misp-warn", Interval: day, Floor: 6 * time.Hour, Licence: licenceCC0, Key: NoKey, Score: 1,
			})
		}
	}
	return out
}

func findPreset(name string) (Preset, bool) {
	all := Presets()
	i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}

// presetOf gives the preset of a feed. One that only has the URL of a preset keeps to
// the rules of its provider, too.
func presetOf(f Feed) (Preset, bool) {
	if f.Preset != "" {
		return findPreset(f.Preset)
	}
	all := Presets()
	i := slices.IndexFunc(all, func(p Preset) bool { return p.URL != "" && p.URL == string(f.URL) })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}

func presetNames() []string {
	var names []string
	for _, p := range Presets() {
		names = append(names, p.Name)
	}
	return names
}

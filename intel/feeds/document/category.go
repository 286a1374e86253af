package document

import (
	"strings"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/prefix"
)

// CategoryOf gives the category that the first meaningful word stands for, or the
// empty string. Words are compared without case, with "_", "-" and blanks alike.
func CategoryOf[T ~string](words ...T) string {
	for _, w := range words {
		if c := knownCategory(plainWord(string(w))); c != "" {
			return c
		}
	}
	return ""
}

// plainWord brings the spellings of a word together.
func plainWord(s string) string {
	s = strings.ToLower(fit.Cut(s, prefix.MaxLength))
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return ' '
		}
		return r
	}, Trim(s))
}

func knownCategory(word string) string {
	switch word {
	case "c2", "c&c", "cnc", "cc", "command and control", "command control", "botnet", "botnet cc", "c2 server":
		return "c2"
	case "scan", "scanner", "scanning", "scanning host", "sshclient", "rapid7sonar", "shodan", "censys":
		return "scan"
	case "bruteforce", "brute force", "bruteforcer", "sshpwauth", "telnetlogin":
		return "bruteforce"
	case "malware", "malware hosting", "payload", "payload delivery", "malware download":
		return "malware"
	case "phishing", "spearphishing":
		return "phishing"
	case "exploit", "exploit source", "exploitation":
		return "exploit"
	case "spam", "spammer":
		return "spam"
	case "ddos", "dos":
		return "ddos"
	case "openresolver", "open resolver":
		return "open-resolver"
	case "anonymization", "anonymizer", "tor", "tor exit", "proxy", "open proxy":
		return "anonymizer"
	}
	return ""
}

// TLPOf reads a label of the traffic light protocol, 1.0 or 2.0, with or without
// "tlp:" before it. It gives white, green, amber or red, or the empty string.
func TLPOf(label string) string {
	label = strings.ToLower(Trim(fit.Cut(label, prefix.MaxLength)))
	switch strings.TrimPrefix(label, "tlp:") {
	case "white", "clear":
		return "white"
	case "green":
		return "green"
	case "amber", "amber+strict":
		return "amber"
	case "red":
		return "red"
	}
	return ""
}

// Stricter gives the label that allows less.
func Stricter(a, b string) string {
	if intel.TLPRank(b) > intel.TLPRank(a) {
		return b
	}
	return a
}

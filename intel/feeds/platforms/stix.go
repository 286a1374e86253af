package platforms

import (
	"errors"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel"
	"github.com/flowsnitch/flowsnitch/intel/feeds/dates"
	"github.com/flowsnitch/flowsnitch/intel/feeds/document"
	"github.com/flowsnitch/flowsnitch/intel/feeds/jsonwalk"
	"github.com/flowsnitch/flowsnitch/intel/feeds/stixpattern"
)

var (
	errPatternType = errors.New("pattern_type is not stix")
	errRevoked     = errors.New("revoked")
	errNotYetValid = errors.New("not yet valid")
	errNoObject    = errors.New("not an object with a type")
)

// stixIndicator is an object of a bundle or envelope, as far as indicators go.
type stixIndicator struct {
	Type           jsonwalk.Text  `json:"type"`
	ID             jsonwalk.Text  `json:"id"`
	Name           jsonwalk.Text  `json:"name"`
	Description    jsonwalk.Text  `json:"description"`
	Pattern        jsonwalk.Text  `json:"pattern"`
	PatternType    jsonwalk.Text  `json:"pattern_type"`
	Modified       jsonwalk.Text  `json:"modified"`
	ValidFrom      jsonwalk.Text  `json:"valid_from"`
	ValidUntil     jsonwalk.Text  `json:"valid_until"`
	Revoked        jsonwalk.Text  `json:"revoked"`
	Confidence     jsonwalk.Text  `json:"confidence"`
	Labels         jsonwalk.Words `json:"labels"`
	IndicatorTypes jsonwalk.Words `json:"indicator_types"`
	Markings       jsonwalk.Words `json:"object_marking_refs"`
	KillChain      []struct {
		Phase jsonwalk.Text `json:"phase_name"`
	} `json:"kill_chain_phases"`
	References []struct {
		URL jsonwalk.Text `json:"url"`
	} `json:"external_references"`
}

// values checks state and validity and reads the pattern.
func (s *stixIndicator) values(now time.Time) ([]stixpattern.Address, []stixpattern.Name, error) {
	from, until := dates.Parse(string(s.ValidFrom)), dates.Parse(string(s.ValidUntil))
	switch {
	case s.PatternType != "" && s.PatternType != "stix":
		return nil, nil, errPatternType
	case s.Revoked.Yes():
		return nil, nil, errRevoked
	case from.After(now):
		return nil, nil, errNotYetValid
	case !until.IsZero() && !until.After(now):
		return nil, nil, document.ErrExpired
	}
	return stixpattern.Read(string(s.Pattern))
}

// entry makes what the entries of all addresses of the pattern share.
func (s *stixIndicator) entry(line int) document.Entry {
	e := document.Entry{Line: line, Indicator: intel.Indicator{
		Score:       document.ScoreOf(string(s.Confidence)),
		Category:    s.category(),
		Description: document.JoinWords(string(s.Name), string(s.Description)),
		NativeID:    string(s.ID),
		FirstSeen:   dates.Parse(string(s.ValidFrom)),
		LastSeen:    dates.Parse(string(s.Modified)),
		Expires:     dates.Parse(string(s.ValidUntil)),
	}}
	for _, r := range s.References {
		if e.Ref = document.WebURL(string(r.URL)); e.Ref != "" {
			break
		}
	}
	for _, m := range s.Markings {
		e.TLP = document.Stricter(e.TLP, stixTLP(string(m)))
	}
	e.Tidy()
	return e
}

func (s *stixIndicator) category() string {
	var terms jsonwalk.Words
	for _, k := range s.KillChain {
		terms = append(terms, k.Phase)
	}
	return document.CategoryOf(append(append(terms, s.Labels...), s.IndicatorTypes...)...)
}

// stixTLP knows the marking definitions of TLP 1.0 (STIX 2.1 section 7.2.1.4) and
// TLP 2.0 (the OASIS extension) by their fixed ids.
func stixTLP(ref string) string {
	switch strings.TrimPrefix(ref, "marking-definition--") {
	case "613f2e26-407d-48c7-9eca-b8e91df99dc9", "94868c89-83c2-464b-929b-a1a8aa3c8487":
		return "white"
	case "34098fce-860f-48ae-8e50-ebd3cc5e41da", "bab4a63c-aed9-4cf5-a766-dfca5abac2bb":
		return "green"
	case "f88d31f6-486f-44da-b317-01333bde0b82", "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
		"939a9414-2ddd-4d32-a0cd-375ea402b003":
		return "amber"
	case "5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "e828b379-4e03-4974-9ac4-e53a884c97c1":
		return "red"
	}
	return ""
}

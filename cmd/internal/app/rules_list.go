package app

import (
	"time"

	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
)

// RulesPath is the path of the API that lists the correlation rules.
const RulesPath = "/api/v1/rules"

// A RuleList has all correlation rules.
type RuleList struct {
	// Since is when this run began to count alerts; zero = no instance has answered.
	Since   time.Time    `json:"since,omitzero"`
	Rules   []ListedRule `json:"rules"`
	Invalid []string     `json:"invalid"` // what is wrong in files of rules: file:line:column: reason
}

// A ListedRule is a correlation rule, whether it runs, and how often it has fired.
type ListedRule struct {
	Name      string   `json:"name"`
	Title     string   `json:"title"`
	Origin    string   `json:"origin,omitempty"`
	Over      string   `json:"over"`
	Type      string   `json:"type,omitempty"`
	GroupBy   []string `json:"group_by,omitempty"`
	Window    string   `json:"window,omitempty"`
	Condition string   `json:"condition,omitempty"`
	Level     string   `json:"level"`
	Cooldown  string   `json:"cooldown,omitempty"`
	Alerts    bool     `json:"alerts"` // false: it is for others to refer to
	Shipped   bool     `json:"shipped"`
	File      string   `json:"file"`
	Line      int      `json:"line"`
	// Off is why it is off; empty = it is on. Note is why it never fires as things are.
	Off  string `json:"off,omitempty"`
	Note string `json:"note,omitempty"`
	// LastDay is how many alerts were sent in the last 24 hours; nil = no instance has answered.
	LastDay     *uint64   `json:"alerts_last_day,omitempty"`
	Last        time.Time `json:"last_alert,omitzero"`
	Quarantined time.Time `json:"quarantined_until,omitzero"`
}

// ListRules lists the rules of a book. The alerts of rules are not in it.
func ListRules(book *rulebook.Book, history bool) RuleList {
	l := RuleList{Rules: make([]ListedRule, 0, len(book.Entries)), Invalid: make([]string, 0, len(book.Bad))}
	for i := range book.Entries {
		one := listed(&book.Entries[i])
		if one.Over == rule.Contacts.String() && one.Off == "" && !history {
			one.Note = "there is no contact history (history.enabled)"
		}
		l.Rules = append(l.Rules, one)
	}
	for _, err := range book.Bad {
		l.Invalid = append(l.Invalid, err.Error())
	}
	return l
}

func listed(e *rulebook.Entry) ListedRule {
	c := &e.Correlation
	l := ListedRule{
		Name: e.Name, Title: e.Title, Origin: e.Origin, Over: e.Over.String(), Level: e.Level.String(), Alerts: e.Generate,
		Shipped: e.Shipped, File: e.File, Line: e.Line, Off: e.Off,
	}
	if c.Type == rule.Base {
		return l
	}
	for _, f := range c.GroupBy {
		l.GroupBy = append(l.GroupBy, f.Name)
	}
	l.Type, l.Window, l.Condition, l.Cooldown = c.Type.String(), c.Window(), e.Describe(), rule.Short(e.Cooldown)
	return l
}

// list lists the rules with their alerts.
func (r *ruleRunner) list() RuleList {
	r.mu.Lock()
	book, since := r.book, r.since
	r.mu.Unlock()
	l := ListRules(book, r.a.history.Folder() != nil)
	l.Since = since
	alerts := r.raised.Rules()
	for i := range l.Rules {
		one := &l.Rules[i]
		a := alerts[one.Name]
		one.LastDay, one.Last, one.Quarantined = &a.LastDay, a.Last, a.Quarantined
	}
	return l
}

package event

import (
	"math"
	"slices"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/intel/event/jsonline"
)

// maxFieldName bounds the name of a field of a group, maxStopLine a line for a firewall as
// written. A longer line is left out: half of one would do something else.
const (
	maxFieldName = 24
	maxStopLine  = 256
)

// AppendRule writes the evidence of an alert as an object: what rule engines filter by comes
// first, and lists of two values as two arrays, because few readers can search in objects
// within arrays. limit is that of the texts; the less it is, the less of the lists there is,
// see [AppendJSON]. left_out is how many entries have no room.
func AppendRule(l *jsonline.Line, r *Rule, limit int) {
	l.Open("rule", '{')
	appendRule(l, r, limit)
	l.Close('}')
}

func appendRule(l *jsonline.Line, r *Rule, limit int) {
	room := shedAt(limit)
	l.Name("name", r.Name)
	l.Number("count", r.Count)
	l.Count("threshold", r.Threshold)
	l.Count("usual", r.Usual)
	l.Decimal("error", r.Error)
	l.Flag("update", r.Update)
	l.Word("type", r.Type, maxFieldName)
	l.Word("tlp", r.TLP, maxFieldName)
	l.Text("title", r.Title, min(limit, MaxDescription))
	left := uint64(r.LeftOut)
	left += appendGroup(l, r.Group, limit)
	l.Time("from", r.From)
	l.Time("to", r.To)
	l.Decimal("interval", r.Interval.Seconds())
	l.Decimal("spread", r.Spread)
	left += appendShares(l, "sources", "source_counts", r.Sources, room.shares)
	left += appendShares(l, "targets", "target_counts", r.Targets, room.targets)
	left += appendPorts(l, r.Ports, room.ports)
	left += appendBars(l, r, room.bars)
	left += appendStop(l, r.Stop, room.stop)
	l.Count("left_out", min(left, math.MaxUint32))
}

// appendGroup writes the fields of a group as keys, and gives how many it left out.
func appendGroup(l *jsonline.Line, group []RuleField, limit int) (left uint64) {
	kept := 0
	for i, f := range group {
		if f.Value == "" || kept == MaxRuleGroup || !isFieldName(f.Field) || slices.ContainsFunc(group[:i], func(g RuleField) bool { return g.Field == f.Field }) {
			left++
			continue
		}
		if kept++; kept == 1 {
			l.Open("group", '{')
		}
		l.Text(f.Field, f.Value, min(limit, MaxLabel))
	}
	if kept > 0 {
		l.Close('}')
	}
	return left
}

// isFieldName reports whether a text is written as it is.
func isFieldName(s string) bool {
	for _, c := range []byte(s) {
		if c != '_' && c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != "" && len(s) <= maxFieldName
}

// appendShares writes values and, beside them, their counts.
func appendShares(l *jsonline.Line, values, counts string, list []RuleShare, most int) (left uint64) {
	all := len(list)
	list = list[:min(all, most)]
	if i := slices.IndexFunc(list, func(s RuleShare) bool { return s.Value == "" }); i >= 0 {
		list = list[:i] // there is nothing to see of it
	}
	if len(list) > 0 {
		l.Open(values, '[')
		for i := range list {
			l.Text("", list[i].Value, MaxName)
		}
		l.Close(']')
		l.Open(counts, '[')
		for i := range list {
			l.Number("", list[i].Count)
		}
		l.Close(']')
	}
	return uint64(all - len(list))
}

func appendPorts(l *jsonline.Line, list []RulePort, most int) (left uint64) {
	all := len(list)
	if list = list[:min(all, most)]; len(list) > 0 {
		l.Open("ports", '[')
		for _, p := range list {
			l.Number("", uint64(p.Port))
		}
		l.Close(']')
		l.Open("port_counts", '[')
		for _, p := range list {
			l.Number("", p.Count)
		}
		l.Close(']')
	}
	return uint64(all - len(list))
}

// appendBars writes the histogram, all of it or nothing.
func appendBars(l *jsonline.Line, r *Rule, most int) (left uint64) {
	if len(r.Histogram) > most {
		return uint64(len(r.Histogram))
	}
	if len(r.Histogram) > 0 {
		l.Open("histogram_times", '[')
		for _, b := range r.Histogram {
			l.Number("", b.Times)
		}
		l.Close(']')
		l.Open("histogram_values", '[')
		for _, b := range r.Histogram {
			l.Number("", b.Values)
		}
		l.Close(']')
		l.Flag("histogram_or_more", r.OrMore)
	}
	return 0
}

func appendStop(l *jsonline.Line, list []string, most int) (left uint64) {
	kept := 0
	for _, s := range list {
		before := len(l.B)
		if kept == most || s == "" || len(s) > maxStopLine {
			left++
			continue
		}
		if kept == 0 {
			l.Open("stop", '[')
		}
		l.Key("")
		begin := len(l.B)
		l.B = append(fit.AppendJSON(append(l.B, '"'), s, math.MaxInt), '"')
		if len(l.B)-begin > maxStopLine {
			l.B = l.B[:before]
			left++
			continue
		}
		kept++
	}
	if kept > 0 {
		l.Close(']')
	}
	return left
}

// ruleLists are the lists of a rule as a line has them.
type ruleLists struct {
	sources, targets                []string
	sourceCounts, targetCounts      []uint64
	ports                           []uint16
	portCounts, barTimes, barValues []uint64
}

// rule reads the evidence of an alert.
func (r *reader) rule() {
	e, lists := &r.e, ruleLists{}
	e.Rule = new(Rule)
	r.members(&r.unknown.Rule, func(key string) bool { return r.ruleKey(key) || r.ruleList(&lists, key) })
	e.Rule.put(&lists)
}

func (r *reader) ruleKey(key string) bool {
	u := r.e.Rule
	switch key {
	case "name":
		u.Name = r.Text()
	case "count":
		u.Count = r.Whole(math.MaxUint64)
	case "threshold":
		u.Threshold = r.Whole(math.MaxUint64)
	case "usual":
		u.Usual = r.Whole(math.MaxUint64)
	case "error":
		u.Error = r.Decimal()
	case "update":
		u.Update = r.Bool()
	case "type":
		u.Type = r.Text()
	case "tlp":
		u.TLP = r.Text()
	case "title":
		u.Title = r.Text()
	case "group":
		r.group()
	case "from":
		u.From = r.time()
	case "to":
		u.To = r.time()
	case "interval":
		u.Interval = time.Duration(math.Round(r.Decimal()*decimals)) * (time.Second / decimals)
	case "spread":
		u.Spread = r.Decimal()
	case "histogram_or_more":
		u.OrMore = r.Bool()
	case "left_out":
		u.LeftOut = number32(r)
	default:
		return false
	}
	return true
}

// decimals is how fine [jsonline.Line.Decimal] writes.
const decimals = 10_000

// group reads the fields of a group, whose keys are the fields.
func (r *reader) group() {
	var none []byte
	r.Object(&none, func(key string) bool {
		at := r.Next()
		f := RuleField{key, r.Text()}
		if !isFieldName(key) {
			r.Fail(at, "not the name of a field")
		}
		if f.Value != "" {
			r.e.Rule.Group = append(r.e.Rule.Group, f)
		}
		return true
	})
}

func (r *reader) ruleList(l *ruleLists, key string) bool {
	numbers := func(to *[]uint64) { r.Array(func() { *to = append(*to, r.Whole(math.MaxUint64)) }) }
	texts := func(to *[]string) { r.Array(func() { *to = append(*to, r.Text()) }) }
	switch key {
	case "sources":
		texts(&l.sources)
	case "source_counts":
		numbers(&l.sourceCounts)
	case "targets":
		texts(&l.targets)
	case "target_counts":
		numbers(&l.targetCounts)
	case "ports":
		r.Array(func() { l.ports = append(l.ports, number16(r)) })
	case "port_counts":
		numbers(&l.portCounts)
	case "histogram_times":
		numbers(&l.barTimes)
	case "histogram_values":
		numbers(&l.barValues)
	case "stop":
		texts(&r.e.Rule.Stop)
	default:
		return false
	}
	return true
}

// put makes lists of what stands under two keys each, within the bounds.
func (u *Rule) put(l *ruleLists) {
	left := uint64(u.LeftOut)
	count := func(counts []uint64, i int) uint64 {
		if i < len(counts) {
			return counts[i]
		}
		return 0
	}
	u.Sources = zip(l.sources, MaxRuleShares, &left, func(i int, s string) RuleShare { return RuleShare{s, count(l.sourceCounts, i)} })
	u.Targets = zip(l.targets, MaxRuleShares, &left, func(i int, s string) RuleShare { return RuleShare{s, count(l.targetCounts, i)} })
	u.Ports = zip(l.ports, MaxRulePorts, &left, func(i int, p uint16) RulePort { return RulePort{p, count(l.portCounts, i)} })
	u.Histogram = zip(l.barTimes, MaxRuleBars, &left, func(i int, n uint64) RuleBar { return RuleBar{n, count(l.barValues, i)} })
	u.Group = zip(u.Group, MaxRuleGroup, &left, func(_ int, f RuleField) RuleField { return f })
	u.Stop = zip(u.Stop, MaxRuleStop, &left, func(_ int, s string) string { return s })
	u.LeftOut = uint32(min(left, math.MaxUint32))
}

// zip makes the first elements of a list, at most most, and counts the others.
func zip[F, T any](from []F, most int, left *uint64, join func(i int, f F) T) (list []T) {
	for i, f := range from[:min(len(from), most)] {
		list = append(list, join(i, f))
	}
	*left += uint64(len(from) - len(list))
	return list
}

package form

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form/ecs"
	"github.com/flowsnitch/flowsnitch/sinks/form/ocsf"
	"github.com/flowsnitch/flowsnitch/sinks/form/pairs"
)

// The names of the forms.
const (
	Native = "native" // [event.AppendJSON]
	JSON   = "json"   // the same, as it is called beside forms that are not JSON
	ECS    = "ecs"    // Elastic Common Schema
	OCSF   = "ocsf"   // Open Cybersecurity Schema Framework
	Text   = "text"   // key=value
	CEF    = "cef"    // ArcSight Common Event Format
	LEEF   = "leef"   // QRadar Log Event Extended Format, version 2.0
	LEEF1  = "leef1"  // the same, version 1.0
)

// The values of Options.AlertIP.
const (
	AlertFlow      = "flow"
	AlertIndicator = "indicator"
)

// minLimit is what every syslog receiver takes (RFC 5424, section 6.1) and what
// the first keys of every form fit in.
const minLimit = 480

// A Form is one form of events that was chosen by name.
type Form struct {
	Name string // as in the configuration
	// Version of the form, for forms of JSON: the v of the native one, else that of the
	// schema it follows.
	Version string
	// Append appends an event as one line, newline included. It keeps nothing.
	Append func(dst []byte, e *event.Event) []byte
}

// Options are how a form is written.
type Options struct {
	// AlertIP is what Native has as srcip and Text as src.
	//
	// OSSEC and Wazuh block the source when an active response fires. A flow's
	// source is often our own host:
	//
	//	10.0.0.5:51515 ───► 203.0.113.9:443 (listed)
	//
	//	flow       srcip 10.0.0.5     dstip 203.0.113.9   as it was; blocks our host
	//	indicator  srcip 203.0.113.9  dstip 10.0.0.5      blocks the listed address
	//
	// With AlertIndicator the listed address stands there, with its port; role and
	// direction still show how the flow ran. Empty means AlertFlow.
	AlertIP string
	// Stamped puts time, sensor and program before a line of Text, for
	// files that no syslog daemon writes.
	Stamped bool
	// Limit is the length of a line in bytes, its newline included, from 480 to
	// event.MaxLine, for the forms made of key=value: what is less important is left out.
	// Lines of JSON may always take event.MaxLine. 0 means event.MaxLine.
	Limit int
	// Release is the version of the program, which CEF and LEEF have in their headers; empty
	// means 0.
	Release string
}

// ByName returns a form, or an error with the names and options that are allowed. The
// error begins with the configuration's key: format, alert_ip or limit.
func ByName(name string, o Options) (Form, error) {
	byOffender := o.AlertIP == AlertIndicator
	if o.Limit == 0 {
		o.Limit = event.MaxLine
	}
	o.Release = cmp.Or(o.Release, "0")
	k, ok := kinds[name]
	switch {
	case !ok:
		return Form{}, fmt.Errorf("format: %q is not valid; use one of %s", name, strings.Join(Names(), ", "))
	case o.AlertIP != "" && o.AlertIP != AlertFlow && !byOffender:
		return Form{}, fmt.Errorf("alert_ip: %q is not valid; use flow or indicator", o.AlertIP)
	case byOffender && !k.choosesEnds:
		return Form{}, fmt.Errorf("alert_ip: indicator is not allowed with format %s, only with native, json and text", name)
	case o.Limit < minLimit || o.Limit > event.MaxLine:
		return Form{}, fmt.Errorf("limit: %d bytes are not valid; use %d to %d", o.Limit, minLimit, event.MaxLine)
	}
	return Form{Name: name, Version: k.version, Append: k.append(o)}, nil
}

// Names gives the names that ByName knows, in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(kinds)) }

// A kind is what is known of a form before it is chosen.
type kind struct {
	version     string // see [Form]
	choosesEnds bool   // Options.AlertIP means something to it
	append      func(Options) func([]byte, *event.Event) []byte
}

var kinds = map[string]kind{
	Native: native,
	JSON:   native,
	ECS:    {version: ecs.Version, append: func(Options) func([]byte, *event.Event) []byte { return ecs.Append }},
	OCSF:   {version: ocsf.Version, append: func(Options) func([]byte, *event.Event) []byte { return ocsf.Append }},
	Text:   {choosesEnds: true, append: textForm},
	CEF: {append: func(o Options) func([]byte, *event.Event) []byte {
		return func(dst []byte, e *event.Event) []byte { return pairs.AppendCEF(dst, e, o.Release, o.Limit) }
	}},
	LEEF:  {append: leefForm('^')},
	LEEF1: {append: leefForm('\t')},
}

var native = kind{version: strconv.Itoa(event.JSONVersion), choosesEnds: true, append: func(o Options) func([]byte, *event.Event) []byte {
	if o.AlertIP == AlertIndicator {
		return event.AppendJSONByOffender
	}
	return event.AppendJSON
}}

func textForm(o Options) func([]byte, *event.Event) []byte {
	ends, form := (*event.Event).Ends, pairs.AppendKV
	if o.AlertIP == AlertIndicator {
		ends = (*event.Event).OffenderFirst
	}
	if o.Stamped {
		form = pairs.AppendStamped
	}
	return func(dst []byte, e *event.Event) []byte { return form(dst, e, ends(e), o.Limit) }
}

func leefForm(sep byte) func(Options) func([]byte, *event.Event) []byte {
	return func(o Options) func([]byte, *event.Event) []byte {
		return func(dst []byte, e *event.Event) []byte { return pairs.AppendLEEF(dst, e, sep, o.Release, o.Limit) }
	}
}

package form

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/event"
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
	Name string
	// Version of the form, for forms of JSON: the v of the native one, else that of the
	// schema it follows.
	Version string
	// Append appends an event as one line, newline included. It keeps nothing.
	Append func(dst []byte, e *event.Event) []byte
}

// Options says how a form is written.
type Options struct {
	// AlertIP says what Native has as srcip and Text as src.
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
	// direction go on telling how the flow ran. Empty means AlertFlow.
	AlertIP string
	// Stamped puts time, sensor and program before a line of Text, for
	// files that no syslog daemon writes.
	Stamped bool
	// Limit is the length of a line in bytes, its newline included, from 480 to
	// event.MaxLine, for the forms made of key=value: what is less important is left out.
	// Lines of JSON may always take event.MaxLine. 0 means event.MaxLine.
	Limit int
	// Release is the version of the program, which CEF and LEEF have in their headers.
	Release string
}

// ByName gives a form, or says which of name and options is not allowed. The
// error begins with the configuration's key: format, alert_ip or limit.
func ByName(name string, o Options) (Form, error) {
	byOffender := o.AlertIP == AlertIndicator
	if o.Limit == 0 {
		o.Limit = event.MaxLine
	}
	o.Release = cmp.Or(o.Release, noRelease)
	f := Form{Name: name, Version: formVersion(name), Append: lookupFormat(name, o)}
	switch {
	case f.Append == nil:
		return Form{}, fmt.Errorf("format: %q is not valid; use one of %s", name, strings.Join(Names(), ", "))
	case o.AlertIP != "" && o.AlertIP != AlertFlow && !byOffender:
		return Form{}, fmt.Errorf("alert_ip: %q is not valid; use flow or indicator", o.AlertIP)
	case byOffender && !choosesEnds(name):
		return Form{}, fmt.Errorf("alert_ip: indicator is not allowed with format %s, only with native, json and text", name)
	case o.Limit < minLimit || o.Limit > event.MaxLine:
		return Form{}, fmt.Errorf("limit: %d bytes are not valid; use %d to %d", o.Limit, minLimit, event.MaxLine)
	}
	return f, nil
}

// Names gives the names that ByName knows, in alphabetical order.
func Names() []string {
	names := []string{Native, JSON, ECS, OCSF, Text, CEF, LEEF, LEEF1}
	slices.Sort(names)
	return names
}

// formVersion gives the version of a form of JSON.
func formVersion(name string) string {
	switch name {
	case Native, JSON:
		return strconv.Itoa(event.JSONVersion)
	case ECS:
		return ecsVersion
	case OCSF:
		return ocsfVersion
	}
	return ""
}

// choosesEnds reports whether AlertIP means something to a form.
func choosesEnds(name string) bool {
	return name == Native || name == JSON || name == Text
}

func lookupFormat(name string, o Options) func([]byte, *event.Event) []byte {
	switch name {
	case Native, JSON:
		if o.AlertIP == AlertIndicator {
			return event.AppendJSONByOffender
		}
		return event.AppendJSON
	case ECS:
		return appendECS
	case OCSF:
		return appendOCSF
	case Text:
		return textFormat(o)
	case CEF:
		return func(dst []byte, e *event.Event) []byte { return appendCEF(dst, e, o.Release, o.Limit) }
	case LEEF:
		return func(dst []byte, e *event.Event) []byte { return appendLEEF(dst, e, '^', o.Release, o.Limit) }
	case LEEF1:
		return func(dst []byte, e *event.Event) []byte { return appendLEEF(dst, e, '\t', o.Release, o.Limit) }
	}
	return nil
}

func textFormat(o Options) func([]byte, *event.Event) []byte {
	ends, form := (*event.Event).Ends, appendKV
	if o.AlertIP == AlertIndicator {
		ends = (*event.Event).OffenderFirst
	}
	if o.Stamped {
		form = appendStamped
	}
	return func(dst []byte, e *event.Event) []byte { return form(dst, e, ends(e), o.Limit) }
}

package sinks

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
	FormatNative = "native" // [AppendNative]
	FormatJSON   = "json"   // the same, as it is called beside forms that are not JSON
	FormatECS    = "ecs"    // [AppendECS]
	FormatOCSF   = "ocsf"   // [AppendOCSF]
	FormatText   = "text"   // [AppendKV]
	FormatCEF    = "cef"    // [AppendCEF]
	FormatLEEF   = "leef"   // [AppendLEEF]
	FormatLEEF1  = "leef1"  // [AppendLEEF1]
)

// The values of Options.AlertIP.
const (
	AlertFlow      = "flow"
	AlertIndicator = "indicator"
)

// minLimit is what every syslog receiver takes (RFC 5424, section 6.1) and what
// the first keys of every form fit in.
const minLimit = 480

// A Format is one form of events that was chosen by name.
type Format struct {
	Name string
	// Version of the form, for forms of JSON: the v of the native one, else that of the
	// schema it follows.
	Version string
	// Append appends an event as one line, newline included. It keeps nothing.
	Append func(dst []byte, e *event.Event) []byte
}

// Options says how a form is written.
type Options struct {
	// AlertIP says what FormatNative has as srcip and FormatText as src.
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
	// Stamped puts time, sensor and program before a line of FormatText, for
	// files that no syslog daemon writes.
	Stamped bool
	// Limit is the length of a line in bytes, its newline included, from 480 to
	// MaxLine, for the forms made of key=value: what is less important is left out.
	// Lines of JSON may always take MaxLine. 0 means MaxLine.
	Limit int
	// Release is the version of the program, which CEF and LEEF have in their headers.
	Release string
}

// FormatByName gives a form, or says which of name and options is not allowed. The
// error begins with the configuration's key: format, alert_ip or limit.
func FormatByName(name string, o Options) (Format, error) {
	byOffender := o.AlertIP == AlertIndicator
	if o.Limit == 0 {
		o.Limit = MaxLine
	}
	o.Release = cmp.Or(o.Release, noRelease)
	f := Format{Name: name, Version: formVersion(name), Append: lookupFormat(name, o)}
	switch {
	case f.Append == nil:
		return Format{}, fmt.Errorf("format: %q is not allowed, %s are", name, strings.Join(Formats(), ", "))
	case o.AlertIP != "" && o.AlertIP != AlertFlow && !byOffender:
		return Format{}, fmt.Errorf("alert_ip: %q is not allowed, flow and indicator are", o.AlertIP)
	case byOffender && !choosesEnds(name):
		return Format{}, fmt.Errorf("alert_ip: indicator is not allowed with format %s, only with native, json and text", name)
	case o.Limit < minLimit || o.Limit > MaxLine:
		return Format{}, fmt.Errorf("limit: %d bytes are not allowed, %d to %d are", o.Limit, minLimit, MaxLine)
	}
	return f, nil
}

// Formats gives the names that FormatByName knows, in alphabetical order.
func Formats() []string {
	names := []string{FormatNative, FormatJSON, FormatECS, FormatOCSF, FormatText, FormatCEF, FormatLEEF, FormatLEEF1}
	slices.Sort(names)
	return names
}

// formVersion gives the version of a form of JSON.
func formVersion(name string) string {
	switch name {
	case FormatNative, FormatJSON:
		return strconv.Itoa(lineVersion)
	case FormatECS:
		return ecsVersion
	case FormatOCSF:
		return ocsfVersion
	}
	return ""
}

// choosesEnds reports whether AlertIP means something to a form.
func choosesEnds(name string) bool {
	return name == FormatNative || name == FormatJSON || name == FormatText
}

func lookupFormat(name string, o Options) func([]byte, *event.Event) []byte {
	switch name {
	case FormatNative, FormatJSON:
		if o.AlertIP == AlertIndicator {
			return appendNativeByOffender
		}
		return AppendNative
	case FormatECS:
		return AppendECS
	case FormatOCSF:
		return AppendOCSF
	case FormatText:
		return textFormat(o)
	case FormatCEF:
		return func(dst []byte, e *event.Event) []byte { return appendCEF(dst, e, o.Release, o.Limit) }
	case FormatLEEF:
		return func(dst []byte, e *event.Event) []byte { return appendLEEF(dst, e, '^', o.Release, o.Limit) }
	case FormatLEEF1:
		return func(dst []byte, e *event.Event) []byte { return appendLEEF(dst, e, '\t', o.Release, o.Limit) }
	}
	return nil
}

func textFormat(o Options) func([]byte, *event.Event) []byte {
	ends, form := flowEnds, appendKV
	if o.AlertIP == AlertIndicator {
		ends = offenderFirst
	}
	if o.Stamped {
		form = appendStamped
	}
	return func(dst []byte, e *event.Event) []byte { return form(dst, e, ends(e), o.Limit) }
}

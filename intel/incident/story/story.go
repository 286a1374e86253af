package story

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/fit"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/incident"
)

// Of gives an incident in sentences, the most important first. now is the time, in the zone
// in which times are shown. What a list leaves out of an incident is left out here as well.
func Of(i *incident.Incident, now time.Time) (text []string) {
	add := func(s string) {
		if s != "" {
			text = append(text, s)
		}
	}
	add(What(i))
	add(since(i.First, i.Last, i.Days, now))
	add(Trend(i.Daily, i.First, now))
	add(volume(i))
	add(why(i))
	add(listed(i.Listings))
	add(remarks(i))
	add(Attention(i, now))
	return text
}

// What gives in one sentence what happens between the offender and our hosts.
func What(i *incident.Incident) string {
	s := what(i)
	return strings.ToUpper(s[:1]) + s[1:]
}

func what(i *incident.Incident) string {
	a, on := i.Offender.String(), on(i.Services)
	switch {
	case i.Called:
		who, n := named(i, func(h *incident.HostShare) bool { return h.Called })
		return fmt.Sprintf("%s %s %s, and got an answer%s.", who, verb(n, "calls", "call"), a, on)
	case i.Outbound:
		who, n := callers(i)
		return fmt.Sprintf("%s %s to reach %s, without an answer so far%s.", who, verb(n, "tries", "try"), a, on)
	case i.Inbound && i.Answered:
		who, _ := named(i, func(h *incident.HostShare) bool { return h.Answered })
		return fmt.Sprintf("%s came from outside, and %s answered%s.", a, who, on)
	case i.Inbound:
		who, _ := named(i, nil)
		return fmt.Sprintf("%s knocks at %s from outside%s; no host has answered.", a, who, on)
	case i.Internal:
		who, _ := named(i, nil)
		return fmt.Sprintf("%s is listed and an address of yours; it was in contact with %s%s.", a, who, on)
	case i.Transit:
		return fmt.Sprintf("%s was seen in transit: neither end of its flows is in your home networks%s.", a, on)
	}
	who, _ := named(i, nil)
	return fmt.Sprintf("%s was in contact with %s%s; the flows do not show who began.", a, who, on)
}

// fewNames is how many hosts, services or feeds one sentence names.
const fewNames = 3

// named names the hosts of an incident that fit, the worst first, and gives how many fit at
// least. Where none is known to fit, or there is no list, it counts all.
func named(i *incident.Incident, fits func(*incident.HostShare) bool) (who string, n int) {
	var names []string
	for k := range i.HostList {
		if h := &i.HostList[k]; fits == nil || fits(h) {
			if n++; len(names) < fewNames {
				names = append(names, HostName(h.Host))
			}
		}
	}
	all := max(i.Hosts, n)
	switch {
	case n == 0 && all == 1:
		return "a host of yours", 1
	case n == 0:
		return fmt.Sprintf("%s%d hosts of yours", moreThan(i.MoreHosts), all), all
	case n == len(i.HostList) && all > n: // the list does not have all of them
		n = all
	}
	if n > len(names) {
		return fmt.Sprintf("%s and %d more of your hosts", strings.Join(names, ", "), n-len(names)), n
	}
	return "your " + verb(n, "host ", "hosts ") + and(names), n
}

// HostName names a host of ours.
func HostName(h incident.Host) string {
	name := "an unknown address"
	if h.Addr.IsValid() {
		name = h.Addr.String()
	}
	if h.Site != "" {
		name += " at " + plain(h.Site, 40)
	}
	return name
}

// on names the busiest services.
func on(services []incident.Service) string {
	var names []string
	for _, s := range services[:min(len(services), fewNames)] {
		names = append(names, Service(s.Protocol, s.Port))
	}
	switch {
	case len(names) == 0:
		return ""
	case len(services) > fewNames:
		return fmt.Sprintf(", on %s and others", strings.Join(names, ", "))
	}
	return ", on " + and(names)
}

// Service names a service port, as in 443/tcp.
func Service(protocol uint8, port uint16) string {
	if port == 0 {
		return flow.ProtocolName(protocol)
	}
	return fmt.Sprintf("%d/%s", port, flow.ProtocolName(protocol))
}

// since gives when it began, and whether it goes on.
func since(first, last time.Time, days int, now time.Time) string {
	if first.IsZero() || last.IsZero() {
		return ""
	}
	on := ""
	if days > 1 {
		on = fmt.Sprintf("; contact on %d days", days)
	}
	if At(last, now) == At(first, now) {
		return fmt.Sprintf("It was seen %s (%s).", At(last, now), Ago(last, now))
	}
	return fmt.Sprintf("First contact %s, last %s (%s)%s.", At(first, now), At(last, now), Ago(last, now), on)
}

// volume gives how much it was.
func volume(i *incident.Incident) string {
	if i.Flows == 0 {
		return ""
	}
	in := ""
	if i.Contacts > 0 {
		in = " in " + count(i.Contacts, "contact", "contacts")
	}
	where := ""
	if i.Hosts > 1 || i.MoreHosts {
		where = fmt.Sprintf(", with %s%s of yours", moreThan(i.MoreHosts), count(uint64(i.Hosts), "host", "hosts"))
	}
	return fmt.Sprintf("%s%s%s; your side sent %s and received %s.", count(i.Flows, "flow", "flows"), in, where, observe.Size(i.BytesOut), observe.Size(i.BytesIn))
}

// why gives the reason of the severity.
func why(i *incident.Incident) string {
	text := fmt.Sprintf("Severity %s, score %d", i.Worst, i.Score)
	if i.Reason != "" {
		text += ": " + strings.TrimSuffix(plain(i.Reason, 300), ".")
	}
	return text + "."
}

// listed names the feeds that have the offender.
func listed(listings []incident.Listing) string {
	var names []string
	for k := range listings {
		l := &listings[k]
		name := plain(l.Feed, 40)
		if l.Category != "" {
			name += " (" + plain(l.Category, 40) + ")"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	if len(names) > fewNames {
		names = append(names[:fewNames], count(uint64(len(names)-fewNames), "more listing", "more listings"))
	}
	return "Listed by " + and(names) + "."
}

// remarks are facts that change what the rest means.
func remarks(i *incident.Incident) string {
	var list []string
	if i.Blocked {
		list = append(list, "A firewall on the way has blocked flows of it.")
	}
	if i.Refused && !i.Answered {
		list = append(list, "Your hosts have refused it.")
	}
	if i.Retro {
		list = append(list, "Contact before the address was listed was found in the history.")
	}
	if i.Silenced > 0 {
		list = append(list, fmt.Sprintf("%s silenced.", count(i.Silenced, "event of it was", "events of it were")))
	}
	return strings.Join(list, " ")
}

// Attention gives who has looked at it, and what they wrote last.
func Attention(i *incident.Incident, now time.Time) string {
	text := ""
	switch i.State {
	case incident.New:
		text = "Not looked at yet."
	case incident.Open:
		text = "It is open"
		if e := last(i.Audit, incident.ActClose); e != nil {
			text = fmt.Sprintf("%s closed it %s, and it has come back", plain(e.Author, 40), Ago(e.Time, now))
		}
		text += "; nobody looks after it."
	case incident.Taken:
		text = fmt.Sprintf("%s has taken it, %s.", plain(i.Owner, 40), At(i.Since, now))
	case incident.Closed:
		text = fmt.Sprintf("It was closed%s, %s.", by(last(i.Audit, incident.ActClose)), At(i.Since, now))
	case incident.FalseAlarm:
		text = fmt.Sprintf("It was marked as a false alarm%s, %s.", by(last(i.Audit, incident.ActFalseAlarm)), At(i.Since, now))
	}
	if n := len(i.Notes); n > 0 {
		note := &i.Notes[n-1]
		text += fmt.Sprintf(" Last note, by %s %s: %s", plain(note.Author, 40), Ago(note.Time, now), plain(note.Text, 300))
	}
	return text
}

// last gives the latest entry of an act, or nil.
func last(audit []incident.Entry, act incident.Act) *incident.Entry {
	for k := range slices.Backward(audit) {
		if audit[k].Act == string(act) {
			return &audit[k]
		}
	}
	return nil
}

func by(e *incident.Entry) string {
	if e == nil || e.Author == "" {
		return ""
	}
	return " by " + plain(e.Author, 40)
}

// OfHost gives a host of ours in sentences, with its incidents, the worst first.
func OfHost(h *incident.HostRow, list []incident.Incident, now time.Time) (text []string) {
	name := HostName(h.Host)
	switch {
	case h.Called && h.Worst >= event.High:
		text = append(text, name+" called listed addresses, and they answered: treat it as compromised until you know better.")
	case h.Called:
		text = append(text, name+" called listed addresses, and they answered.")
	case h.Outbound:
		text = append(text, name+" tried to reach listed addresses, without an answer so far.")
	case h.Answered:
		text = append(text, name+" answered listed addresses.")
	default:
		text = append(text, name+" was contacted by listed addresses, and has not answered.")
	}
	if s := since(h.First, h.Last, h.Days, now); s != "" {
		text = append(text, s)
	}
	text = append(text, fmt.Sprintf("%s, the worst severity is %s; %s, %s sent, %s received.", count(uint64(h.Offenders), "offender", "offenders"), h.Worst,
		count(h.Flows, "flow", "flows"), observe.Size(h.BytesOut), observe.Size(h.BytesIn)))
	open := 0
	for k := range list {
		if s := list[k].State; s == incident.New || s == incident.Open {
			open++
		}
	}
	switch {
	case open == 0:
	case len(list) == 1:
		text = append(text, "Nobody looks after its incident.")
	case open == len(list):
		text = append(text, fmt.Sprintf("Nobody looks after any of the %d incidents shown.", open))
	default:
		text = append(text, fmt.Sprintf("Nobody looks after %d of the %d incidents shown.", open, len(list)))
	}
	return text
}

// At gives a time for people, without the date where it is today's.
func At(t, now time.Time) string {
	t = t.In(now.Location())
	y, m, d := t.Date()
	if ny, nm, nd := now.Date(); y == ny && m == nm && d == nd {
		return t.Format("today 15:04")
	}
	return t.Format("Mon 2006-01-02 15:04")
}

// Ago gives how long ago a time was.
func Ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 0:
		return "in the future, by this clock"
	case d < time.Minute:
		return "less than a minute ago"
	case d < time.Hour:
		return count(uint64(d/time.Minute), "minute ago", "minutes ago")
	case d < 48*time.Hour:
		return count(uint64(d/time.Hour), "hour ago", "hours ago")
	}
	return count(uint64(d/(24*time.Hour)), "day ago", "days ago")
}

// plain makes foreign text harmless: one line, cut.
func plain(s string, most int) string { return string(fit.AppendPlain(nil, s, most)) }

func count(n uint64, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func moreThan(more bool) string {
	if more {
		return "more than "
	}
	return ""
}

// and joins names.
func and(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

// mayBlock reports whether an address can be one of the internet.
func mayBlock(a netip.Addr) bool {
	return a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}

package app

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"
)

// quietTime is how long nobody may send anything after the start before the log explains what
// to look at. The checks warn later: a device may export every five minutes.
const quietTime = time.Minute

// A quiet instance is one that nobody sends anything.
type quiet struct {
	listeners *listeners
	exporters func(most int) ExporterStatus
	since     time.Time
	log       *zap.Logger

	named bool // it is settled
}

// look logs once that no datagram has come since the start, and what to look at.
func (q *quiet) look(now time.Time) {
	if now.Sub(q.since) < quietTime || q.named {
		return
	}
	q.named = true
	if anyExport(q.exporters(maxListed).List, now) {
		return
	}
	var ports []string
	var refused uint64
	var senders []netip.Addr
	for _, l := range q.listeners.status() {
		ports = append(ports, "udp "+l.Address)
		refused += l.Refused
		for _, r := range l.RefusedSenders {
			senders = append(senders, r.Address)
		}
	}
	if refused > 0 {
		q.log.Warn("all that has come since the start was refused: add the senders to 'allow' of the listener or to 'home'",
			zap.Uint64("datagrams", refused), zap.Stringers("senders", senders))
		return
	}
	q.log.Warn(fmt.Sprintf("nothing has come for %s: point the flow export of a router at %s of this machine, and look at the firewalls on the way; "+
		"exporters wait for the end of a flow, and softflowd on a quiet line for 128 KiB of packets (irino/softflowd#71); "+
		"'flowsnitch demo --to HOST:PORT' sends flows to try it", quietTime, strings.Join(ports, ", ")))
}

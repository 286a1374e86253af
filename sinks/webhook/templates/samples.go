package templates

import (
	"net/netip"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/webhook/notice"
)

// samples are messages as they come, for a look at what a template makes of them: one with
// everything, hostile text and more than can be named, and one with as little as possible.
func samples() []*notice.Message {
	const foreign = `"}] \ ` + "`" + ` @channel <!here> [x](https://evil.example) {{.}} & 'quoted'`
	full := &notice.Message{Page: "https://flowsnitch.example"}
	for n := range 30 {
		offender := netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
		full.Add(&event.Event{
			Kind: event.KindHit, Time: time.Unix(1_800_000_000, 0), Sensor: "sample", Offender: offender, Local: netip.MustParseAddr("10.0.0.5"),
			Direction: event.Outbound, Answered: event.AnsweredYes, Severity: event.Critical, Score: 95, Reason: foreign,
			Src: netip.MustParseAddr("10.0.0.5"), Dst: offender, Exporter: netip.MustParseAddr("192.0.2.1"),
			Indicators: []event.Indicator{{Prefix: netip.PrefixFrom(offender, 32), Feed: "sample", Score: 90, Category: "c2", Description: foreign}},
		}, "first contact")
	}
	full.Add(&event.Event{Kind: event.KindAlert, Time: time.Unix(1_800_000_000, 0), Sensor: "sample", Alert: "feed_held_back", Severity: event.Medium, Reason: foreign}, "alert")
	bare := &notice.Message{}
	bare.Add(&event.Event{Kind: event.KindAlert}, "alert")
	return []*notice.Message{full, bare}
}

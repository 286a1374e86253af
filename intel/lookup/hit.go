package lookup

import (
	"net/netip"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
)

// A Hit is a flow record with an offender: a listed address at one of its sides.
// A record with two listed addresses makes two hits. Hits are plain values of 100
// bytes; they leave the worker in batches that the receiver must not keep.
type Hit struct {
	// Record is shared by the hits of one record, and belongs to the batch that they come in.
	Record   *flow.Record
	Offender netip.Addr
	// Side is the first place where the offender stands in the record.
	Side flow.Side
	// Match holds every listing of the offender in the table that was in force. It is
	// empty for a canary.
	Match Match
	// Canary is set when the record is a canary: then this is no hit.
	Canary *event.Canary
}

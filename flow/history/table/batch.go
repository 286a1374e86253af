package table

import "github.com/flowsnitch/flowsnitch/flow"

// A Batch is a number of flows as columns, element i of each for flow i. The caller fills
// them, all to the same length, and keeps the memory; [Batch.Clear] makes them empty for the
// next batch. The fields have the meaning of those of [row.Row].
type Batch struct {
	Outside, Inside []flow.Addr6 // IPv4 as ::ffff:a.b.c.d
	Protocol        []uint8
	Port            []uint16
	// Exporter and Site are the numbers by which Names has the address and the name.
	Exporter, Site []uint16
	// Direction uses the last two bits, Flags the last four.
	Direction, Flags []uint8
	Sampling         []uint32 // 0 is taken as 1
	// Multiplied by the sampling rate.
	PacketsOut, PacketsIn, BytesOut, BytesIn []uint64
	First, Last                              []uint32 // s since 1970 UTC
}

// Len is the number of flows.
func (b *Batch) Len() int { return len(b.Outside) }

// Clear makes all columns empty and keeps their memory.
func (b *Batch) Clear() { *b = b.part(0, 0) }

// part gives n flows from number from on.
func (b *Batch) part(from, n int) Batch {
	to := from + n
	return Batch{
		Outside: b.Outside[from:to], Inside: b.Inside[from:to], Protocol: b.Protocol[from:to], Port: b.Port[from:to],
		Exporter: b.Exporter[from:to], Site: b.Site[from:to], Direction: b.Direction[from:to], Flags: b.Flags[from:to],
		Sampling: b.Sampling[from:to], PacketsOut: b.PacketsOut[from:to], PacketsIn: b.PacketsIn[from:to],
		BytesOut: b.BytesOut[from:to], BytesIn: b.BytesIn[from:to], First: b.First[from:to], Last: b.Last[from:to],
	}
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/capture"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/spf13/cobra"
)

// newDecode makes the command that prints flow records.
func newDecode() *cobra.Command {
	return &cobra.Command{
		Use:   "decode CAPTURE...",
		Short: "Print every flow record of captured export packets as a JSON line",
		Long: `decode reads captures (pcap, pcapng) of NetFlow v5, v9, IPFIX and sFlow packets,
on whatever port they were sent, and prints every flow record as one line of JSON,
with its numbers and times as exported: nothing is multiplied by a sampling rate.
A summary of what was read and what could not be goes to standard error.`,
		Example: `  flowsnitch decode router.pcap
  flowsnitch decode router.pcap | jq 'select(.dport == 443)'`,
		Args: arguments("a capture file", anyNumber),
		RunE: func(c *cobra.Command, args []string) error {
			out := bufio.NewWriterSize(c.OutOrStdout(), 1<<16)
			p := &recordPrinter{out: out}
			sum, err := decodeFiles(c, args, p)
			if e := out.Flush(); err == nil && e != nil {
				err = e
			}
			sum.print(c.ErrOrStderr())
			return err
		},
	}
}

// A recordPrinter prints every record of every set.
type recordPrinter struct {
	out  *bufio.Writer
	n    int
	line []byte
	rec  flow.Record
}

// Records prints a set.
func (p *recordPrinter) Records(s *decode.Set) {
	for i := range s.Len() {
		s.Record(i, &p.rec)
		p.line = appendRecordLine(p.line[:0], p.n, s.Frame(), &p.rec)
		p.out.Write(p.line)
		p.n++
	}
}

// decodeFiles sends captures through a decoder, each with exporters of its own:
// templates of one file say nothing about another.
func decodeFiles(c *cobra.Command, paths []string, h decode.Handler) (*captureSummary, error) {
	sum := &captureSummary{}
	var errs []error
	for _, path := range paths {
		x := decode.NewExporters(decode.DefaultLimits())
		d := decode.New(x, h)
		err := eachDatagram(c, path, sum, d.Decode)
		stats := d.Stats()
		sum.decoded(stats, x)
		if err == nil && stats.Datagrams() == 0 {
			err = fmt.Errorf("%s: no NetFlow, IPFIX or sFlow in it", path)
		}
		if err != nil {
			errs = append(errs, err)
		}
		if c.Context().Err() != nil {
			break
		}
	}
	return sum, errors.Join(errs...)
}

// eachDatagram reads one capture. The error reports which file.
func eachDatagram(c *cobra.Command, path string, sum *captureSummary, yield func(*flow.Datagram)) error {
	r, err := capture.Open(path)
	if err != nil {
		return err // begins with the path
	}
	defer r.Close()
	defer func() { sum.read(r.Stats()) }()
	for {
		if err := c.Context().Err(); err != nil {
			return fmt.Errorf("%s: interrupted", path)
		}
		dg, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		dg.Frame = r.Frame()
		yield(&dg)
	}
}

package udp

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// netHeader is SKF_NET_OFF: loads from here on are relative to the IP header,
	// wherever the kernel has moved the start of the packet.
	netHeader   = 0xfff00000
	etherTypeV6 = 0x86dd
	// golden is 2^32 divided by the golden ratio: a multiplication by it spreads
	// neighbouring addresses over the high bits.
	golden = 0x9e3779b1
)

// steer makes the kernel choose among the n sockets of the address by the sender's
// address alone. Its own choice hashes the ports too, so that an exporter would
// change sockets when it restarts. It needs no privilege.
func (s *Socket) steer(n int) error {
	program, err := steering(n)
	if err != nil {
		return err
	}
	return control(s.raw, func(fd int) error { return attach(fd, unix.SO_ATTACH_REUSEPORT_CBPF, program) })
}

// steering is the program: the index of a socket from a hash of the source.
func steering(n int) ([]unix.SockFilter, error) {
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: etherTypeV6, SkipTrue: 2},
		bpf.LoadAbsolute{Off: netHeader + 12, Size: 4}, // IPv4 source
		bpf.Jump{Skip: 10},
		bpf.LoadAbsolute{Off: netHeader + 8, Size: 4}, // IPv6 source, four words
		bpf.TAX{},
		bpf.LoadAbsolute{Off: netHeader + 12, Size: 4},
		bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.TAX{},
		bpf.LoadAbsolute{Off: netHeader + 16, Size: 4},
		bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.TAX{},
		bpf.LoadAbsolute{Off: netHeader + 20, Size: 4},
		bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: golden},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16},
		bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(n)},
		bpf.RetA{},
	})
	if err != nil {
		return nil, err
	}
	program := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		program[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return program, nil
}

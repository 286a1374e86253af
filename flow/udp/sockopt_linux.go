package udp

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sharePort lets further sockets of this user bind to the same address.
func sharePort(fd int) error {
	return os.NewSyscallError("setsockopt SO_REUSEPORT",
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}

// setReceiveBuffer asks for want bytes and returns what the kernel gave. Without
// CAP_NET_ADMIN the request is capped silently by net.core.rmem_max. The kernel
// doubles the figure for its own overhead, which is taken out again.
func setReceiveBuffer(fd, want int) (granted int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, want) // read back below
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return got / 2
}

// shut attaches a filter that drops whatever arrives from now on. The kernel
// counts that as drops, and what is in the buffer stays.
func (s *Socket) shut() error {
	return control(s.raw, func(fd int) error { return attach(fd, unix.SO_ATTACH_FILTER, dropAll) })
}

// dropAll is a socket filter that lets nothing in.
var dropAll = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}

// attach gives the socket a classic BPF program.
func attach(fd, option int, program []unix.SockFilter) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, option,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// discard empties the buffer of a shut socket and returns how many datagrams lay
// there.
func (s *Socket) discard() (n uint64) {
	var b [1]byte
	_ = control(s.raw, func(fd int) error {
		for {
			switch _, _, err := unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT); err {
			case nil:
				n++
			case unix.EINTR:
			default:
				return err
			}
		}
	})
	return n
}

// control runs f with the descriptor, which stays open meanwhile.
func control(c syscall.RawConn, f func(fd int) error) (err error) {
	if e := c.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}

// kernelDrops reads the kernel's drop counter: SO_MEMINFO (Linux 4.12), or the
// drops column of /proc/net/udp, which emulators have.
func (s *Socket) kernelDrops() (n uint32, ok bool) {
	err := control(s.raw, func(fd int) error {
		if n, ok = memInfoDrops(fd); !ok {
			n, ok = procDrops(fd)
		}
		return nil
	})
	return n, ok && err == nil
}

func memInfoDrops(fd int) (uint32, bool) {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < unix.SK_MEMINFO_DROPS*4+4 {
		return 0, false
	}
	return info[unix.SK_MEMINFO_DROPS], true
}

// procDrops finds the socket in the kernel's tables by its inode.
func procDrops(fd int) (uint32, bool) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0, false
	}
	for _, table := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		if n, ok := dropsColumn(string(text), st.Ino); ok {
			return n, true
		}
	}
	return 0, false
}

// dropsColumn reads a table like /proc/net/udp, whose tenth column is the inode
// and whose last one the drops.
func dropsColumn(table string, inode uint64) (uint32, bool) {
	want := strconv.FormatUint(inode, 10)
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) != 13 || f[9] != want {
			continue
		}
		n, err := strconv.ParseUint(f[12], 10, 32)
		return uint32(n), err == nil
	}
	return 0, false
}

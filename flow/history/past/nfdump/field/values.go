package field

import (
	"bytes"
	"math"
	"net/netip"
	"strings"
	"time"
)

// protocols are the words of nfdump by IANA number, where it has one.
var protocols = func() map[string]uint8 {
	words := strings.Fields(`0 ICMP IGMP GGP IPIP ST TCP CBT EGP IGP BBN NVPII PUP ARGUS ENCOM XNET CHAOS UDP
		MUX DCN HMP PRM XNS Trnk1 Trnk2 Leaf1 Leaf2 RDP IRTP ISO-4 NETBK MFESP MEINP DCCP 3PC IDPR XTP DDP
		38 TP++ IL IPv6 SDRP Rte6 Frag6 IDRP RSVP GRE MHRP BNA ESP AH INLSP SWIPE NARP MOBIL TLSP SKIP ICMP6
		NOHE6 OPTS6 HOST CFTP NET SATNT KLAN RVD IPPC FS SATM VISA IPCV CPNX CPHB WSN PVP BSATM SUNND WBMON
		WBEXP ISOIP VMTP SVMTP VINES TTP NSIGP DGP TCF EIGRP OSPF S-RPC LARP MTP AX.25 OS MICP SCCSP ETHIP
		ENCAP 99 GMTP IFMP PNNI PIM ARIS SCPS QNX A/N IPcmp SNP CpqPP IPXIP VRRP PGM 0hop L2TP DDX IATP STP
		SRP UTI SMP SM PTP ISIS4 FIRE CRTP CRUDP 128 IPLT SPS PIPE SCTP FC 134 MHEAD UDP-L MPLS`)
	m := make(map[string]uint8, len(words))
	for n, w := range words {
		m[w] = uint8(n)
	}
	return m
}()

// protocol reads a protocol as word or number.
func protocol(b []byte) (uint8, bool) {
	if n, ok := protocols[string(b)]; ok {
		return n, true
	}
	n, ok := number(b)
	return uint8(n), ok && n <= math.MaxUint8
}

// number reads a number without sign.
func number(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	n := uint64(0)
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// port reads a port, or type.code of ICMP.
func port(b []byte) (uint16, bool) {
	kind, code, icmp := bytes.Cut(b, []byte{'.'})
	if !icmp {
		n, ok := number(b)
		return uint16(n), ok && n <= math.MaxUint16
	}
	k, okKind := number(kind)
	c, okCode := number(code)
	return uint16(k<<8 | c), okKind && okCode && k <= math.MaxUint8 && c <= math.MaxUint8
}

// address reads an address; 0.0.0.0 and :: are addresses.
func address(b []byte) (netip.Addr, bool) {
	if len(b) > 45 {
		return netip.Addr{}, false
	}
	if a, ok := address4(b); ok {
		return a, true
	}
	a, err := netip.ParseAddr(string(b))
	return a.WithZone("").Unmap(), err == nil
}

// address4 reads the common case without allocating.
func address4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	n, digits, at := 0, 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9' && digits < 3 && (digits == 0 || n > 0):
			n = n*10 + int(c-'0')
			digits++
		case c == '.' && digits > 0 && at < 3 && n <= math.MaxUint8:
			a[at] = byte(n)
			n, digits = 0, 0
			at++
		default:
			return netip.Addr{}, false
		}
	}
	if at != 3 || digits == 0 || n > math.MaxUint8 {
		return netip.Addr{}, false
	}
	a[3] = byte(n)
	return netip.AddrFrom4(a), true
}

// hasAddress reads an address that stands for none when it is 0.0.0.0 or ::.
func hasAddress(b []byte) (netip.Addr, bool) {
	a, ok := address(b)
	if ok && a.IsUnspecified() {
		return netip.Addr{}, true
	}
	return a, ok
}

// tcpFlags reads flags as letters, such as ...AP.SF, or as a number.
func tcpFlags(b []byte) (uint8, bool) {
	if n, ok := number(b); ok {
		return uint8(n), n <= math.MaxUint8
	}
	f := uint8(0)
	for _, c := range b {
		if c == '.' || c == ' ' {
			continue
		}
		bit := strings.IndexByte("FSRPAUEC", c)
		if bit < 0 {
			return 0, false
		}
		f |= 1 << bit
	}
	return f, true
}

// seconds reads a duration: seconds with a fraction, or [Nd ]hh:mm:ss.mmm. The result is in ms;
// what is no duration of a flow is 0, as nfdump prints differences that wrapped.
func seconds(b []byte) (int64, bool) {
	days := uint64(0)
	if n, rest, ok := bytes.Cut(b, []byte("d ")); ok {
		if days, ok = number(n); !ok || days > 1000 {
			return 0, false
		}
		b = rest
	}
	whole, fraction, _ := bytes.Cut(b, []byte{'.'})
	total := uint64(0)
	parts := 0
	for part := range bytes.SplitSeq(whole, []byte{':'}) {
		n, ok := number(bytes.TrimSpace(part))
		if parts++; !ok || parts > 3 {
			return 0, false
		}
		total = min(total*60, math.MaxUint32) + min(n, math.MaxUint32)
	}
	ms, ok := thousandths(fraction)
	if total += days * 86400; total > maxDuration {
		return 0, ok
	}
	return int64(total)*1000 + ms, ok
}

// maxDuration of a flow in s. Exporters end them after minutes or hours.
const maxDuration = 30 * 86400

// thousandths reads the digits after the point.
func thousandths(b []byte) (int64, bool) {
	n := int64(0)
	for i := range 3 {
		n *= 10
		if i < len(b) {
			d := b[i] - '0'
			if d > 9 {
				return 0, false
			}
			n += int64(d)
		}
	}
	return n, true
}

// A Clock reads times that are written in a time zone without naming it. It belongs to one goroutine.
type Clock struct {
	Zone *time.Location // in which nfdump ran
	// The hour that was read last, and when it began.
	hour  [4]int
	began int64
}

// time reads yyyy-mm-dd hh:mm:ss with a fraction or without, also with a T between, or s since
// 1970 with a fraction, or ms since 1970. The result is in ms since 1970 UTC, 0 when nothing is
// known. plain is for fractions that are a number of ms.
func (c *Clock) time(b []byte, plain bool) (int64, bool) {
	if len(b) < 19 || b[4] != '-' {
		return sinceEpoch(b)
	}
	year, ok1 := digits(b[0:4])
	month, ok2 := digits(b[5:7])
	day, ok3 := digits(b[8:10])
	hour, ok4 := digits(b[11:13])
	minute, ok5 := digits(b[14:16])
	second, ok6 := digits(b[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || b[7] != '-' || (b[10] != ' ' && b[10] != 'T') || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	if year == 0 {
		return 0, true // 0000-00-00: not there
	}
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	ms, ok := int64(0), true
	if rest := b[19:]; len(rest) > 0 {
		switch {
		case rest[0] != '.':
			return 0, false
		case plain:
			n, isNumber := number(rest[1:])
			ms, ok = int64(n), isNumber && n < 1000
		default:
			ms, ok = thousandths(rest[1:])
		}
	}
	if key := [4]int{year, month, day, hour}; key != c.hour {
		c.hour, c.began = key, time.Date(year, time.Month(month), day, hour, 0, 0, 0, c.Zone).UnixMilli()
	}
	return known(c.began + int64(minute*60+second)*1000 + ms), ok
}

// sinceEpoch reads numbers.
func sinceEpoch(b []byte) (int64, bool) {
	whole, fraction, isFraction := bytes.Cut(b, []byte{'.'})
	n, ok := number(whole)
	if !ok || n > 1<<53 {
		return 0, false
	}
	if !isFraction {
		if n < 1e11 {
			n *= 1000
		}
		return known(int64(n)), true
	}
	ms, ok := thousandths(fraction)
	return known(int64(n)*1000 + ms), ok
}

// known is a time, or 0 when it is from the first days of 1970, which is what no time becomes
// in any zone, or does not fit into a history.
func known(ms int64) int64 {
	if ms < 2*86400*1000 || ms > math.MaxUint32*1000 {
		return 0
	}
	return ms
}

func digits(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

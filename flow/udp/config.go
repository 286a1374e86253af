package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Config is where to listen and what to do with what arrives there.
type Config struct {
	// Listen is the address: ":2055" takes IPv4 and IPv6, "0.0.0.0:2055" and
	// "[::]:2055" one family each, "192.0.2.1:2055" one address. Names are not
	// accepted. Port 0 picks a free one.
	Listen string `yaml:"udp"`
	// Sockets is how many sockets share the address (SO_REUSEPORT), one worker
	// each; 1 to 64. An exporter stays on one socket.
	Sockets int `yaml:"sockets"`
	// ReceiveBuffer is the configured size of each socket's kernel buffer, in bytes.
	// The kernel may grant less without CAP_NET_ADMIN (net.core.rmem_max):
	// Stats.BufferGranted has.
	ReceiveBuffer int `yaml:"receive_buffer"`
	// Batch is the most datagrams that one Read returns, 1 to 1024. Each slot
	// costs 64 KiB of address space, of which only the touched pages are resident.
	Batch int `yaml:"batch"`
	// Allow are the senders that are listened to. nil admits everybody, an empty
	// list nobody.
	Allow []netip.Prefix `yaml:"allow"`
	// Forward are the host:port targets that accepted datagrams are copied to.
	Forward []string `yaml:"forward"`
}

// The limits that Validate holds a Config to.
const (
	maxSockets       = 64
	minReceiveBuffer = 4 << 10
	maxReceiveBuffer = 1 << 30
	maxBatch         = 1024 // UIO_MAXIOV, the kernel's own limit
)

// DefaultConfig listens on port 2055 of every address, with one socket.
func DefaultConfig() Config {
	return Config{Listen: ":2055", Sockets: 1, ReceiveBuffer: 8 << 20, Batch: 64}
}

// UnmarshalYAML begins with the defaults. The address has none.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	*c = DefaultConfig()
	c.Listen = ""
	type keys Config // without this method
	return unmarshal((*keys)(c))
}

// Validate reports everything that is wrong, each part beginning with its YAML key.
func (c Config) Validate() error {
	var errs []error
	if _, err := parseListen(c.Listen); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs,
		inRange("sockets", c.Sockets, 1, maxSockets),
		inRange("receive_buffer", c.ReceiveBuffer, minReceiveBuffer, maxReceiveBuffer),
		inRange("batch", c.Batch, 1, maxBatch))
	for i, p := range c.Allow {
		if !p.IsValid() {
			errs = append(errs, fmt.Errorf("allow[%d]: not a prefix such as 192.0.2.0/24", i))
		}
	}
	if err := c.fits(); err != nil {
		errs = append(errs, err)
	}
	for i, f := range c.Forward {
		if _, _, err := SplitTarget(f); err != nil {
			errs = append(errs, fmt.Errorf("forward[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// fits makes sure that somebody of Allow can reach the socket, which may be of one family.
func (c *Config) fits() error {
	e, err := parseListen(c.Listen)
	if err != nil || e.network == "udp" || len(c.Allow) == 0 {
		return nil
	}
	family, other := "IPv4", "IPv6"
	if e.network == "udp6" {
		family, other = "IPv6", "IPv4"
	}
	for _, p := range c.Allow {
		if !p.IsValid() || p.Addr().Unmap().Is4() == (family == "IPv4") {
			return nil
		}
	}
	return fmt.Errorf("allow: all of it is %s, and %s receives %s only, so no sender can match", other, c.Listen, family)
}

func inRange(key string, v, low, high int) error {
	if v < low || v > high {
		return fmt.Errorf("%s: %d is outside %d to %d", key, v, low, high)
	}
	return nil
}

// An endpoint is a parsed Config.Listen: the address in the words of package net.
type endpoint struct {
	network string // udp is both families on one socket
	host    string
	port    uint16
}

func (e endpoint) String() string {
	return net.JoinHostPort(e.host, strconv.Itoa(int(e.port)))
}

// SplitListen splits Config.Listen. The host is an address, or empty for all of them.
func SplitListen(s string) (host string, port uint16, err error) {
	e, err := parseListen(s)
	return e.host, e.port, err
}

// parseListen picks the network from the way the host is written, because
// package net would open "0.0.0.0" with network "udp" for both families.
func parseListen(s string) (endpoint, error) {
	host, port, err := splitHostPort(s)
	if err != nil {
		return endpoint{}, fmt.Errorf(`udp: %q: %w; use ":2055", "192.0.2.1:2055" or "[2001:db8::1]:2055"`, s, err)
	}
	if host == "" {
		return endpoint{"udp", "", port}, nil
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return endpoint{}, fmt.Errorf("udp: %q: the host must be an address, not a name", s)
	case addr.Is4():
		return endpoint{"udp4", host, port}, nil
	case addr.Is4In6():
		return endpoint{"udp4", addr.Unmap().String(), port}, nil
	}
	return endpoint{"udp6", host, port}, nil
}

// SplitTarget splits an entry of Config.Forward; its host may be a name.
func SplitTarget(s string) (host string, port uint16, err error) {
	host, port, err = splitHostPort(s)
	switch {
	case err != nil:
		return "", 0, fmt.Errorf(`%q: %w; use "collector.example:2055" or "192.0.2.1:2055"`, s, err)
	case host == "":
		return "", 0, fmt.Errorf(`%q: the host is missing; use "collector.example:2055" or "192.0.2.1:2055"`, s)
	case port == 0:
		return "", 0, fmt.Errorf("%q: port 0 cannot be sent to; allowed are 1 to 65535", s)
	}
	return host, port, nil
}

func splitHostPort(s string) (host string, port uint16, err error) {
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, errors.New("not host:port")
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q is not a number up to 65535", digits)
	}
	return host, uint16(n), nil
}

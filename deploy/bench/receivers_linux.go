package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
)

const goflow2 = "github.com/netsampler/goflow2/v2/cmd/goflow2@v2.2.6"

// receiveBuffer is what flowsnitch asks for by default, in bytes. The others that can
// be configured get the same.
const receiveBuffer = 8 << 20

// A bench has the programs, in a folder of its own.
type bench struct {
	dir string
	options
}

// A receiver is one of the programs compared.
type receiver struct {
	name string
	rate int // flows per second
	// command gives the program with its arguments, to listen on a UDP address of
	// 127.0.0.1; dir is its own.
	command func(dir string, addr netip.AddrPort) ([]string, error)
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// build makes the programs and the list.
func (b *bench) build() error {
	commands := []*exec.Cmd{
		exec.Command("go", "build", "-o", b.dir, "./cmd/flowsnitch", "./cmd/flowgen"),
		exec.Command("go", "install", goflow2),
	}
	for _, c := range commands {
		c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+b.dir)
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", c.Args, err, out)
		}
	}
	return b.writeList()
}

// writeList writes random addresses, the same every time.
func (b *bench) writeList() error {
	f, err := os.Create(b.path("list.txt"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	random := rand.New(rand.NewPCG(1, 2))
	for range b.indicators {
		a := random.Uint32()
		fmt.Fprintln(w, netip.AddrFrom4([4]byte{byte(a>>24)%223 + 1, byte(a >> 16), byte(a >> 8), byte(a)}))
	}
	return errors.Join(w.Flush(), f.Close())
}

// receivers lists what is compared, the floor first, then flowsnitch without and with the
// history of contacts.
func (b *bench) receivers() []receiver {
	all := []receiver{
		{"bare recvmmsg loop", b.rate, b.floor},
		{"flowsnitch, no history", b.rate, func(dir string, addr netip.AddrPort) ([]string, error) { return b.flowsnitch(dir, addr, false) }},
		{"flowsnitch", b.rate, func(dir string, addr netip.AddrPort) ([]string, error) { return b.flowsnitch(dir, addr, true) }},
	}
	if _, err := exec.LookPath("nfcapd"); err == nil {
		all = append(all, receiver{"nfcapd", b.rate, b.nfcapd})
	} else {
		fmt.Fprintln(os.Stderr, "nfcapd is missing and left out: apt-get install --no-install-recommends nfdump")
	}
	return append(all, receiver{"goflow2", b.slowRate, b.goflow2})
}

func (b *bench) floor(_ string, addr netip.AddrPort) ([]string, error) {
	self, err := os.Executable()
	return []string{self, floorCommand, addr.String()}, err
}

// home is the network that one end of each flow is in.
const home = "10.0.0.0/8"

func (b *bench) flowsnitch(dir string, addr netip.AddrPort, history bool) ([]string, error) {
	config := filepath.Join(dir, "flowsnitch.yml")
	text := fmt.Sprintf("state_dir: %s\nlisten: [{udp: %q, receive_buffer: %d}]\nsinks: [{jsonlog: {}}]\nintel: {feeds: []}\ncanary: {every: 0s}\nhome: [%s]\nhistory: {enabled: %v}\n",
		dir, addr, receiveBuffer, home, history)
	err := os.WriteFile(config, []byte(text), 0o600)
	return []string{b.path("flowsnitch"), "run", "-c", config, "--intel", b.path("list.txt")}, err
}

func (b *bench) nfcapd(dir string, addr netip.AddrPort) ([]string, error) {
	return []string{"nfcapd", "-w", dir, "-b", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()),
		"-B", fmt.Sprint(receiveBuffer), "-t", "3600"}, nil
}

func (b *bench) goflow2(_ string, addr netip.AddrPort) ([]string, error) {
	return []string{b.path("goflow2"), "-listen", "netflow://" + addr.String(), "-addr", "127.0.0.1:0",
		"-format", "bin", "-transport.file", os.DevNull, "-loglevel", "error"}, nil
}

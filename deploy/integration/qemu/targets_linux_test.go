//go:build integration || soak

package qemu

import (
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/deploy/integration/internal/instance"
)

// A pi is a model's processor.
type pi struct {
	name   string
	target instance.Target
}

var pis = []pi{
	{"armv6", instance.Target{Arch: "arm", ARM: "6", Emulator: []string{"qemu-arm", "-cpu", "arm1176"}}},
	{"armv7", instance.Target{Arch: "arm", ARM: "7", Emulator: []string{"qemu-arm", "-cpu", "cortex-a7"}}},
	{"arm64", instance.Target{Arch: "arm64", Emulator: []string{"qemu-aarch64", "-cpu", "cortex-a53"}}},
}

// patience is long: 1,000,000 entries take minutes in an emulator on a busy machine.
const patience = 3 * time.Minute

// run starts the edge profile on a Pi.
func (p *pi) run(t *testing.T, config string) *instance.Instance {
	t.Helper()
	i := instance.New(t, "profile: edge\n"+config)
	i.Target, i.Patience = p.target, patience
	i.Start(t)
	return i
}

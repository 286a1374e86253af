//go:build soak

package day

import "time"

// suite is what newcomer.sh runs of the tests.
const suite = "all"

// longest is when the newcomer's path counts as hung.
const longest = 25 * time.Minute

// built is whether the newcomer's Go may read what this machine has compiled: a fresh Debian
// has nothing.
const built = false

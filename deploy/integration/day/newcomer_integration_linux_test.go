//go:build integration && !soak

package day

import "time"

// suite is what newcomer.sh runs of the tests: none, for they have run already.
const suite = "none"

// longest is when the newcomer's path counts as hung.
const longest = 8 * time.Minute

// built is whether the newcomer's Go may read what this machine has compiled, which takes
// minutes off.
const built = true

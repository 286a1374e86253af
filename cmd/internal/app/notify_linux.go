package app

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// monotonicUsec is what a manager expects with RELOADING=1 (systemd 253,
// Type=notify-reload), so that it does not take an older READY=1 for the answer.
func monotonicUsec() []string {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return nil
	}
	return []string{fmt.Sprintf("MONOTONIC_USEC=%d", t.Nano()/1000)}
}

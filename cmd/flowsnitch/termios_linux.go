package main

import "golang.org/x/sys/unix"

// The requests of ioctl(2) that read and set the modes of a terminal, at once.
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)

// noKey stands for no key in the control characters of a terminal (_POSIX_VDISABLE).
const noKey = 0

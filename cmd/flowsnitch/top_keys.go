package main

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// keys hand over what is typed, key by key and without showing it. Ctrl-C and the like make
// signals as ever, but for Ctrl-Z: a Go program that handles its signal cannot stop itself
// by it any more.
type keys struct {
	suspend  chan struct{} // one token: Ctrl-Z was typed
	terminal *os.File      // nil = there is none
	wake     *os.File      // closed to end the goroutine
	done     chan struct{}

	mu     sync.Mutex
	before *unix.Termios // of the terminal; nil = it has that now
	closed bool
}

const ctrlZ = 'Z' & 0x1f

func noKeys() *keys { return &keys{} }

// watchKeys calls quit when q is typed, or when there is nothing more to type. Without a
// terminal there are no keys.
func watchKeys(in io.Reader, quit func()) *keys {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return noKeys()
	}
	woken, wake, err := os.Pipe()
	if err != nil {
		return noKeys()
	}
	k := &keys{suspend: make(chan struct{}, 1), terminal: f, wake: wake, done: make(chan struct{})}
	k.take()
	go func() {
		defer close(k.done)
		defer woken.Close()
		k.read(int(woken.Fd()), quit)
	}()
	return k
}

// read reads keys until q, the end of the terminal, or the closing of the pipe.
func (k *keys) read(woken int, quit func()) {
	fds := []unix.PollFd{{Fd: int32(k.terminal.Fd()), Events: unix.POLLIN}, {Fd: int32(woken), Events: unix.POLLIN}}
	var buf [64]byte
	for {
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil || fds[1].Revents != 0 {
			return
		}
		n, err := unix.Read(int(k.terminal.Fd()), buf[:])
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n <= 0 {
			quit()
			return
		}
		for _, key := range buf[:n] {
			switch key {
			case 'q', 'Q':
				quit()
				return
			case ctrlZ:
				select {
				case k.suspend <- struct{}{}:
				default:
				}
			}
		}
	}
}

// take lets the terminal hand over single keys.
func (k *keys) take() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.terminal == nil || k.before != nil || k.closed {
		return
	}
	now, err := unix.IoctlGetTermios(int(k.terminal.Fd()), getTermios)
	if err != nil {
		return
	}
	before := *now
	now.Lflag &^= unix.ICANON | unix.ECHO
	now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	now.Cc[unix.VSUSP] = noKey
	if unix.IoctlSetTermios(int(k.terminal.Fd()), setTermios, now) == nil {
		k.before = &before
	}
}

// restore gives the terminal back as it was. Any goroutine may call it, any number of times.
func (k *keys) restore() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.before != nil {
		_ = unix.IoctlSetTermios(int(k.terminal.Fd()), setTermios, k.before) // what else could be done?
		k.before = nil
	}
}

// close gives the terminal back and ends the goroutine.
func (k *keys) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.restore()
	if k.wake != nil {
		_ = k.wake.Close()
		<-k.done
	}
}

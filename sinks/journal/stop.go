package journal

import (
	"context"
	"errors"
	"fmt"
)

// shutdown ends the lane within ctx, and gives what was lost for whom.
func (l *lane) shutdown(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	close(l.quit)
	finished := make(chan error, 1)
	go func() {
		l.work.Wait()
		finished <- l.finish()
	}()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
		return errors.Join(append(l.abandon(), fmt.Errorf("journal %s: the disk does not answer: %w", l.cfg.Dir, ctx.Err()))...)
	}
}

// abandon gives up waiting for the disk, and counts what is lost by that.
func (l *lane) abandon() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.abandoned = true
	return l.loseMemory()
}

// finish writes what is only in memory, counts what cannot be, and saves.
func (l *lane) finish() error {
	l.mu.Lock()
	l.spill.stop(l.next)
	l.mu.Unlock()
	for range 2 { // a sync that fails is made up for once
		l.flush()
		l.syncSegments()
	}
	l.mu.Lock()
	if l.abandoned {
		l.mu.Unlock()
		return nil
	}
	lost, again := l.loseMemory(), l.again
	l.mu.Unlock()
	if again != nil {
		lost = append(lost, fmt.Errorf("journal: a power cut may take the latest events: %w", again))
	}
	if err := l.savePlaces(true, true); err != nil {
		lost = append(lost, fmt.Errorf("journal: positions not saved, what was delivered comes again: %w", err))
	}
	l.closeFiles()
	return errors.Join(lost...)
}

// loseMemory drops what is in memory only, under the lock, and gives who did not get it. Cursors
// that are not there yet count it when they come, after the next start.
func (l *lane) loseMemory() (lost []error) {
	l.settleTail()
	for _, c := range l.places {
		if n := l.onlyInMemory(c.next); n > 0 && c.attached {
			lost = append(lost, fmt.Errorf("sink %s: %d %sevents dropped when the journal stopped", c.name, n, l.what))
		}
	}
	for _, c := range l.tail.Chunks {
		l.lose(c.Unwritten(), c.End())
	}
	for _, c := range l.places {
		c.begin()
	}
	return lost
}

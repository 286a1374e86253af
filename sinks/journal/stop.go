package journal

import (
	"context"
	"errors"
	"fmt"
)

// Stop ends the journal after its runners. What is only in memory is written,
// unless the durability is memory, and the positions are saved. The error tells
// what was lost for whom. Further calls return the same.
func (j *Journal) Stop(ctx context.Context) error {
	j.stop.Do(func() { j.stopErr = j.shutdown(ctx) })
	return j.stopErr
}

func (j *Journal) shutdown(ctx context.Context) error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.start.Do(func() {}) // never started: there is nothing to wait for
	close(j.quit)
	finished := make(chan error, 1)
	go func() {
		j.work.Wait()
		finished <- j.finish()
	}()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
		return errors.Join(append(j.abandon(), fmt.Errorf("journal %s: the disk does not answer: %w", j.cfg.Dir, ctx.Err()))...)
	}
}

// abandon gives up waiting for the disk, and counts what is lost by that.
func (j *Journal) abandon() []error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.abandoned = true
	return j.loseMemory()
}

// finish writes what is only in memory, counts what cannot be, and saves.
func (j *Journal) finish() error {
	if j.cfg.Durability != InMemory {
		j.mu.Lock()
		j.spill = j.next
		j.mu.Unlock()
	}
	for range 2 { // a sync that fails is made up for once
		j.flush()
		j.syncSegments()
	}
	j.mu.Lock()
	if j.abandoned {
		j.mu.Unlock()
		return nil
	}
	lost, again := j.loseMemory(), j.again
	j.mu.Unlock()
	if again != nil {
		lost = append(lost, fmt.Errorf("journal: a power cut may take the latest events: %w", again))
	}
	if err := j.savePlaces(true, true); err != nil {
		lost = append(lost, fmt.Errorf("journal: positions not saved, what was delivered comes again: %w", err))
	}
	j.closeFiles()
	return errors.Join(lost...)
}

// loseMemory drops what is in memory only, under the lock, and gives who did not get it. Cursors
// that are not there yet count it when they come, after the next start.
func (j *Journal) loseMemory() (lost []error) {
	j.settleTail()
	for _, c := range j.places {
		if n := j.onlyInMemory(c.next); n > 0 && c.attached {
			lost = append(lost, fmt.Errorf("sink %s: %d events dropped when the journal stopped", c.name, n))
		}
	}
	for _, c := range j.tail.chunks {
		j.lose(c.unwritten(), c.end())
	}
	for _, c := range j.places {
		c.begin()
	}
	return lost
}

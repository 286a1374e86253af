package intake

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/flowsnitch/flowsnitch/intel/incident/batch"
	"github.com/flowsnitch/flowsnitch/intel/incident/store"
)

// A fake database counts what it was given, fails, or hangs.
type fake struct {
	mu     sync.Mutex
	err    error
	hang   chan struct{} // nil = it does not
	events uint64
	most   int
}

func (f *fake) Commit(_ context.Context, b *batch.Batch) (store.Committed, error) {
	f.mu.Lock()
	hang, err := f.hang, f.err
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err != nil {
		return store.Committed{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events += b.Events
	f.most = max(f.most, len(b.Contacts))
	return store.Committed{Events: b.Events, Repeats: b.Repeats}, nil
}

func (f *fake) set(err error, hang chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.hang = err, hang
}

func hits(n int) []event.Event {
	list := make([]event.Event, n)
	for i := range list {
		list[i] = eventtest.Hit()
		list[i].Contact, list[i].Seq = uuid.New(), 1
	}
	return list
}

func config(c func(*Config)) Config {
	cfg := DefaultConfig(false)
	c(&cfg)
	return cfg
}

// TestOnceAMinute: events are held until a commit has them.
func TestOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		i := New(f, config(func(*Config) {}))
		if err := i.Send(t.Context(), hits(10)); err != nil || i.Held() != 10 || i.Stats().Waiting != 10 {
			t.Error(err, i.Held(), i.Stats())
		}
		time.Sleep(59 * time.Second)
		if err := i.Send(t.Context(), nil); err != nil || i.Held() != 10 {
			t.Error(err, i.Held())
		}
		time.Sleep(time.Second)
		if err := i.Send(t.Context(), nil); err != nil || i.Held() != 0 || f.events != 10 {
			t.Error(err, i.Held(), f.events)
		}
		if err := i.Send(t.Context(), hits(3)); err != nil || i.Held() != 3 {
			t.Error(err, i.Held())
		}
		if err := i.Close(t.Context()); err != nil || i.Held() != 0 || f.events != 13 {
			t.Error(err, i.Held(), f.events)
		}
		if s := i.Stats(); s.Committed != 13 || s.Commits != 2 || s.Errors != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

// TestBounded: what is held has a bound, and while the database is away nothing more is
// taken; nothing is lost.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		i := New(f, config(func(c *Config) { c.MaxContacts = 100 }))
		if err := i.Send(t.Context(), hits(250)); err != nil || i.Held() != 50 || f.events != 200 || f.most != 100 {
			t.Error(err, i.Held(), f.events, f.most)
		}
		away := errors.New("away")
		f.set(away, nil)
		wait, sent := hits(500), 0
		for range 600 { // ten minutes
			time.Sleep(time.Second)
			err := i.Send(t.Context(), wait[sent:])
			taken, ok := errors.AsType[*TakenError](err)
			switch {
			case ok:
				sent += taken.Taken
			case err != nil:
				t.Fatal(err)
			default:
				sent = len(wait)
			}
		}
		if s := i.Stats(); i.Held() != 100 || sent != 50 || s.Error != "away" || s.Errors == 0 || s.Waiting != 100 {
			t.Errorf("held %d, sent %d, %+v", i.Held(), sent, s)
		}
		f.set(nil, nil)
		if err := i.Send(t.Context(), wait[sent:]); err != nil {
			t.Error(err)
		}
		if err := i.Close(t.Context()); err != nil || f.events != 750 || i.Stats().Committed != 750 || i.Stats().Error != "" {
			t.Error(err, f.events, i.Stats())
		}
	})
}

// TestHangs: a disk that does not answer holds up nothing longer than the caller allows, and
// what it did is known once it answers.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		i := New(f, config(func(*Config) {}))
		hang := make(chan struct{})
		f.set(nil, hang)
		if err := i.Send(t.Context(), hits(5)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		short := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		begun := time.Now()
		err := i.Send(short(), hits(2))
		if taken, ok := errors.AsType[*TakenError](err); !ok || taken.Taken != 2 || !errors.Is(err, ErrSlow) || i.Held() != 7 {
			t.Error(err, i.Held())
		}
		err = i.Send(short(), hits(1))
		if taken, ok := errors.AsType[*TakenError](err); !ok || taken.Taken != 0 || i.Held() != 7 {
			t.Error(err, i.Held())
		}
		if err := i.Close(short()); !errors.Is(err, ErrSlow) || time.Since(begun) != 30*time.Second {
			t.Error(err, time.Since(begun))
		}
		f.set(nil, nil)
		close(hang)
		synctest.Wait()
		if err := i.Close(t.Context()); err != nil || i.Held() != 0 || f.events != 7 {
			t.Error(err, i.Held(), f.events)
		}
	})
}

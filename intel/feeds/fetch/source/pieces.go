package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/client"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/spec"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch/store"
)

// A source that is read piece by piece may have pieces that cannot be read: a collection,
// an event, a pulse, a page, an API root that answers with an error or with rubbish, is cut
// off or hangs. Such a piece is named and left for a later fetch, and the reading goes on
// with the others. What is known of it from earlier stays.

// A Piece is a part of a source that could not be read.
type Piece struct {
	Name  string    `json:"name"`
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
}

const (
	// maxRow is how many requests in a row may fail before the source as a whole is taken
	// for faulty. The parts of one bad page are fewer.
	maxRow = 5
	// maxFailed bounds the failed requests of one fetch.
	maxFailed = 100
	// maxPieces bounds the bad pieces that are remembered by name, ShownPieces those that
	// the status names.
	maxPieces   = 500
	ShownPieces = 20
)

// Errors that end a reading.
var (
	ErrRow    = errors.New("requests in a row have failed")
	errFailed = errors.New("too many requests have failed; the next fetch goes on")
	ErrPages  = fmt.Errorf("more than %d pages; the next fetch goes on", MaxPages)
)

// Pieces are what a reading has found to be bad.
type Pieces struct {
	Faulty map[string]Piece // by name, those of earlier readings too
	First  error            // of this reading
	Row    int              // failed requests since the last good one
	failed int              // requests
	good   int              // requests
	// Waited means that readings before this one have failed, each after the pause that
	// the provider asked for. paused is the request for a pause that this one went past,
	// to see whether it is about a single piece.
	Waited bool
	paused error
}

// pausesBefore is how many readings have to fail before the request for a pause is taken
// for one that a single piece makes.
const pausesBefore = 2

// Fine notes a request that was answered well.
func (p *Pieces) Fine() { p.Row = 0; p.good++ }

// Fail notes a request that was not. The error, if not nil, ends the reading: it is not
// about a single piece, or too many have failed.
func (p *Pieces) Fail(ctx context.Context, err error) error {
	if ctx.Err() != nil || client.NeverReached(err) || store.IsSystem(err) || errors.Is(err, ErrHeld) || errors.Is(err, ErrTooMany) || errors.Is(err, ErrPages) {
		return err
	}
	p.Row++
	p.failed++
	if p.First == nil {
		p.First = err
	}
	if IsPause(err) {
		if !p.Waited || p.paused == nil && p.good > 0 {
			return err // the provider asks for a pause
		}
		p.paused = err // pauses were made, and the first answer is the same again
	}
	switch {
	case p.Row >= maxRow:
		return fmt.Errorf("%w (%d %w)", err, p.Row, ErrRow)
	case p.failed >= maxFailed:
		return fmt.Errorf("%w (%w)", err, errFailed)
	}
	return nil
}

// IsPause reports whether an error is the provider's request for a pause.
func IsPause(err error) bool {
	e, ok := errors.AsType[*client.StatusError](err)
	return ok && (e.RetryAfter > 0 || e.Code == http.StatusTooManyRequests)
}

// Name remembers a bad piece.
func (g *Reading) Name(piece string, why error) {
	text := g.Client.Scrub.Text(why.Error())
	if old, ok := g.Faulty[piece]; ok {
		g.Faulty[piece] = Piece{piece, text, old.Since}
	} else if len(g.Faulty) < maxPieces {
		g.Faulty[piece] = Piece{piece, text, g.Now()}
	}
}

// WasBad sorts pieces that were bad the last time behind the others: 1 if so, else 0.
func (g *Reading) WasBad(piece string) int {
	if _, bad := g.Faulty[piece]; bad {
		return 1
	}
	return 0
}

// Forget removes what is noted of the pieces whose names begin with prefix.
func (g *Reading) Forget(prefix string) {
	maps.DeleteFunc(g.Faulty, func(name string, _ Piece) bool { return strings.HasPrefix(name, prefix) })
}

// A Missed is what readings of numbered pages went past: positions shift with time, so all
// that could hold it is read again.
type Missed struct {
	// From is the time of change from which the answer is read again; zero = from the
	// beginning. Again is when, Tries how often that was in vain.
	From  time.Time `json:"from,omitzero"`
	Again time.Time `json:"again"`
	Tries int       `json:"tries"`
}

// Due reports whether it is time to read again.
func (m *Missed) Due(now time.Time) bool { return m != nil && !now.Before(m.Again) }

// pagesAnInterval is how many pages may be read again in each interval for the sake of a
// piece that stays bad.
const pagesAnInterval = 25

// pauseAgain gives the pause before the next try: a minute, doubled each time, up to the
// interval, or so long that few pages are read in vain.
func (g *Reading) pauseAgain(tries int) time.Duration {
	most := g.Spec.Interval * time.Duration(1+g.Total/pagesAnInterval)
	pause := min(spec.FirstBackoff<<min(max(tries-1, 0), 20), most, spec.MaxWait)
	return pause * 8 / 10 // in time for the fetch that comes by then
}

// MissedNow gives, at the end of a reading that began with changes from a time (zero = from
// the beginning), what is to be read again. last is what was before, skipped means that
// this reading has missed something.
func (g *Reading) MissedNow(last *Missed, from time.Time, skipped bool, now time.Time) *Missed {
	covered := last == nil || from.IsZero() || !last.From.IsZero() && !from.After(last.From)
	switch {
	case !skipped && covered:
		return nil
	case !skipped:
		return last
	}
	next := Missed{From: from, Tries: 1}
	if last != nil {
		next.Tries = last.Tries + 1
		if last.From.Before(from) {
			next.From = last.From
		}
	}
	next.Again = now.Add(g.pauseAgain(next.Tries))
	return &next
}

// smallerPage is the size of the pages that a page which cannot be had is split into: a
// divisor, so that they begin and end where it does.
func smallerPage(limit int) int {
	for _, n := range []int{10, 7, 5, 3, 2} {
		if limit%n == 0 {
			return limit / n
		}
	}
	return 1
}

// around reads what a page that cannot be had consists of in smaller pages, down to single
// items, and names those that cannot be had either. read takes a page of a size in; last
// means that the answer ends there. The error ends the reading.
func (g *Reading) around(ctx context.Context, what string, page, limit int, why error, read func(page, limit int) (last bool, err error)) (last bool, err error) {
	if err := g.Fail(ctx, why); err != nil {
		return false, err
	}
	if limit <= 1 {
		g.Name(fmt.Sprintf("%s %d", what, page), why)
		return false, nil
	}
	small := smallerPage(limit)
	n := limit / small
	for p := (page-1)*n + 1; p <= page*n; p++ {
		last, err := read(p, small)
		if err != nil {
			last, err = g.around(ctx, what, p, small, err, read)
		}
		if err != nil || last {
			return last, err
		}
	}
	return false, nil
}

// Numbered reads one page of an answer whose pages have numbers, with a way around what
// cannot be had: in smaller pages, or by the next page, if that can be had. step is how
// many pages were passed, skipped that something in them was.
func (g *Reading) Numbered(ctx context.Context, what string, page, limit int, read func(page, limit int) (last bool, err error)) (last bool, step int, skipped bool, err error) {
	last, err = read(page, limit)
	if err == nil {
		return last, 1, false, nil
	}
	why, named := err, maps.Clone(g.Faulty)
	last, err = g.around(ctx, what, page, limit, why, read)
	if err == nil || !errors.Is(err, ErrRow) {
		return last, 1, len(g.Faulty) != len(named), err
	}
	next, nextErr := read(page+1, limit)
	g.Faulty = named
	if nextErr != nil {
		return false, 0, false, err
	}
	g.Name(fmt.Sprintf("%s %d to %d", what, (page-1)*limit+1, page*limit), why)
	return next, 2, true, nil
}

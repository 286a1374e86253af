package batch

import (
	"github.com/flowsnitch/flowsnitch/intel/event"
)

func isSilenced(e *event.Event) bool { return false }

// place notes where the offender is.
func (b *Batch) place(o *Offender, e *event.Event) {}

package feeds

// maxBatch is how many entries wait for the evidence that stands behind them.
const maxBatch = 65536

// A batch holds the entries of an object, a pulse or an event, the name of which
// may come after its rows.
type batch struct {
	entries []Entry
	fill    func(*Entry) // adds what is known of the object
	known   func() bool  // whether the object has its id already
}

// add takes an entry. A full batch is handed on if the object's id is known, else
// the document is refused: entries without their object are no evidence.
func (b *batch) add(d *document, e Entry) error {
	e.Line = d.line
	e.tidy()
	b.entries = append(b.entries, e)
	if len(b.entries) < maxBatch {
		return nil
	}
	if !b.known() {
		return d.refuse("an object names more than %d addresses before its id", maxBatch)
	}
	return b.flush(d)
}

// flush hands on what waits.
func (b *batch) flush(d *document) error {
	for i := range b.entries {
		e := b.entries[i]
		b.fill(&e)
		if err := d.accept(e); err != nil {
			return err
		}
	}
	b.entries = b.entries[:0]
	return nil
}

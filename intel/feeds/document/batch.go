package document

// MaxBatch is how many entries wait for the evidence that stands behind them.
const MaxBatch = 65536

// A batch holds the entries of an object, a pulse or an event, the name of which
// may come after its rows.
type Batch struct {
	entries []Entry
	Fill    func(*Entry) // adds what is known of the object
	Known   func() bool  // whether the object has its id already
}

// add takes an entry. A full batch is handed on if the object's id is known, else
// the document is refused: entries without their object are no evidence.
func (b *Batch) Add(d *Document, e Entry) error {
	e.Line = d.Line
	e.Tidy()
	b.entries = append(b.entries, e)
	if len(b.entries) < MaxBatch {
		return nil
	}
	if !b.Known() {
		return d.Refuse("an object names more than %d addresses before its id", MaxBatch)
	}
	return b.Flush(d)
}

// flush hands on what waits.
func (b *Batch) Flush(d *Document) error {
	for i := range b.entries {
		e := b.entries[i]
		b.Fill(&e)
		if err := d.Accept(e); err != nil {
			return err
		}
	}
	b.entries = b.entries[:0]
	return nil
}

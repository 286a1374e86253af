package silence

import "fmt"

// Filled gives a book with silences in force that no file has.
func Filled(cfg Config, list []Silence) *Book {
	b := New(cfg)
	for i, s := range list {
		for n := i; len(s.ID) < idLength; n /= len(idLetters) {
			s.ID += string(idLetters[n%len(idLetters)])
		}
		s.Author, s.Made = "ann", b.cfg.Now()
		b.records = append(b.records, b.record(s))
	}
	b.refresh(b.cfg.Now())
	return b
}

// Reread reads the content of a file, its sum left out, and gives what is written of it, and
// what is written after that has been read.
func Reread(content []byte) (both [2]string, err error) {
	d, err := decode(sealed(append([]byte(nil), content...)))
	if err != nil {
		return both, err
	}
	for i := range both {
		b, err := encode(&d)
		if err != nil {
			return both, err
		}
		both[i] = string(b)
		if d, err = decode(b); err != nil {
			return both, fmt.Errorf("what was written: %w", err)
		}
	}
	return both, nil
}

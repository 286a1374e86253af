package store

import (
	"database/sql"

	"github.com/flowsnitch/flowsnitch/intel/incident/store/schema"
)

// networks writes the names of networks that are new or have changed.
func (w *writing) networks() error {
	names := map[int64]string{}
	var keys []any
	for i := range w.b.Offenders {
		o := &w.b.Offenders[i]
		name, number := w.b.Text(o.ASName), int64(o.ASNumber)
		if name == "" || number == 0 {
			continue
		}
		if _, ok := names[number]; !ok {
			keys = append(keys, number)
		}
		names[number] = name
	}
	err := w.Fetch(schema.Network, keys, func(r *sql.Rows) error {
		var number int64
		var name string
		err := r.Scan(&number, &name)
		if names[number] == name {
			delete(names, number)
		}
		return err
	})
	if err != nil {
		return err
	}
	var values []any
	for number, name := range names {
		values = append(values, number, name)
	}
	return w.Put(schema.Network, values)
}

package enrich

import (
	"fmt"
	"time"

	"github.com/flowsnitch/flowsnitch/flow/observe"
)

// oldAfter is the age of data that should have been replaced: providers publish each week or
// month, and a tenth of the addresses moves within a year.
const oldAfter = 60 * 24 * time.Hour

// Stats is what the component shows.
type Stats struct {
	Files []File `json:"databases"`
	// Known and Unknown count events, Failed lookups of one database.
	Known   uint64 `json:"known" name:"enrich_known_total" help:"Events whose offender a database of countries or AS has." show:"some" words:"events with country or AS"`
	Unknown uint64 `json:"unknown" name:"enrich_unknown_total" help:"Events whose offender no database of countries or AS has." show:"some" words:"without"`
	Failed  uint64 `json:"failed" name:"enrich_errors_total" help:"Lookups that failed because a database is damaged; such events come without country and AS." loss:"true" check:"feeds" remedy:"download the database again"`
	Loads   uint64 `json:"loads" name:"enrich_loads_total" help:"Databases of countries and AS read, at the start and after changes."`
	Refused uint64 `json:"refused" name:"enrich_refused_total" help:"Databases of countries and AS that could not be used when they were read." loss:"true" judged:"feeds"`
}

// A File is one database.
type File struct {
	Path   string    `json:"path" label:"file"`
	Type   string    `json:"type,omitempty"` // as its maker calls it
	Has    string    `json:"has,omitempty"`  // "country", "AS", "country and AS"; empty = not known
	Built  time.Time `json:"built,omitzero" name:"enrich_built_timestamp_seconds" help:"When the data of a database of countries or AS were built."`
	Loaded bool      `json:"loaded" name:"enrich_loaded" help:"1 while a copy of the database is in use."`
	Bytes  uint64    `json:"bytes" name:"enrich_bytes" help:"Memory of a database of countries or AS."`
	Error  string    `json:"error,omitempty"` // why the file cannot be used; an earlier copy may be
}

// Stats gives the counters and the files in the order of the configuration.
func (b *Bases) Stats() *Stats {
	if len(b.cfg.Load().MMDB) == 0 {
		return nil
	}
	s := &Stats{Known: b.known.Load(), Unknown: b.unknown.Load(), Failed: b.failed.Load(), Loads: b.loads.Load(), Refused: b.refused.Load()}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.seen {
		f := File{Path: one.path, Error: one.err}
		for _, db := range b.list {
			if db.path == one.path {
				f.Type, f.Has = plain(db.reader.Metadata.DatabaseType), db.has.String()
				f.Built, f.Loaded, f.Bytes = db.built(), true, uint64(len(db.data))
			}
		}
		s.Files = append(s.Files, f)
	}
	return s
}

// Register shows and judges the databases.
func (b *Bases) Register(c *observe.Component) {
	c.Add(observe.Of("enrich", b.Stats), observe.Check{Name: "feeds", State: b.check})
}

// check looks, as a part of the check of feeds, for files that cannot be used, data that are old, and a disk that hangs.
func (b *Bases) check(now time.Time) observe.Finding {
	var f observe.Finding
	s := b.Stats()
	if s == nil {
		return f
	}
	if looked := b.looked.Load(); looked == 0 || now.Sub(time.Unix(looked, 0)) > 10*lookEvery {
		f.Warn("hangs", "the files of enrich.mmdb have not been looked at for a while: the disk hangs, or the clock was set")
	}
	for _, file := range s.Files {
		if file.Error != "" {
			f.Warn(file.Path, "%s %s: %s", file.Path, file.Error, instead(&file))
		}
		if age := now.Sub(file.Built); file.Loaded && age > oldAfter {
			f.Warn(file.Path+" old", "the data of %s are %d days old: countries and AS may be wrong; have it downloaded each month", file.Path, int(age.Hours()/24))
		}
	}
	return f
}

func instead(f *File) string {
	if !f.Loaded {
		return "events come without what it has; correct enrich.mmdb, or download it again"
	}
	return fmt.Sprintf("the copy of %s stays in use; download it again", f.Built.UTC().Format(time.DateOnly))
}

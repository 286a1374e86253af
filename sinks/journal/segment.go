package journal

import (
	"time"

	"github.com/flowsnitch/flowsnitch/flow/disk"
	"github.com/flowsnitch/flowsnitch/sinks/journal/record"
)

// A segment is one file of the journal. The journal's lock guards it; the path
// never changes.
type segment struct {
	path  string
	first uint64    // number of the first record
	end   uint64    // behind the last
	size  int64     // bytes, whole records only
	stamp time.Time // when the last came
	dated time.Time // what the file was last dated, apart from writes

	file   disk.File // for writing; nil when it is sealed and synced
	dirty  bool      // written since the latest sync
	fresh  bool      // the directory was not synced since it was made
	failed bool      // a sync of it has failed: what it covered is to be written again

	synced     uint64 // number before which the disk has all for good
	syncedSize int64  // bytes up to there
}

// listSegments gives the segments in dir, the oldest first. Where each ends is
// taken from where the next begins: only the last one is looked into, for the
// others were whole when they were left.
func listSegments(d disk.FS, dir string, at moment) (list []*segment, err error) {
	files, err := record.List(d, dir)
	for i, f := range files {
		list = append(list, &segment{path: f.Path, first: f.First, size: f.Size, stamp: at.stamp(f.Date), dated: f.Date})
		if i > 0 {
			list[i-1].end, list[i-1].synced = f.First, f.First
		}
	}
	return list, err
}

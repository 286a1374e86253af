package csvtable

import (
	"bytes"

	"github.com/flowsnitch/flowsnitch/flow/history/past/nfdump/field"
)

// Legacy is the first line of all versions up to 1.7.4, which -q leaves out.
const Legacy = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,sas,das,smk,dmk,dtos,dir,nh,nhb,svln,dvln,ismc,odmc,idmc,osmc,mpls1,mpls2,mpls3,mpls4,mpls5,mpls6,mpls7,mpls8,mpls9,mpls10,cl,sl,al,ra,eng,exid,tr"

// A Table reads the rows of one table after the other. It belongs to one goroutine.
type Table struct {
	Clock *field.Clock
	// Skip is set from the summary to the next header: the lines are no rows.
	Skip    bool
	columns []field.Column
}

// Header takes a first line; why is empty when its rows can be imported.
func (t *Table) Header(line []byte) (why string) {
	t.columns = t.columns[:0]
	for name := range bytes.SplitSeq(line, []byte{','}) {
		c, _ := field.FromCSV(bytes.TrimSpace(name))
		t.columns = append(t.columns, c)
	}
	why = field.Lacks(t.columns)
	t.Skip = why != ""
	return why
}

// IsHeader reports whether a line has the names of fields.
func IsHeader(line []byte) bool {
	if len(line) > 0 && line[0] <= '9' {
		return false // quickly: most rows begin with a number
	}
	name, _, more := bytes.Cut(line, []byte{','})
	_, known := field.FromCSV(bytes.TrimSpace(name))
	return more && (known || bytes.HasPrefix(line, []byte("cnt,")) || bytes.Contains(line, []byte(",srcAddr,")) || bytes.Contains(line, []byte(",sa,")))
}

// Row reads one line into f, which is overwritten; reason is why it could not.
func (t *Table) Row(line []byte, f *field.Flow) (reason string) {
	*f = field.Flow{}
	p := field.Parser{Clock: t.Clock, Flow: f}
	n := 0
	for value := range bytes.SplitSeq(line, []byte{','}) {
		if n == len(t.columns) {
			n++
			break
		}
		if c := t.columns[n]; c != 0 && !p.Set(c, bytes.TrimSpace(value)) {
			return c.Reason(value)
		}
		n++
	}
	if n != len(t.columns) {
		return "another number of fields than the first line names"
	}
	p.End()
	return ""
}

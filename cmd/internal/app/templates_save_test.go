package app

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/flow/decode"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"go.uber.org/zap"
)

type noRecords struct{}

func (noRecords) Records(*decode.Set) {}

// A saving sends templates to a table that is saved every five seconds.
type saving struct {
	t *testing.T
	d *decode.Decoder
	f *templateFile
}

func newSaving(t *testing.T, dir string) *saving {
	x := decode.NewExporters(decode.DefaultLimits())
	return &saving{t, decode.New(x, noRecords{}), openedTemplates(dir, x)}
}

func openedTemplates(dir string, x *decode.Exporters) *templateFile {
	f := newTemplateFile(dir, x, time.Now, zap.NewNop())
	f.open()
	return f
}

// template sends an IPFIX template of one field of so many bytes.
func (s *saving) template(id, bytes uint16) {
	b := binary.BigEndian
	p := b.AppendUint32(b.AppendUint16(b.AppendUint16(nil, 10), 28), 0)
	p = b.AppendUint32(b.AppendUint32(p, 0), 0)
	for _, v := range []uint16{2, 12, id, 1, 82, bytes} {
		p = b.AppendUint16(p, v)
	}
	s.d.Decode(&flow.Datagram{Payload: p, Source: netip.MustParseAddrPort("192.0.2.1:2055"), Received: time.Now()})
}

// pass lets time go by, with what is done every second.
func (s *saving) pass(d time.Duration, each func(second int)) (writes uint64) {
	before := s.f.status().Writes
	for i := range int(d / time.Second) {
		each(i)
		time.Sleep(time.Second)
		if i%5 == 4 {
			if err := s.f.save(false); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return s.f.status().Writes - before
}

// TestTemplatesAreWrittenSeldom: a new meaning is written at once, one that changes to and
// fro, or ever anew, every five minutes.
func TestTemplatesAreWrittenSeldom(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newSaving(t, dir)
		nothing := func(int) {}
		s.template(300, 1)
		if n := s.pass(5*time.Second, nothing); n != 1 {
			t.Errorf("a new template: %d writes in 5 s, want 1", n)
		}
		s.pass(30*time.Minute, nothing)
		s.template(301, 1)
		if n := s.pass(5*time.Second, nothing); n != 1 {
			t.Errorf("a new template after a calm: %d writes in 5 s, want 1", n)
		}
		s.pass(30*time.Minute, nothing)
		if n := s.pass(time.Hour, func(i int) { s.template(300, 1+uint16(i%2)) }); n > 2+12 {
			t.Errorf("to and fro for an hour: %d writes", n)
		}
		s.template(302, 1)
		if n := s.pass(10*time.Second, func(i int) { s.template(300, 1+uint16(i%2)) }); n != 1 {
			t.Errorf("a new template beside one that flaps: %d writes in 10 s, want 1", n)
		}
		s.pass(30*time.Minute, nothing)
		if n := s.pass(time.Hour, func(i int) { s.template(400, 1+uint16(i)) }); n > 8+12 {
			t.Errorf("ever anew for an hour: %d writes", n)
		}
	})
}

// TestTemplatesNotWritten: what cannot be written is counted and shown, tried again, and
// OK again by itself.
func TestTemplatesNotWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	synctest.Test(t, func(t *testing.T) {
		s := newSaving(t, dir)
		s.template(300, 1)
		for range 120 {
			time.Sleep(5 * time.Second)
			if err := s.f.save(false); err == nil {
				t.Fatal("no error where nothing can be written")
			}
		}
		st := s.f.status()
		if st.WriteErrors < 5 || st.WriteErrors > 20 || st.Error == "" || st.Writes != 0 {
			t.Errorf("%+v", st)
		}
		var f finding
		f.unsaved(&st, &TemplateFileStatus{})
		if f.State != observe.Warning {
			t.Errorf("the check says %v: %s", f.State, f.Text)
		}
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := s.f.save(false); err != nil {
			t.Error(err)
		}
		if st := s.f.status(); st.Error != "" || st.Writes != 1 {
			t.Errorf("%+v", st)
		}
		x := decode.NewExporters(decode.DefaultLimits())
		file, err := os.Open(filepath.Join(dir, templatesName))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if r, err := x.Load(io.Reader(file), time.Now(), time.Now()); err != nil || r.Templates != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestFailedStartKeepsTemplates: a start that fails, here because the port is taken, leaves
// the file of templates as the last run has left it. It must not become that of a clean stop.
func TestFailedStartKeepsTemplates(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := newFiled(t, "intel: {feeds: []}\n")
	f.cfg.Listen[0].Listen = taken.LocalAddr().String()
	path := filepath.Join(f.cfg.StateDir, templatesName)
	x := decode.NewExporters(decode.DefaultLimits())
	var crashed bytes.Buffer
	if err := x.Save(&crashed, false, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, crashed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err == nil {
		t.Fatal("it has started on a port that is taken")
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, crashed.Bytes()) {
		t.Errorf("the file was %q, is %q (%v)", crashed.Bytes(), b, err)
	}
}

package app

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/canary"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestTell: a sink that cannot deliver is told of once, whatever the number of its
// attempts, and its events wait.
func TestTell(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	cfg, err := configs.Parse("f", []byte("state_dir: "+t.TempDir()+"\nsinks: [{kafka: {brokers: [\""+nobody+"\"]}, delivery: {backoff_min: 1ms, backoff_max: 2ms}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zap.InfoLevel)
	o := newOutputs(&cfg, &Options{}, time.Now, time.Now, canary.NewWatch(0), newBackground(zap.NewNop()), zap.New(core))
	if err := o.Start(); err != nil {
		t.Fatal(err)
	}
	o.publish([]event.Event{{Kind: event.KindHit, ID: uuid.Must(uuid.NewV7()), Time: time.Now()}})
	for deadline := time.Now().Add(time.Minute); o.runners[0].Stats().Errors < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the sink does not fail")
		}
		o.tell()
	}
	o.tell()
	if n := logged.FilterMessageSnippet("cannot deliver").Len(); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	if s := o.status()[0]; s.Pending != 1 || !s.Failing || s.LastError == "" {
		t.Errorf("status %+v", s)
	}
	if err := o.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

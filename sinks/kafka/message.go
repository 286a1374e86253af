package kafka

import (
	"bytes"
	"time"

	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks/form"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
)

// The headers of a message.
const (
	HeaderKind        = "kind"         // hit, update, alert or canary
	HeaderFormat      = "format"       // native, ecs or ocsf
	HeaderVersion     = "v"            // of the form, as in the value
	HeaderContentType = "content-type" // application/json
)

// overhead is what a record takes beside key and value: headers, lengths, offsets.
const overhead = 100

// state is what became of a message.
type state uint8

const (
	waiting   state = iota // not delivered yet
	before                 // done in an earlier call of Send
	delivered              // acknowledged now
	refused                // given up now
)

func (s state) done() bool { return s != waiting }

// A message is one event on its way.
type message struct {
	id         uuid.UUID
	topic      string
	key, value []byte
	headers    []kafka.Header
	time       time.Time
	state      state
	err        error // why it was refused
}

func (m *message) size() int { return len(m.key) + len(m.value) + overhead }

// record gives the message as kafka-go takes it, once for each attempt.
func (m *message) record() kafka.Record {
	return kafka.Record{Time: m.time, Key: kafka.NewBytes(m.key), Value: kafka.NewBytes(m.value), Headers: m.headers}
}

// messages makes the messages of events. Nothing of events is kept.
func (p *Producer) messages(events []event.Event) []message {
	// The time of a message is that of sending, for brokers delete by it: events of a
	// sensor that has no idea of the time yet would not live long. The event's own time
	// is in the value.
	now := time.Now()
	if p.cfg.Date != nil {
		now = p.cfg.Date()
	}
	list := make([]message, len(events))
	for i := range events {
		e := &events[i]
		list[i] = message{id: e.ID, time: now}
		if _, done := p.ahead[e.ID]; done && e.ID != uuid.Nil {
			list[i].state = before
			continue
		}
		list[i].topic = p.cfg.Topics.of(e.Kind)
		list[i].key = keyOf(e)
		list[i].value = bytes.TrimSuffix(p.form.Append(nil, e), []byte("\n"))
		list[i].headers = headersOf(e.Kind, p.form)
	}
	return list
}

// of gives the topic of a kind of event.
func (t Topics) of(kind event.Kind) string {
	switch kind {
	case event.KindAlert:
		return t.Alerts
	case event.KindCanary:
		return t.Canary
	}
	return t.Hits
}

// keyOf gives the offender as text. Alerts without one have the sensor's name, so
// that they keep their order, too, and compacted topics take them.
func keyOf(e *event.Event) []byte {
	if e.Offender.IsValid() {
		return e.Offender.WithZone("").AppendTo(nil)
	}
	return []byte(e.Sensor)
}

func headersOf(kind event.Kind, form form.Form) []kafka.Header {
	return []kafka.Header{
		{Key: HeaderKind, Value: []byte(kind)},
		{Key: HeaderFormat, Value: []byte(form.Name)},
		{Key: HeaderVersion, Value: []byte(form.Version)},
		{Key: HeaderContentType, Value: []byte("application/json")},
	}
}

// prefix counts the messages that are done, up to the first that is not.
func prefix(messages []message) int {
	for i := range messages {
		if !messages[i].state.done() {
			return i
		}
	}
	return len(messages)
}

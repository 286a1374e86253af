package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// credentials is the SASL mechanism of a session. The password is looked up for
// each authentication.
type credentials struct{ s *session }

// Name gives the mechanism as it is called on the wire.
func (c credentials) Name() string { return strings.ToUpper(c.s.cfg.SASL.Mechanism) }

// Start begins one authentication.
func (c credentials) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	m, err := c.s.cfg.SASL.mechanism()
	if err != nil {
		return nil, nil, err
	}
	c.s.authenticating.Add(1)
	machine, first, err := m.Start(ctx)
	return &exchange{machine, c.s}, first, err
}

// mechanism makes the mechanism with the password of now.
func (c SASL) mechanism() (sasl.Mechanism, error) {
	password, err := c.Password.RevealExact(c.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("sasl.password_file: %w", err)
	}
	var m sasl.Mechanism
	switch c.Mechanism {
	case SASLSCRAM256:
		m, err = scram.Mechanism(scram.SHA256, c.User, password)
	case SASLSCRAM512:
		m, err = scram.Mechanism(scram.SHA512, c.User, password)
	default:
		m = plain.Mechanism{Username: c.User, Password: password}
	}
	if err != nil { // it would show a character of the password
		return nil, errors.New("sasl: user or password has a character that SCRAM does not allow (RFC 4013)")
	}
	return m, nil
}

// exchange is one authentication.
type exchange struct {
	machine sasl.StateMachine
	s       *session
}

// Next takes the broker's answer.
func (e *exchange) Next(ctx context.Context, challenge []byte) (bool, []byte, error) {
	done, response, err := e.machine.Next(ctx, challenge)
	if done && err == nil {
		e.s.authenticating.Add(-1)
	}
	return done, response, err
}

package app

import (
	"context"
	"strings"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/flow/collect"
	"github.com/flowsnitch/flowsnitch/flow/collect/traffic"
	"github.com/flowsnitch/flowsnitch/flow/observe"
	"go.uber.org/zap"
)

// plugs are the components that bring everything themselves, the block of their
// configuration too: whoever adds one touches its folder and one line here, such as
//
//	plugged("protocols", protocols.DefaultConfig, protocols.New),
//
// They start before the sockets are opened, in this order.
var plugs = []plug{
	plugged("traffic", traffic.DefaultConfig, traffic.New),
}

func init() {
	for _, p := range plugs {
		configs.AddBlock(p.key, p.defaults)
	}
}

// A plug is a kind of component, with the key and the defaults of its configuration.
type plug struct {
	key      string
	defaults func() any
	make     func(block any, log *zap.Logger) component
}

// A pluggable is a component with a configuration of its own. An error of Reconfigure is the
// reason why the new one needs a restart. It may have Register and Tap as well.
type pluggable[C any] interface {
	component
	Reconfigure(C) error
}

// A tapper gives a tap for each worker of the path, before any of them starts.
type tapper interface{ Tap() collect.Tap }

// plugged describes a component by the key of its block, its defaults and its New.
func plugged[C any, P pluggable[C]](key string, defaults func() C, make func(C) P) plug {
	return plug{key, func() any { return defaults() }, func(block any, log *zap.Logger) component {
		return &plugin[C, P]{P: make(block.(C)), key: key, log: log}
	}}
}

// A plugin is a component made by a plug.
type plugin[C any, P pluggable[C]] struct {
	P       P
	key     string
	log     *zap.Logger
	refused bool // the last configuration, which needs a restart
}

// Start starts the component.
func (p *plugin[C, P]) Start() error { return p.P.Start() }

// Stop stops the component.
func (p *plugin[C, P]) Stop(ctx context.Context) error { return p.P.Stop(ctx) }

// Register lets the component register what it has.
func (p *plugin[C, P]) Register(c *observe.Component) {
	if r, ok := any(p.P).(registrar); ok {
		r.Register(c)
	}
}

// Tap gives a tap of the component, or nil.
func (p *plugin[C, P]) Tap() collect.Tap {
	if t, ok := any(p.P).(tapper); ok {
		return t.Tap()
	}
	return nil
}

// Takes all keys of the component, unless it has refused them.
func (p *plugin[C, P]) Takes(_ *configs.Config, key string) bool {
	return !p.refused && strings.HasPrefix(key, p.key+".")
}

// Reconfigure hands the component its block.
func (p *plugin[C, P]) Reconfigure(cfg *configs.Config) error {
	err := p.P.Reconfigure(cfg.Blocks[p.key].(C))
	if p.refused = err != nil; p.refused {
		p.log.Warn(p.key+": the new configuration needs a restart", zap.Error(err))
	}
	return nil
}

package configs

import (
	"maps"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/flowsnitch/flowsnitch/flow/udp"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/sinks"
	"github.com/flowsnitch/flowsnitch/sinks/jsonlog"
	"github.com/flowsnitch/flowsnitch/sinks/kafka"
	"github.com/flowsnitch/flowsnitch/sinks/syslog"
	"github.com/flowsnitch/flowsnitch/sinks/webhook"
)

// Marshal writes a configuration as YAML that Parse reads again. Keys are left out that are
// empty and are so by default as well.
func Marshal(c Config) ([]byte, error) {
	d := base()
	if err := d.adopt(c.Profile); err != nil {
		return nil, err
	}
	all, _ := keysAndValues(reflect.ValueOf(c), reflect.ValueOf(d)).(yaml.MapSlice)
	for _, key := range slices.Sorted(maps.Keys(c.Blocks)) {
		all = append(all, yaml.MapItem{Key: key, Value: keysAndValues(reflect.ValueOf(c.Blocks[key]), reflect.ValueOf(d.Blocks[key]))})
	}
	return yaml.MarshalWithOptions(all, yaml.Indent(2), yaml.IndentSequence(true))
}

// blockDefaults are the defaults of blocks that stand in lists.
var blockDefaults = map[reflect.Type]reflect.Value{
	reflect.TypeFor[udp.Config]():         reflect.ValueOf(udp.DefaultConfig()),
	reflect.TypeFor[jsonlog.Config]():     reflect.ValueOf(jsonlog.DefaultConfig()),
	reflect.TypeFor[Console]():            reflect.ValueOf(Console{Colour: "auto"}),
	reflect.TypeFor[webhook.Config]():     reflect.ValueOf(webhook.DefaultConfig()),
	reflect.TypeFor[kafka.Config]():       reflect.ValueOf(kafka.DefaultConfig()),
	reflect.TypeFor[syslog.Config]():      reflect.ValueOf(syslog.DefaultConfig()),
	reflect.TypeFor[sinks.RunnerConfig](): reflect.ValueOf(withKinds(sinks.DefaultRunnerConfig())),
}

// withKinds gives the kinds of events that most sinks get by default: people are spared the
// canaries.
func withKinds(c sinks.RunnerConfig) sinks.RunnerConfig {
	c.Filter.Kinds = []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert}
	return c
}

// keysAndValues gives v as what is to be written; base has its defaults.
func keysAndValues(v, base reflect.Value) any {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		return keysAndValues(v.Elem(), defaultOf(v.Type().Elem()))
	case hasKeys(v.Type()):
		block := yaml.MapSlice{}
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("yaml")
			if name == "" || name == "-" || isEmpty(v.Field(i)) && isEmpty(base.Field(i)) {
				continue
			}
			value := keysAndValues(v.Field(i), base.Field(i))
			if inner, ok := value.(yaml.MapSlice); ok && len(inner) == 0 && v.Field(i).Kind() == reflect.Struct {
				continue
			}
			block = append(block, yaml.MapItem{Key: name, Value: value})
		}
		return block
	case v.Kind() == reflect.Slice && hasKeys(v.Type().Elem()):
		list := make([]any, v.Len())
		for i := range list {
			list[i] = keysAndValues(v.Index(i), defaultOf(v.Type().Elem()))
		}
		return list
	}
	return v.Interface()
}

func defaultOf(t reflect.Type) reflect.Value {
	if d, ok := blockDefaults[t]; ok {
		return d
	}
	return reflect.Zero(t)
}

func isEmpty(v reflect.Value) bool {
	return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}

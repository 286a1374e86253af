package configs

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// blocks are the blocks of components that bring their own, by key: what gives the defaults.
var blocks = make(map[string]func() any)

// AddBlock adds an outermost key for the block of a component: a struct of which each field
// has a yaml tag. defaults gives one with its defaults, a new one at each call. A block with a method Validate() error is
// asked whether its values fit together. It is called by init, before anything is read.
func AddBlock(key string, defaults func() any) {
	if _, known := fieldsOf(reflect.TypeFor[Config]())[key]; known || blocks[key] != nil {
		panic("configs: there are two blocks " + key)
	}
	blocks[key] = defaults
}

// defaultBlocks gives the blocks of all components with their defaults.
func defaultBlocks() map[string]any {
	all := make(map[string]any, len(blocks))
	for key, defaults := range blocks {
		all[key] = defaults()
	}
	return all
}

// eachText calls f with the path, the name and the value of every text, those in the blocks
// of components too.
func (c *Config) eachText(f func(key, name string, v reflect.Value)) {
	walkStrings("", reflect.ValueOf(c).Elem(), f)
	for _, key := range slices.Sorted(maps.Keys(c.Blocks)) {
		walkStrings(key, reflect.ValueOf(c.Blocks[key]), f)
	}
}

// checkBlocks is checkMap for the outermost block: the keys of components are allowed, too.
func checkBlocks(body ast.Node) *Error {
	fields := fieldsOf(reflect.TypeFor[Config]())
	for key, defaults := range blocks {
		fields[key] = reflect.TypeOf(defaults())
	}
	return checkFields(body, fields, "", "")
}

// takeBlocks reads the blocks of components, and gives the rest of the document.
func (c *Config) takeBlocks(body ast.Node) (rest ast.Node, err error) {
	pairs, _ := pairsOf(body)
	var others []*ast.MappingValueNode
	for _, p := range pairs {
		key := p.Key.GetToken().Value
		defaults, ok := blocks[key]
		if !ok {
			others = append(others, p)
			continue
		}
		block := reflect.ValueOf(defaults())
		v := reflect.New(block.Type())
		v.Elem().Set(block)
		if p.Value.Type() != ast.NullType {
			if err := yaml.NodeToValue(p.Value, v.Interface(), yaml.Strict()); err != nil {
				return nil, err
			}
		}
		c.Blocks[key] = v.Elem().Interface()
	}
	switch m := body.(type) {
	case *ast.MappingNode:
		without := *m
		without.Values = others
		return &without, nil
	case *ast.MappingValueNode:
		if len(others) == 0 {
			return nil, nil
		}
	}
	return body, nil
}

// validateBlocks asks the blocks of components whether their values fit together.
func (c *Config) validateBlocks() error {
	for _, key := range slices.Sorted(maps.Keys(c.Blocks)) {
		if v, ok := c.Blocks[key].(interface{ Validate() error }); ok {
			if err := v.Validate(); err != nil {
				return fmt.Errorf("%s.%w", key, err)
			}
		}
	}
	return nil
}

// changedBlocks is changed for the blocks of components.
func changedBlocks(keys []string, a, b *Config) []string {
	for _, key := range slices.Sorted(maps.Keys(a.Blocks)) {
		keys = changed(keys, key, reflect.ValueOf(a.Blocks[key]), reflect.ValueOf(b.Blocks[key]))
	}
	return keys
}

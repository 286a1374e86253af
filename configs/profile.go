package configs

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

//go:embed edge.yml
var edge []byte

// profiles are the sets of values that hold where a configuration is silent.
var profiles = map[string][]byte{"": nil, "edge": edge}

// Profiles gives the names of the profiles.
func Profiles() []string { return []string{"edge"} }

// adopt puts the values of a profile in.
func (c *Config) adopt(profile string) error {
	b, ok := profiles[profile]
	if !ok {
		return fmt.Errorf("profile: %q is unknown; allowed are %s", profile, strings.Join(Profiles(), ", "))
	}
	if b == nil {
		return nil
	}
	return yaml.UnmarshalWithOptions(b, c, yaml.Strict())
}

// profileOf gives the profile that a document names; check has seen it before.
func profileOf(body ast.Node) string {
	pairs, _ := pairsOf(body)
	i := slices.IndexFunc(pairs, func(p *ast.MappingValueNode) bool { return p.Key.GetToken().Value == "profile" })
	if i < 0 {
		return ""
	}
	if text, ok := pairs[i].Value.(*ast.StringNode); ok {
		return text.Value
	}
	return ""
}

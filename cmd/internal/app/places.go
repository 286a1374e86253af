package app

import (
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/enrich"
	"go.uber.org/zap"
)

func init() { configs.AddBlock(placesKey, func() any { return enrich.DefaultConfig() }) }

// placesKey is the block of the databases of countries and AS.
const placesKey = "enrich"

// newPlaces makes the databases of countries and AS. They are no plug, for events are
// stamped by them, and start before anything makes an event.
func newPlaces(cfg *configs.Config, log *zap.Logger) *plugin[enrich.Config, *enrich.Bases] {
	return &plugin[enrich.Config, *enrich.Bases]{P: enrich.New(PlacesConfig(cfg)), key: placesKey, log: log}
}

// PlacesConfig gives the configuration of the databases of countries and AS, for commands that
// ask them without an instance.
func PlacesConfig(cfg *configs.Config) enrich.Config { return cfg.Blocks[placesKey].(enrich.Config) }

package app

import (
	"slices"
	"strings"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/feeds/fetch"
	"github.com/flowsnitch/flowsnitch/intel/feeds/hostname"
)

// allowedNames gives the names that no list of names may have, nor any below them: those of the
// operator, and those that the instance itself needs or is known by: the hosts of its feeds,
// its own address, the domains of those who get its reports. A feed could otherwise cut others
// off.
func allowedNames(cfg *configs.Config, feeds []fetch.Status) []string {
	allowed := slices.Clone(cfg.Intel.AllowNames)
	add := func(name string, err error) {
		if err == nil && !hostname.IsShared(name) {
			allowed = append(allowed, name)
		}
	}
	for i := range feeds {
		add(hostname.OfURL(feeds[i].Source))
	}
	add(hostname.OfURL(cfg.Web.Address))
	for _, to := range append(slices.Clone(cfg.Report.To), cfg.Intel.Contact) {
		if i := strings.LastIndexByte(to, '@'); i >= 0 {
			add(hostname.Parse(strings.TrimRight(to[i+1:], "> ")))
		}
	}
	return allowed
}

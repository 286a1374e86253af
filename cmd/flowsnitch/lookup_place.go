package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/cmd/internal/show"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/intel/enrich"
)

const (
	namesTime = 5 * time.Second // for those of all addresses together
	namesAsk  = 8               // addresses asked about at the same time
	mostNames = 10              // of one address
)

// asides are what lookup has of the addresses beside their listings, in their order.
type asides struct {
	past      []*lookupHistory
	incidents []lookupIncident
	names     []*lookupNames // nil = not asked
}

func (b *asides) namesAt(i int) *lookupNames {
	if b.names == nil {
		return nil
	}
	return b.names[i]
}

// placesOf reads the databases of countries and AS, if there are any. end must be called.
func placesOf(cfg *configs.Config) (place func(netip.Addr) enrich.Place, end func()) {
	bases := enrich.New(app.PlacesConfig(cfg))
	_ = bases.Start() // a file that cannot be used is the business of the check
	return bases.Lookup, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = bases.Stop(ctx)
	}
}

// placeText gives country and AS in one line.
func placeText(p enrich.Place) string {
	var parts []string
	if p.Country != "" {
		parts = append(parts, "country "+p.Country)
	}
	if p.ASNumber != 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("AS%d %s", p.ASNumber, show.Printable(p.ASName))))
	}
	return strings.Join(parts, ", ")
}

// lookupNames is what the DNS has of an address.
type lookupNames struct {
	Names []string `json:"names"`
	More  int      `json:"more,omitempty"` // names beside them
	Error string   `json:"error,omitempty"`
}

// namesOf asks the DNS for the names of single addresses; nil for prefixes.
func namesOf(ctx context.Context, r *net.Resolver, asked []netip.Prefix) []*lookupNames {
	ctx, cancel := context.WithTimeout(ctx, namesTime)
	defer cancel()
	list := make([]*lookupNames, len(asked))
	turns := make(chan struct{}, namesAsk)
	var all sync.WaitGroup
	for i, p := range asked {
		if !p.IsSingleIP() {
			continue
		}
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			list[i] = askNames(ctx, r, p.Addr())
		})
	}
	all.Wait()
	return list
}

func askNames(ctx context.Context, r *net.Resolver, a netip.Addr) *lookupNames {
	n := &lookupNames{Names: []string{}}
	names, err := r.LookupAddr(ctx, a.String())
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		err = nil
	}
	if err != nil {
		n.Error = err.Error()
		if ctx.Err() != nil {
			n.Error = fmt.Sprintf("the DNS did not answer within %s", namesTime)
		}
	}
	n.More = max(0, len(names)-mostNames)
	for _, name := range names[:len(names)-n.More] {
		n.Names = append(n.Names, strings.TrimSuffix(name, "."))
	}
	return n
}

// print prints the names of what is called name.
func (n *lookupNames) print(w io.Writer, name string) {
	if n == nil {
		return
	}
	if n.Error != "" {
		fmt.Fprintf(w, "%s: names: cannot say: %s\n", name, show.Printable(n.Error))
		return
	}
	more := ""
	if n.More > 0 {
		more = fmt.Sprintf(" and %d more", n.More)
	}
	fmt.Fprintf(w, "%s: names in the DNS (whoever has the zone can write any): %s%s\n", name, cmp.Or(show.Printable(strings.Join(n.Names, ", ")), "none"), more)
}

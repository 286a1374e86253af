package web

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

// Config is where metrics and health are served over HTTP.
type Config struct {
	// Listen is host:port; empty = nowhere. Other addresses than loopback want a token,
	// better with TLS, or certificates of clients. The default is 127.0.0.1:8055.
	Listen string `yaml:"listen"`
	// TokenFile holds the token that requests must bear ("Authorization: Bearer TOKEN").
	// It is read for each request: tokens are renewed. /healthz and / want none.
	TokenFile string `yaml:"token_file"`
	TLS       TLS    `yaml:"tls"`
	// Address is the URL under which people reach the server, for links in notifications to
	// the page of an incident. There is no such page yet, and so there are no links.
	Address string `yaml:"address"`
	// ExportTokens are for clients that fetch block lists: see ExportToken. Where there are
	// any, nobody fetches a list without one.
	ExportTokens []ExportToken `yaml:"export_tokens"`
}

// DefaultConfig serves on loopback only.
func DefaultConfig() Config { return Config{Listen: "127.0.0.1:8055"} }

// TLS is the server's certificate, and which clients it accepts. Its files are read for
// each connection: certificates are renewed, and one that cannot be read leaves the one
// of the start in force.
type TLS struct {
	// Cert and Key are files with the server's certificate; with them it speaks TLS only.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ClientCA is a file of certificates; only clients with one of theirs are let in.
	ClientCA string `yaml:"client_ca"`
}

// Validate reports the first error, beginning with its key. No file is read.
func (c Config) Validate() error {
	if err := validateAddress(c.Address); err != nil {
		return err
	}
	if c.Listen == "" {
		return nil
	}
	if err := validateTokens(c.ExportTokens); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil || !isPort(port):
		return fmt.Errorf("listen: %q is not valid; use host:port, such as 127.0.0.1:8055", c.Listen)
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return errors.New("tls.key: cert and key belong together")
	case c.TLS.ClientCA != "" && c.TLS.Cert == "":
		return errors.New("tls.cert: required with client_ca")
	case !isLoopback(host) && c.isOpen():
		return fmt.Errorf("listen: %s is reachable by others; token_file or tls.client_ca is required", c.Listen)
	}
	return nil
}

// validateAddress accepts what a link can begin with.
func validateAddress(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return fmt.Errorf("address: %q is not valid; use https://host or http://host:port, without user, query and fragment", s)
	}
	return nil
}

// IsClear reports whether a token crosses the network in clear text: where no tunnel or
// proxy hides it, whoever listens can ask as well.
func (c Config) IsClear() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && !isLoopback(host) && c.TLS.Cert == ""
}

// isOpen reports whether everybody who gets here is let in.
func (c Config) isOpen() bool { return c.TokenFile == "" && c.TLS.ClientCA == "" }

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

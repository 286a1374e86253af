package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"

	"github.com/flowsnitch/flowsnitch/configs/secret"
	"github.com/flowsnitch/flowsnitch/configs/tlsfiles"
	"github.com/spf13/cobra"
)

// webFlags name the web server of an instance, and how to prove oneself to it.
type webFlags struct{ url, tokenFile, caFile, certFile, keyFile string }

// add adds the flags to a command.
func (f *webFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.url, "url", "", "`address` of the web server of the instance, instead of the control socket")
	c.Flags().StringVar(&f.tokenFile, "token-file", "", "`file` with the token of the web server")
	c.Flags().StringVar(&f.caFile, "ca-file", "", "`file` of certificates that its own is signed with; default: those of the system")
	c.Flags().StringVar(&f.certFile, "cert-file", "", "`file` with a certificate of ours")
	c.Flags().StringVar(&f.keyFile, "key-file", "", "`file` with its key")
}

// maxAnswer bounds the answer of a web server.
const maxAnswer = 16 << 20

// get asks the web server for a path, JSON, into v. What is wrong with the flags is a
// usageError.
func (f *webFlags) get(ctx context.Context, path string, v any) error {
	base, err := url.Parse(f.url)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return usageError{fmt.Errorf("--url: %q is not an address such as http://127.0.0.1:8055", f.url)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath(path).String(), nil)
	if err != nil {
		return usageError{fmt.Errorf("--url: %w", err)}
	}
	if f.tokenFile != "" {
		token, err := secret.ReadFile(f.tokenFile)
		if err != nil {
			return usageError{fmt.Errorf("--token-file: %w", err)}
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if (f.certFile == "") != (f.keyFile == "") {
		return usageError{errors.New("--cert-file and --key-file belong together")}
	}
	secure, err := tlsfiles.Client("--*-file", f.caFile, f.certFile, f.keyFile)
	if err != nil {
		return usageError{err}
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: connection refused; does the instance run, and is its web.listen on that port?", f.url)
	case err != nil:
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return usageError{fmt.Errorf("%s: %s; --token-file names the token of the web server", f.url, resp.Status)}
	default:
		return fmt.Errorf("%s: %s", f.url, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("%s: not a response of flowsnitch: %w", f.url, err)
	}
	return nil
}

package configs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"

	"github.com/flowsnitch/flowsnitch/intel/detect/rule"
	"github.com/flowsnitch/flowsnitch/intel/detect/rulebook"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxKeyFile bounds a file with a key or certificates.
const maxKeyFile = 4 << 20

// CheckKeys gives an error for each key that a provider requires and that is missing, and
// for each file with a key, password, token or certificate that cannot be read as what it
// must be, and for each correlation rule that is wrong. path is the file that the configuration is from. Unlike Validate it reads
// files: what it finds may be right for another user, or a moment later.
func (c *Config) CheckKeys(path string) (errs []*Error) {
	var body ast.Node
	if f, err := parser.ParseBytes(c.text, 0); err == nil && len(f.Docs) > 0 {
		body = f.Docs[0].Body
	}
	complain := func(err error) { errs = append(errs, place(path, body, err)) }
	for _, err := range c.Intel.MissingKeys() {
		complain(fmt.Errorf("intel.%w", err))
	}
	files := make(map[string]string) // path of the key -> file
	var keys []string
	c.eachText(func(key, name string, v reflect.Value) {
		if v.String() != "" && namesSecretFile(name) && v.Type() == reflect.TypeFor[string]() {
			files[key] = v.String()
			keys = append(keys, key)
		}
	})
	for _, key := range keys {
		if err := checkKeyFile(key, files[key]); err != nil {
			complain(fmt.Errorf("%s: %w", key, err))
			delete(files, key)
		}
	}
	for _, err := range rulebook.Load(c.Rules).Bad {
		if bad, ok := errors.AsType[*rule.Error](err); ok { // it has a place of its own
			errs = append(errs, &Error{File: bad.File, Line: bad.Line, Column: max(bad.Column, 1), Err: bad.Err})
		} else if strings.HasPrefix(err.Error(), "rules.") {
			complain(err)
		} else {
			complain(fmt.Errorf("rules.files: %w", err))
		}
	}
	for i := range c.Sinks {
		if hook := c.Sinks[i].Webhook; hook != nil && files[fmt.Sprintf("sinks[%d].webhook.template_file", i)] != "" {
			if err := hook.CheckFiles(); err != nil {
				complain(fmt.Errorf("sinks[%d].webhook.%w", i, err))
			}
		}
	}
	for _, key := range keys {
		base, isCert := strings.CutSuffix(strings.TrimSuffix(key, "_file"), "cert")
		private := base + "key" + strings.TrimPrefix(key, base+"cert")
		if !isCert || files[key] == "" || files[private] == "" {
			continue
		}
		if _, err := tls.LoadX509KeyPair(files[key], files[private]); err != nil {
			complain(fmt.Errorf("%s: %s and %s are no pair of certificate and key: %w", key, files[key], files[private], err))
		}
	}
	return errs
}

// namesSecretFile reports whether a key names a file with something secret, or with
// certificates.
func namesSecretFile(name string) bool {
	return strings.HasSuffix(name, "_file") || name == "ca" || name == "client_ca" || name == "cert" || name == "key"
}

// checkKeyFile reads a file as far as it takes to know that it can be used.
func checkKeyFile(key, file string) error {
	b, err := readKeyFile(file)
	name := key[strings.LastIndexByte(key, '.')+1:]
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", file, err)
	case len(bytes.TrimSpace(b)) == 0:
		return fmt.Errorf("%s: is empty", file)
	case isCA(name) && !x509.NewCertPool().AppendCertsFromPEM(b):
		return fmt.Errorf("%s: has no certificate (PEM)", file)
	}
	return nil
}

func isCA(name string) bool { return name == "ca" || name == "client_ca" || name == "ca_file" }

func readKeyFile(file string) ([]byte, error) {
	switch info, err := os.Stat(file); {
	case err != nil:
		return nil, withoutPath(err)
	case info.IsDir():
		return nil, errors.New("is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file") // opening a pipe may never end
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	return b, withoutPath(err)
}

// withoutPath strips the path that package os puts into its errors.
func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

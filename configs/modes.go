package configs

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/flowsnitch/flowsnitch/configs/secret"
)

// Exposed gives a sentence for each file with secrets whose mode lets the wrong people at
// it: the files that keys such as api_key_file and key name when others can read them, or
// group or others can write to them, and the configuration itself at path, when secrets
// are in it. Files that are not there are not looked at.
func (c *Config) Exposed(path string) (texts []string) {
	secrets := false
	look := func(key, file string) {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o026 != 0 {
			texts = append(texts, fmt.Sprintf("%s: %s has secrets in it and mode %04o: chmod 0640 %s, group that of the service", key, file, info.Mode().Perm(), file))
		}
	}
	c.eachText(func(key, name string, v reflect.Value) {
		switch {
		case v.String() == "":
		case v.Type() == reflect.TypeFor[secret.Text]():
			secrets = true
		case name == "key", strings.HasSuffix(name, "_file") && name != "ca_file" && name != "cert_file" && name != "template_file":
			look(key, v.String())
		}
	})
	if secrets && path != "" {
		look("configuration", path)
	}
	return texts
}

// walkStrings calls f with the path, the name and the value of every text.
func walkStrings(key string, v reflect.Value, f func(key, name string, v reflect.Value)) {
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		walkStrings(key, v.Elem(), f)
	case v.Kind() == reflect.Struct && hasKeys(v.Type()):
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("yaml"); name != "" && name != "-" {
				walkStrings(join(key, name), v.Field(i), f)
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			walkStrings(fmt.Sprintf("%s[%d]", key, i), v.Index(i), f)
		}
	case v.Kind() == reflect.String:
		f(key, key[strings.LastIndexByte(key, '.')+1:], v)
	}
}

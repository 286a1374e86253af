package jsonlog

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flowsnitch/flowsnitch/sinks/form"
)

// minSize is the smallest MaxSize. OSSEC needs up to two minutes to notice a new
// file and reads it from its start then; rotating small files often would delay
// most events.
const minSize = 10_000_000

// The values of Config.Rotate.
const (
	RotateSize = "size" // when the file would grow beyond MaxSize
	RotateDay  = "day"  // before the first event of a local day, and by size
	RotateNone = "none" // never; logrotate does it, if anything
)

// Config is where the log is and how it is kept.
type Config struct {
	// Path of the log. Its directory is made if it is missing.
	Path string `yaml:"path"`
	// Rotate is one of RotateSize, RotateDay and RotateNone.
	Rotate string `yaml:"rotate"`
	// MaxSize is the largest size of the file in bytes, with RotateSize and
	// RotateDay.
	MaxSize int64 `yaml:"max_size"`
	// Keep is the number of old files.
	Keep int `yaml:"keep"`
	// Mode of the files made, whatever the umask.
	Mode FileMode `yaml:"mode"`
	// Group is the group of the files made, by name or number: the one that the
	// reader runs in. Empty = that of the process.
	Group string `yaml:"group"`
	// Format of a line: native, ecs, ocsf or text (key=value behind time, sensor
	// and program, as syslog daemons write files). Empty means native.
	Format string `yaml:"format"`
	// AlertIP is flow or indicator, see [form.Options]. Empty means flow.
	AlertIP string `yaml:"alert_ip"`
	// Compress makes old files .gz once no reader needs them any more.
	Compress bool `yaml:"compress"`
	// Date gives the date that can be trusted, which decides when a day is over and
	// what old files are called; nil = the wall clock.
	Date func() time.Time `yaml:"-" json:"-"`
}

// DefaultConfig gives the defaults; Path has none.
func DefaultConfig() Config {
	return Config{
		Rotate: RotateSize, MaxSize: 100 << 20, Keep: 7, Mode: 0o640,
		Format: form.Native, AlertIP: form.AlertFlow,
	}
}

// Validate reports which key is wrong and what is allowed.
func (c Config) Validate() error {
	switch {
	case c.Path == "":
		return errors.New("path: is missing, the file of the hit log must be named")
	case strings.HasSuffix(c.Path, "/"):
		return fmt.Errorf("path: %q is a directory, not a file", c.Path)
	case c.Rotate != RotateSize && c.Rotate != RotateDay && c.Rotate != RotateNone:
		return fmt.Errorf("rotate: %q is not valid; use size, day or none", c.Rotate)
	case c.Rotate != RotateNone && c.MaxSize < minSize:
		return fmt.Errorf("max_size: %d bytes are not valid; use %d or more: "+
			"OSSEC needs up to two minutes to notice a new file", c.MaxSize, minSize)
	case c.Keep < 1 || c.Keep > 10_000:
		return fmt.Errorf("keep: %d old files are not valid; use 1 to 10000", c.Keep)
	case c.Mode&^0o777 != 0 || c.Mode&0o600 != 0o600:
		return fmt.Errorf("mode: %v is not valid; use 0600 to 0777 with reading and writing for the owner", c.Mode)
	case c.Compress && c.Rotate == RotateNone:
		return errors.New("compress: is not allowed with rotate none: what rotates the file must compress it")
	}
	_, err := c.format()
	return err
}

// format gives the form of a line.
func (c Config) format() (form.Form, error) {
	name := cmp.Or(c.Format, form.Native)
	switch name {
	case form.Native, form.ECS, form.OCSF, form.Text:
		return form.ByName(name, form.Options{AlertIP: c.AlertIP, Stamped: true})
	}
	return form.Form{}, fmt.Errorf("format: %q is not valid; use native, ecs, ocsf or text", name)
}

// A FileMode holds permission bits. In YAML it is an octal number, with or without
// a leading 0 or 0o, quoted or not: nobody means anything else by 640.
type FileMode uint32

// String gives four octal digits.
func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// MarshalYAML writes four octal digits.
func (m FileMode) MarshalYAML() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalYAML reads octal digits.
func (m *FileMode) UnmarshalYAML(text []byte) error {
	digits := strings.TrimPrefix(strings.Trim(string(text), "\"' \n"), "0o")
	v, err := strconv.ParseUint(digits, 8, 32)
	if err != nil {
		return fmt.Errorf("%q is not a file mode, octal digits like 0640 are", text)
	}
	*m = FileMode(v)
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/flowsnitch/flowsnitch/sinks/web"
	"github.com/spf13/cobra"
)

// configVariable names a configuration in the environment.
const configVariable = "FLOWSNITCH_CONFIG"

// packageConfig is where the package puts its configuration; tests have their own.
var packageConfig = "/etc/flowsnitch/flowsnitch.yml"

// whereLocated is where a command looks for a configuration that is not named.
const whereLocated = "the running instance of this user, else $" + configVariable + ", else the package's"

// locateFlag is configFlag for commands that locate a configuration.
func locateFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration `file` (YAML); default: "+whereLocated)
}

// An origin is where the configuration of a command comes from.
type origin struct {
	file   string // empty = the built-in default
	named  bool   // by -c
	locked error  // why the package's configuration cannot be read; nil = it can, or there is none
}

func (o *origin) String() string {
	if o.file == "" {
		return "the built-in configuration"
	}
	return "configuration " + o.file
}

// absent completes the error of an instance that does not answer with what to do. flag is
// the one that names a configuration.
func (o *origin) absent(err error, flag string) error {
	if !errors.Is(err, web.ErrNotRunning) {
		return err
	}
	if o.file != "" {
		return fmt.Errorf("%w (%s); start one with 'flowsnitch run -c %s', or name another configuration with %s", err, o, o.file, flag)
	}
	if o.locked != nil {
		return fmt.Errorf("%w, and %s cannot be read (%w); run it as root or as a member of its group, or name a configuration with %s", err, packageConfig, o.locked, flag)
	}
	return fmt.Errorf("%w; start one with 'flowsnitch run', or name its configuration with %s", err, flag)
}

// ask asks the running instance by f. answered is false where none is running: then the
// caller reads or changes the files, and standard error has that, in the words of files.
func (o *origin) ask(c *cobra.Command, stateDir, files string, f func() error) (answered bool, err error) {
	err = f()
	if err == nil && !o.named {
		fmt.Fprintf(c.ErrOrStderr(), "answered by the running instance of %s\n", stateDir)
	}
	if !errors.Is(err, web.ErrNotRunning) {
		return true, err
	}
	if o.locked != nil {
		return true, o.absent(err, "-c")
	}
	fmt.Fprintf(c.ErrOrStderr(), "%v; %s, by %s\n", err, files, o)
	return false, nil
}

// What is read where no instance is running, for [origin.ask].
const (
	listsHold = "this is what the lists and its state directory hold"
	stateHas  = "this is what its state directory holds"
)

// locate gives the configuration of a command that asks an instance or reads what one
// has left: the file of -c, else the built-in one while an instance of this user runs with
// it, else the file that the environment names, else that of the package, else the
// built-in one.
func locate(c *cobra.Command, file string) (configs.Config, origin, error) {
	if file != "" || c.Flags().Changed("config") {
		cfg, err := loadConfig(c, file)
		return cfg, origin{file: file, named: true}, err
	}
	own, ownErr := loadConfig(c, "") // fails without a home directory
	if ownErr == nil && answers(own.StateDir) {
		return own, origin{}, nil
	}
	if named := os.Getenv(configVariable); named != "" {
		cfg, err := loadConfig(c, named)
		if err != nil {
			err = usageError{fmt.Errorf("$%s: %w", configVariable, err)}
		}
		return cfg, origin{file: named}, err
	}
	f, err := os.Open(packageConfig)
	switch {
	case err == nil:
		f.Close()
		cfg, err := loadConfig(c, packageConfig)
		return cfg, origin{file: packageConfig}, err
	case errors.Is(err, fs.ErrNotExist):
		return own, origin{}, ownErr
	}
	return own, origin{locked: causeOf(err)}, ownErr
}

// answers reports whether somebody listens on the control socket of a state directory, or
// may: one that we may not open is no reason to look elsewhere.
func answers(stateDir string) bool {
	conn, err := net.DialTimeout("unix", filepath.Join(stateDir, web.SocketName), time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// runningConfig gives the configuration that the instance of a located one runs with: the
// built-in one is only how it was found.
func runningConfig(ctx context.Context, c *cobra.Command, cfg configs.Config, from origin) (configs.Config, origin, error) {
	if from.file != "" || !answers(cfg.StateDir) {
		return cfg, from, nil
	}
	s, err := askStatus(ctx, cfg.StateDir)
	if err != nil || !filepath.IsAbs(s.Config) {
		return cfg, from, err
	}
	cfg, err = loadConfig(c, s.Config)
	return cfg, origin{file: s.Config}, err
}

// causeOf strips the path that package os puts into its errors.
func causeOf(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

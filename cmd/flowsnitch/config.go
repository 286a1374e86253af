package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/flowsnitch/flowsnitch/cmd/internal/app"
	"github.com/flowsnitch/flowsnitch/configs"
	"github.com/spf13/cobra"
)

// newConfig groups the commands about the configuration file.
func newConfig() *cobra.Command {
	c := &cobra.Command{
		Use:     "config",
		Short:   "Check or print the configuration",
		Example: "  flowsnitch config check -c /etc/flowsnitch/flowsnitch.yml",
		Args:    subcommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newConfigCheck(), newConfigPrint())
	return c
}

func newConfigCheck() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Read a configuration and its lists without starting anything",
		Long: `check reads the configuration and every list and correlation rule that it names.
Nothing is started or opened, and no request is sent. Exit code 2 means that the
configuration is wrong, that a key is missing which a provider requires, or that a file
with a key, password, token or certificate cannot be read: run it as the user of the
service.`,
		Example: "  flowsnitch config check -c /etc/flowsnitch/flowsnitch.yml",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, from, err := locate(c, file)
			if err != nil {
				return err
			}
			if errs := cfg.CheckKeys(from.file); len(errs) > 0 {
				var all []error
				for _, e := range errs {
					all = append(all, e)
				}
				return usageError{errors.Join(all...)}
			}
			if err := app.CheckExportTokens(cfg.Web.ExportTokens); err != nil {
				return usageError{err}
			}
			t, _, err := buildTable(c, &cfg, nil)
			if err != nil {
				return err
			}
			for _, text := range cfg.Exposed(from.file) {
				fmt.Fprintln(c.ErrOrStderr(), "warning: "+text)
			}
			if !from.named {
				fmt.Fprintf(c.ErrOrStderr(), "this is %s\n", &from)
			}
			fmt.Fprintf(c.OutOrStdout(), "configuration OK: %d listeners, %d feeds, %d indicators, %d sinks\n",
				len(cfg.Listen), len(cfg.Intel.Feeds), t.Len(), len(cfg.Sinks))
			return nil
		},
	}
	locateFlag(c, &file)
	return c
}

func newConfigPrint() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "print [-c FILE] [CONSUMER]",
		Short: "Print the configuration in force, or one for a program that reads the hits",
		Long: `print writes the configuration in force as YAML, every default written out. With
the name of a consumer it writes what that program needs to read the hits: decoders
and rules for OSSEC and Wazuh, the JSON Schema of a hit, and more; with 'rules' the
correlation rules that come with flowsnitch.

Consumers: ` + strings.Join(configs.Artifacts(), ", "),
		Example: `  flowsnitch config print -c /etc/flowsnitch/flowsnitch.yml
  flowsnitch config print ossec
  flowsnitch config print hit.schema.json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			b, err := printed(c, file, args)
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(b)
			return err
		},
	}
	configFlag(c, &file)
	return c
}

// printed gives what 'config print' writes.
func printed(c *cobra.Command, file string, args []string) ([]byte, error) {
	switch len(args) {
	case 0:
		cfg, err := loadConfig(c, file)
		if err != nil {
			return nil, err
		}
		return configs.Marshal(cfg)
	case 1:
		b, err := configs.Artifact(args[0])
		if err != nil {
			return nil, wrongUse(c, "%w", err)
		}
		return b, nil
	}
	return nil, wrongUse(c, "%s takes one consumer, not %d", c.CommandPath(), len(args))
}

package main

import (
	"fmt"

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
		Long: `check reads the configuration and every list that it names, and says what it found.
Nothing is started or opened. Exit code 2 means that the configuration is wrong.`,
		Example: "  flowsnitch config check -c /etc/flowsnitch/flowsnitch.yml",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(c, file)
			if err != nil {
				return err
			}
			t, err := buildTable(c, &cfg, nil)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "configuration is good: %d listeners, %d feeds, %d indicators, %d sinks\n",
				len(cfg.Listen), len(cfg.Intel.Feeds), t.Len(), len(cfg.Sinks))
			return nil
		},
	}
	configFlag(c, &file)
	return c
}

func newConfigPrint() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "print [-c FILE]",
		Short: "Print the configuration in force, every default written out",
		Example: `  flowsnitch config print
  flowsnitch config print -c /etc/flowsnitch/flowsnitch.yml`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(c, file)
			if err != nil {
				return err
			}
			b, err := configs.Marshal(cfg)
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

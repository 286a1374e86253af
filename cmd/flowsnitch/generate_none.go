//go:build !packaging

package main

import "github.com/spf13/cobra"

// packagingCommands gives none: see generate.go.
func packagingCommands() []*cobra.Command { return nil }

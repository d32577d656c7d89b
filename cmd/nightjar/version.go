package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo"
)

// stamped is the version that a build of a release was told.
var stamped string

// version is the one that is stamped, or that of the module, which a build from a checkout takes from its version control.
func version() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is, and of what format",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(map[string]any{"version": version(), "format": repo.FormatVersion, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			return a.print(func(w io.Writer) {
				fmt.Fprintf(w, "nightjar %s, repository format %d, %s %s/%s\n", version(), repo.FormatVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			})
		},
	}
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage.Errorf("%q is too much", args[0])
	}
	return nil
}

func noSubcommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(c, args[0])
	}
	return nil
}

func oneArgument(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage.Errorf("say exactly one %s", name)
		}
		return nil
	}
}

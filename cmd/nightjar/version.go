package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"nightjar/repo"
)

func (a *app) versionCommand() *cobra.Command {
	return uses(&cobra.Command{
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
	}, fileNone)
}

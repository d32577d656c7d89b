package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo"
)

func versionCommand(a *app.App) *cobra.Command {
	return app.Uses(&cobra.Command{
		Use:   "version",
		Short: "Say which version this is, and of what format",
		Args:  usage.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.JSON {
				return a.PrintJSON(map[string]any{"version": app.Version(), "format": repo.FormatVersion, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			return a.Print(func(w io.Writer) { fmt.Fprintln(w, versionLine()) })
		},
	}, app.FileNone)
}

func versionLine() string {
	return fmt.Sprintf("nightjar %s, repository format %d, %s %s/%s", app.Version(), repo.FormatVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// versionFlag has nightjar --version do what nightjar version does.
func versionFlag(root *cobra.Command) {
	root.Version = versionLine()
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().Bool("version", false, "say which version this is, and of what format")
}

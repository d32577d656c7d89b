package files

import (
	"bufio"
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/backup/browse"
	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
)

// CatCommand makes the command nightjar cat.
func CatCommand(a *app.App) *cobra.Command {
	var which choice.Choice
	var thaw thawing.Flags
	c := &cobra.Command{
		Use:   "cat ARCHIVE:PATH",
		Short: "Print a file of an archive; of an archive made with --stdin, PATH may be left out",
		Args:  usage.OneArgument("ARCHIVE:PATH"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := thaw.Check(); err != nil {
				return err
			}
			s, err := choice.OpenArchive(c.Context(), a, args[0], session.ReadContent, &which)
			if err != nil {
				return err
			}
			defer s.Close()
			path := cmp.Or(s.Path, string(s.Archive.Stream))
			if path == "" {
				return usage.Errorf("no file is named: say %s:PATH", strings.TrimSuffix(args[0], ":"))
			}
			need := func(add func(string, int64)) error {
				return restore.Needs(c.Context(), s.Reader, s.Archive, restore.Options{Path: path}, add)
			}
			if err := thawing.Ask(c.Context(), a, s.Session, &thaw, need); err != nil {
				return err
			}
			w := bufio.NewWriterSize(a.Out, 1<<20)
			if err := browse.Cat(c.Context(), s.Reader, s.Archive, path, w); err != nil {
				_ = w.Flush() // the error says that what was printed is not all
				return fmt.Errorf("print %s: %w", args[0], err)
			}
			return app.Flush(w)
		},
	}
	which.Bind(c)
	thaw.Bind(c)
	return c
}

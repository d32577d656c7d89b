package files

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"nightjar/backup/browse"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/repo/tree"
)

// LsCommand makes the command nightjar ls.
func LsCommand(a *app.App) *cobra.Command {
	var which choice.Choice
	var long, recursive bool
	c := &cobra.Command{
		Use:   "ls ARCHIVE[:PATH]",
		Short: "List what an archive holds",
		Args:  usage.OneArgument("ARCHIVE[:PATH]"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := choice.OpenArchive(c.Context(), a, args[0], session.ReadMetadata, &which)
			if err != nil {
				return err
			}
			defer s.Close()
			w := bufio.NewWriter(a.Out)
			j := show.JSONArray{W: w}
			err = browse.List(c.Context(), s.Reader, s.Archive, s.Path, recursive, func(path string, n *tree.Node) error {
				switch {
				case a.JSON:
					return j.Add(show.Entry(path, n))
				case long:
					return show.Long(w, path, n)
				}
				_, err := fmt.Fprintln(w, quote.Display(path))
				return err
			})
			if err == nil && a.JSON {
				err = j.End()
			}
			if flushed := app.Flush(w); err == nil {
				err = flushed
			}
			return err
		},
	}
	f := c.Flags()
	f.BoolVarP(&long, "long", "l", false, "show mode, owner, size and time too")
	f.BoolVarP(&recursive, "recursive", "R", false, "list what is in folders, too")
	which.Bind(c)
	return c
}

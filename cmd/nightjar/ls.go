package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"nightjar/backup/browse"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/quote"
	"nightjar/repo/tree"
)

func (a *app) lsCommand() *cobra.Command {
	var which choice
	var long, recursive bool
	c := &cobra.Command{
		Use:   "ls ARCHIVE[:PATH]",
		Short: "List what an archive holds",
		Args:  oneArgument("ARCHIVE[:PATH]"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.openArchive(c.Context(), args[0], session.ReadMetadata, &which)
			if err != nil {
				return err
			}
			defer s.Close()
			w := bufio.NewWriter(a.stdout)
			j := show.JSONArray{W: w}
			err = browse.List(c.Context(), s.reader, s.archive, s.path, recursive, func(path string, n *tree.Node) error {
				switch {
				case a.json:
					return j.Add(show.Entry(path, n))
				case long:
					return show.Long(w, path, n)
				}
				_, err := fmt.Fprintln(w, quote.Display(path))
				return err
			})
			if err == nil && a.json {
				err = j.End()
			}
			if flushed := flush(w); err == nil {
				err = flushed
			}
			return err
		},
	}
	f := c.Flags()
	f.BoolVarP(&long, "long", "l", false, "show mode, owner, size and time too")
	f.BoolVarP(&recursive, "recursive", "R", false, "list what is in folders, too")
	which.flags(c)
	return c
}

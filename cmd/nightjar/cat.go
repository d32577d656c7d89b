package main

import (
	"bufio"
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/backup/browse"
	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
)

func (a *app) catCommand() *cobra.Command {
	var which choice
	var thaw thawFlags
	c := &cobra.Command{
		Use:   "cat ARCHIVE:PATH",
		Short: "Print a file of an archive; of an archive made with --stdin, PATH may be left out",
		Args:  oneArgument("ARCHIVE:PATH"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := thaw.check(); err != nil {
				return err
			}
			s, err := a.openArchive(c.Context(), args[0], session.ReadContent, &which)
			if err != nil {
				return err
			}
			defer s.Close()
			path := cmp.Or(s.path, string(s.archive.Stream))
			if path == "" {
				return usage.Errorf("no file is named: say %s:PATH", strings.TrimSuffix(args[0], ":"))
			}
			need := func(add func(string, int64)) error {
				return restore.Needs(c.Context(), s.reader, s.archive, restore.Options{Path: path}, add)
			}
			if err := a.thaw(c.Context(), s.Session, &thaw, need); err != nil {
				return err
			}
			w := bufio.NewWriterSize(a.stdout, 1<<20)
			if err := browse.Cat(c.Context(), s.reader, s.archive, path, w); err != nil {
				_ = w.Flush() // the error says that what was printed is not all
				return fmt.Errorf("print %s: %w", args[0], err)
			}
			return flush(w)
		},
	}
	which.flags(c)
	thaw.flags(c)
	return c
}

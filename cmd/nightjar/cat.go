package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"nightjar/backup/browse"
	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
)

func (a *app) catCommand() *cobra.Command {
	var choice choice
	var thaw thawFlags
	c := &cobra.Command{
		Use:   "cat ARCHIVE:PATH",
		Short: "Print a file of an archive; of an archive made with --stdin, PATH may be left out",
		Args:  oneArgument("ARCHIVE:PATH"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := choice.check(a.Now()); err != nil {
				return err
			}
			if err := thaw.check(); err != nil {
				return err
			}
			s, err := a.Open(c.Context(), session.ReadContent)
			if err != nil {
				return err
			}
			defer s.Close()
			name, path := splitArchive(args[0])
			archive, err := a.find(c.Context(), s, name, path, &choice)
			if err != nil {
				return err
			}
			if path == "" {
				if path = string(archive.Stream); path == "" {
					return usage.Errorf("no file is named: say %s:PATH", name)
				}
			}
			rd, err := s.NewReader(c.Context())
			if err != nil {
				return err
			}
			need := func(add func(string, int64)) error {
				return restore.Needs(c.Context(), rd, archive, restore.Options{Path: path}, add)
			}
			if err := a.thaw(c.Context(), s, &thaw, need); err != nil {
				return err
			}
			w := bufio.NewWriterSize(a.stdout, 1<<20)
			if err := browse.Cat(c.Context(), rd, archive, path, w); err != nil {
				_ = w.Flush() // the error says that what was printed is not all
				return fmt.Errorf("print %s: %w", args[0], err)
			}
			return flush(w)
		},
	}
	choice.flags(c)
	thaw.flags(c)
	return c
}

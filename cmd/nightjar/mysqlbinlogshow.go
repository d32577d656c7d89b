package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
)

func (a *app) mysqlBinlogShowCommand() *cobra.Command {
	var which choice
	c := &cobra.Command{
		Use:   "show ARCHIVE",
		Short: "Say what an archive has of binary logs, as spans without gaps",
		Args:  oneArgument("ARCHIVE"),
		RunE:  func(c *cobra.Command, args []string) error { return a.showBinlog(c.Context(), args[0], &which) },
	}
	which.flags(c)
	c.Flags().Lookup("kind").Usage = "only archives of this `KIND` (default: " + dumpfiles.Binlog + ")"
	return c
}

func (a *app) showBinlog(ctx context.Context, name string, which *choice) error {
	if len(which.Kinds) == 0 {
		which.Kinds = []string{dumpfiles.Binlog}
	}
	s, err := a.openArchive(ctx, name, session.ReadMetadata, which)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.archive.Kind != dumpfiles.Binlog {
		return fmt.Errorf("archive %s is of kind %q: %w", show.ShortID(s.archive), s.archive.Kind, errNoBinlogArchive)
	}
	entries, err := archivedLogs(ctx, s.Session, s.archive)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"archive": show.Archive(s.archive), "spans": show.SpansJSON(entries)})
	}
	return a.print(func(w io.Writer) { show.Spans(w, entries, a.verbose) })
}

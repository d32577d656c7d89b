package save

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/show/databases"
	"nightjar/cmd/nightjar/internal/usage"
)

func binlogShowCommand(a *app.App) *cobra.Command {
	var which choice.Choice
	c := &cobra.Command{
		Use:   "show ARCHIVE",
		Short: "Say what an archive has of binary logs, as spans without gaps",
		Args:  usage.OneArgument("ARCHIVE"),
		RunE:  func(c *cobra.Command, args []string) error { return showBinlog(c.Context(), a, args[0], &which) },
	}
	which.Bind(c)
	c.Flags().Lookup("kind").Usage = "only archives of this `KIND` (default: " + dumpfiles.Binlog + ")"
	return c
}

func showBinlog(ctx context.Context, a *app.App, name string, which *choice.Choice) error {
	if len(which.Kinds) == 0 {
		which.Kinds = []string{dumpfiles.Binlog}
	}
	s, err := choice.OpenArchive(ctx, a, name, session.ReadMetadata, which)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Archive.Kind != dumpfiles.Binlog {
		return fmt.Errorf("archive %s is of kind %q: %w", show.ShortID(s.Archive), s.Archive.Kind, errNoBinlogArchive)
	}
	entries, err := dumpfiles.ArchivedLogs(ctx, s.Session, s.Archive)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{"archive": show.Archive(s.Archive), "spans": databases.SpansJSON(entries)})
	}
	return a.Print(func(w io.Writer) { databases.Spans(w, entries, a.Verbose) })
}

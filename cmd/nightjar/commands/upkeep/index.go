package upkeep

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/repo/maintain/repair"
	"nightjar/repo/store"
)

// IndexCommand makes the command nightjar index.
func IndexCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "index COMMAND", DisableFlagsInUseLine: true,
		Short: "Look after the indexes, which say where each chunk is",
		Args:  usage.NoSubcommand,
		RunE:  usage.NameCommand,
	}
	var o repair.RebuildOptions
	var thaw thawing.Flags
	rebuild := &cobra.Command{
		Use:   "rebuild",
		Short: "Make indexes of the packs that have none; needs a recovery key",
		Long: `Read the packs that no index names, and make indexes of them. It takes a recovery key, which --key names. Packs that are damaged, or lie in an archive
storage class, are named and passed over; an index that names them already still counts.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return rebuildIndex(c.Context(), a, o, &thaw) },
	}
	rebuild.Flags().BoolVar(&o.All, "all", false, "make indexes of packs that have one, too")
	thaw.Bind(rebuild)
	c.AddCommand(rebuild)
	return c
}

func rebuildIndex(ctx context.Context, a *app.App, o repair.RebuildOptions, t *thawing.Flags) error {
	if err := t.Check(); err != nil {
		return err
	}
	s, err := a.Open(ctx, session.ReadContent)
	if err != nil {
		return err
	}
	defer s.Close()
	err = thawing.Ask(ctx, a, s, t, func(add func(string, int64)) error {
		return repair.Unindexed(ctx, s.Repository, o, func(i store.Info) { add(i.Name, i.Size) })
	})
	if err != nil {
		return err
	}
	o.Skipped = func(i store.Info, err error) { a.Problem(i.Name, err) }
	done, err := repair.RebuildIndex(ctx, s.Repository, o)
	if err != nil {
		return err
	}
	if err := reportRebuilt(a, done); err != nil {
		return err
	}
	switch {
	case done.Damaged > 0:
		return outcome.Problems{What: fmt.Sprintf("indexes were made, but not of all packs: damaged: %d", done.Damaged), Damaged: true}
	case done.Archived > 0:
		return fmt.Errorf("indexes were made, but not of all packs: to be thawed first: %d: %w", done.Archived, store.ErrArchived)
	}
	return nil
}

func reportRebuilt(a *app.App, done repair.Rebuilt) error {
	if done.Useless > 0 {
		a.Note("recipes that lean on what is nowhere: %d; it is recorded that no backup builds on them", done.Useless)
	}
	if a.JSON {
		return a.PrintJSON(map[string]int{"packs": done.Packs, "chunks": done.Chunks, "damaged": done.Damaged, "archived": done.Archived, "useless": done.Useless, "indexes": done.Objects})
	}
	if !a.Chatty() {
		return nil
	}
	return a.Print(func(w io.Writer) {
		if done.Packs == 0 {
			fmt.Fprintln(w, "nothing to index: every pack has its index")
			return
		}
		fmt.Fprintf(w, "indexed %s with %s in %s\n", human.Count(done.Packs, "pack"), human.Count(done.Chunks, "chunk"), human.Count(done.Objects, "new index object"))
	})
}

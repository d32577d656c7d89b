package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/repo/maintain/repair"
)

func (a *app) indexCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "index",
		Short: "Look after the indexes, which say where each chunk is",
		Args:  noSubcommand,
		RunE:  func(*cobra.Command, []string) error { return session.Usagef("say index rebuild") },
	}
	var o repair.RebuildOptions
	rebuild := &cobra.Command{
		Use:   "rebuild",
		Short: "Make indexes of the packs that have none; needs a recovery key",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.Open(c.Context(), session.ReadContent)
			if err != nil {
				return err
			}
			defer s.Close()
			o.Damaged = a.problem
			done, err := repair.RebuildIndex(c.Context(), s.Repository, o)
			if err != nil {
				return err
			}
			if err := a.reportRebuilt(done); err != nil {
				return err
			}
			if done.Damaged > 0 {
				return outcome.Problems{What: fmt.Sprintf("indexes were made, but not of all packs: damaged: %d", done.Damaged), Damaged: true}
			}
			return nil
		},
	}
	rebuild.Flags().BoolVar(&o.All, "all", false, "make indexes of packs that have one, too")
	c.AddCommand(rebuild)
	return c
}

func (a *app) reportRebuilt(done repair.Rebuilt) error {
	if a.json {
		return a.printJSON(map[string]int{"packs": done.Packs, "chunks": done.Chunks, "damaged": done.Damaged, "indexes": done.Objects})
	}
	if !a.chatty() {
		return nil
	}
	return a.print(func(w io.Writer) {
		fmt.Fprintf(w, "indexed %d packs with %d chunks in %d new indexes\n", done.Packs, done.Chunks, done.Objects)
	})
}

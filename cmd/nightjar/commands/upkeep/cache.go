package upkeep

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/cache"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/quote"
)

// CacheCommand makes the command nightjar cache.
func CacheCommand(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Say what this machine keeps only to save time",
		Args:  usage.NoSubcommand,
		RunE: func(*cobra.Command, []string) error {
			folder, err := a.CacheFolder()
			if err != nil {
				return err
			}
			caches, err := cache.List(folder)
			if err != nil {
				return err
			}
			total := uint64(0)
			for _, x := range caches {
				total += x.Bytes
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{"folder": quote.Text(folder), "bytes": total, "repositories": append([]cache.Entry{}, caches...)})
			}
			return a.Print(func(w io.Writer) {
				fmt.Fprintf(w, "caches in %s\n", quote.Display(folder))
				var rows [][2]string
				for _, x := range caches {
					rows = append(rows, [2]string{x.Repository, human.ExactSize(x.Bytes) + ", used " + human.Time(x.Used)})
				}
				show.Block(w, append(rows, [2]string{"total", human.ExactSize(total)}))
			})
		},
	}
	var all bool
	var unused string
	clean := &cobra.Command{
		Use:   "clean",
		Short: "Delete the caches of repositories that were not used lately; it costs time, never data",
		Args:  usage.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			before, err := human.ParseTime(unused, a.Now())
			if err != nil {
				return usage.Error{Err: fmt.Errorf("--unused: %w", err)}
			}
			return cleanCaches(a, func(c *cache.Entry) bool { return all || c.Used.Before(before) })
		},
	}
	clean.Flags().BoolVar(&all, "all", false, "those in use, too")
	clean.Flags().StringVar(&unused, "unused", "30D", "for how long they were not used")
	c.AddCommand(clean)
	return c
}

func cleanCaches(a *app.App, old func(*cache.Entry) bool) error {
	folder, err := a.CacheFolder()
	if err != nil {
		return err
	}
	caches, err := cache.List(folder)
	if err != nil {
		return err
	}
	count, freed := 0, uint64(0)
	for i := range caches {
		x := &caches[i]
		if !old(x) {
			continue
		}
		if err := x.Remove(); err != nil {
			return err
		}
		count++
		freed += x.Bytes
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{"deleted": count, "bytes": freed})
	}
	if !a.Chatty() {
		return nil
	}
	return a.Print(func(w io.Writer) {
		fmt.Fprintf(w, "deleted %d caches of %d, %s\n", count, len(caches), human.ExactSize(freed))
	})
}

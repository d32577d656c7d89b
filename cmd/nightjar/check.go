package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/repo/maintain"
	"nightjar/repo/store"
)

func (a *app) checkCommand() *cobra.Command {
	var readData bool
	var sample string
	var thaw thawFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Look whether all that the archives need is there and whole",
		Long: `Look at keys, archives, trees, indexes, and at names and sizes of packs (in a bucket that knows them, checksums too).
--read-data reads packs as well; with a recovery key, which --key names, it also opens them, down to the last chunk.

Each fault is one line; with --verbose, what runs that died left over is told too, which is no fault. Exit code 12 if there is a fault.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o := maintain.CheckOptions{ReadData: readData || sample != ""}
			if sample != "" {
				var err error
				if o.Sample, err = show.ParseShare(sample); err != nil {
					return session.UsageError{Err: fmt.Errorf("--sample: %w", err)}
				}
			}
			if err := thaw.check(); err != nil {
				return err
			}
			if thaw.tier != "" && (!o.ReadData || sample != "") {
				return session.Usagef("--thaw-tier goes with --read-data, without --sample")
			}
			return a.check(c.Context(), o, &thaw)
		},
	}
	c.Flags().BoolVar(&readData, "read-data", false, "read all packs, too")
	c.Flags().StringVar(&sample, "sample", "", "read that share of the packs, chosen at random, like 5%")
	thaw.flags(c)
	return c
}

func (a *app) check(ctx context.Context, o maintain.CheckOptions, t *thawFlags) error {
	need := session.ReadMetadata
	if o.ReadData {
		need = session.ReadMost
	}
	a.Bucket.CacheLimit = "0" // what is stored is meant, not what this machine keeps of it
	s, err := a.Open(ctx, need)
	if err != nil {
		return err
	}
	defer s.Close()
	o.Connections = a.Connections
	err = a.thaw(ctx, s, t, func(add func(string, int64)) error {
		return s.Store.List(ctx, "content/", func(i store.Info) error { add(i.Name, i.Size); return nil })
	})
	if err != nil {
		return err
	}
	w := bufio.NewWriter(a.stdout)
	list := show.JSONArray{W: w}
	if a.json {
		fmt.Fprint(w, `{"findings": `)
	}
	var failed error // of what is printed; calls of Found come one at a time
	o.Found = func(f maintain.Finding) {
		switch {
		case failed != nil, !f.Fault() && !a.verbose && !a.json:
		case a.json:
			failed = list.Add(show.NewFindingJSON(f))
		default:
			failed = a.result(show.Finding(f))
		}
	}
	var done, total atomic.Int64
	o.Progress = func(n, of int) {
		done.Store(int64(n))
		total.Store(int64(of))
	}
	stop := func() {}
	if o.ReadData {
		stop = a.follow(progress.Meter{
			Text:    func() string { return fmt.Sprintf("%d of %d packs", done.Load(), total.Load()) },
			Current: done.Load, Total: total.Load,
		})
	}
	start := a.Now()
	sums, err := maintain.Check(ctx, s.Repository, o)
	stop()
	took := a.Now().Sub(start)
	if err != nil {
		return errors.Join(err, w.Flush())
	}
	switch {
	case failed != nil:
	case a.json:
		failed = a.endJSON(w, &list, show.CheckedJSON(&sums, took))
	case a.chatty():
		failed = a.print(func(w io.Writer) { show.Checked(w, &sums, took) })
	}
	if failed != nil {
		return failed
	}
	if sums.Faults > 0 {
		return session.Hinted{
			Err:  outcome.Problems{What: fmt.Sprintf("repository %s is damaged: faults: %d", s.ID(), sums.Faults), Damaged: true},
			Hint: "what was replaced is read as it was, and what is hidden shows with --as-of. Files that are not named can be restored. What lacks an index gets one by nightjar index rebuild --key KEY",
		}
	}
	return nil
}

// endJSON ends the list of findings and the object that it is in.
func (a *app) endJSON(w *bufio.Writer, list *show.JSONArray, summary any) error {
	if err := list.End(); err != nil {
		return err
	}
	text, err := encodeJSON(summary)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, ", \"summary\": %s}\n", text)
	return flush(w)
}

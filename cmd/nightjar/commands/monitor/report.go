package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/reported"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/durable"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job/report"
)

type reportFlags struct {
	output  string
	days    int
	changes int
	prices  []string
	choice  choice.Choice
}

// ReportCommand makes the command nightjar report.
func ReportCommand(a *app.App) *cobra.Command {
	var o reportFlags
	c := &cobra.Command{
		Use:   "report",
		Short: "Write a page of HTML of what became of all jobs",
		Long: `Write one page of HTML of what became of all jobs of all hosts: each job's nights as a calendar and as charts, what needs attention, failures,
proven restores, sizes, replication positions, copies, what changed most, and what keeping it costs. It needs no network and no script, and is made for
phones, wide screens and paper. All of it comes from the repository: any host's key will do.`,
		Example: `  nightjar report --output /var/www/html/backups.html
  nightjar report --days 30 --host web1 >web1.html`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runReport(c.Context(), a, &o) },
	}
	f := c.Flags()
	f.StringVarP(&o.output, "output", "o", "-", "the `FILE` that is written, in one go; - is standard output")
	f.IntVar(&o.days, "days", report.Days, "how many days are shown")
	f.IntVar(&o.changes, "changes", 5, "of how many jobs it is told what changed most, by their last two archives; 0: of none")
	f.StringArrayVar(&o.prices, "price", nil, "what keeping a GiB for a month costs, `CLASS=USD`, instead of Amazon's list price; may be repeated")
	f.StringVar(&o.choice.Host, "host", "", "only jobs of this host")
	return c
}

func runReport(ctx context.Context, a *app.App, o *reportFlags) error {
	if o.days < 1 || o.days > report.MaxDays {
		return usage.Errorf("--days %d: there may be 1 to %d", o.days, report.MaxDays)
	}
	if a.JSON && o.output == "-" {
		return usage.Errorf("--json goes with --output FILE: a report is a page; nightjar status --json has the figures")
	}
	prices, err := reported.ParsePrices(o.prices, a.Bucket.Class)
	if err != nil {
		return usage.Errorf("--price: %w", err)
	}
	var warnings []string
	warn := a.Warn
	a.Warn = func(err error) {
		warnings = append(warnings, err.Error())
		warn(err)
	}
	s, err := a.Open(ctx, session.ReadMetadata)
	if err != nil {
		return err
	}
	defer s.Close()
	if !a.Reach().IsAmazons(ctx, s.Place) && len(o.prices) == 0 {
		prices = nil
	}
	archives, damaged, err := choice.Archives(ctx, s, &o.choice)
	if err != nil {
		return err
	}
	in, err := reported.Gather(ctx, s.Repository, archives, reported.Options{
		Place: place.Shown(s.Place), Now: a.Now(), Zone: time.Local, Days: o.days, Changes: o.changes, Prices: prices, Version: "nightjar " + app.Version(),
	})
	if err != nil {
		return err
	}
	in.Warnings = warnings
	if n := len(damaged); n > 0 {
		in.Warnings = append(in.Warnings, human.Count(n, "archive")+" unreadable: nightjar check says more")
	}
	var page bytes.Buffer
	if err := report.Write(&page, *in); err != nil {
		return err
	}
	if err := writePage(a, o.output, page.Bytes()); err != nil || o.output == "-" {
		return err
	}
	if !a.JSON {
		if a.Chatty() {
			return a.Result(fmt.Sprintf("wrote %s: %s, %s", quote.Display(o.output), human.Count(len(in.Jobs), "job"), human.Size(uint64(page.Len()))))
		}
		return nil
	}
	return a.PrintJSON(map[string]any{"output": quote.Text(o.output), "bytes": page.Len(), "jobs": len(in.Jobs)})
}

// writePage writes a page to a file, which keeps its mode if it is there, or to standard output.
func writePage(a *app.App, output string, page []byte) error {
	if output == "-" {
		return a.Print(func(w io.Writer) { _, _ = w.Write(page) }) // print fails when w does
	}
	mode := fs.FileMode(0o640) // names of files are in it
	switch info, err := os.Stat(output); {
	case err == nil:
		mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("write report: %w", err)
	}
	if err := durable.WriteFile(output, page, mode); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

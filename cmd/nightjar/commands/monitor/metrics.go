package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/metrics"
	"nightjar/cmd/nightjar/internal/overview"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/recorded"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/durable"
	"nightjar/internal/where"
	"nightjar/job/history"
	"nightjar/job/record"
	"nightjar/mysqldump/server"
	records "nightjar/repo/record"
	"nightjar/repo/store"
)

// MetricsCommand makes the command nightjar metrics.
func MetricsCommand(a *app.App) *cobra.Command {
	var output string
	var all bool
	c := &cobra.Command{
		Use:   "metrics",
		Short: "Write metrics for Prometheus",
		Long: `Write how this machine's jobs and the repository stand, in the text format of Prometheus. With --output it is a file for node_exporter's textfile collector, which
everybody may read, and which is written as a whole or not at all. nightjar run does that by itself where the job file has [metrics] with textfile.

If the repository cannot be read, what this machine knows is written all the same. How large the repository is, is measured once in 20 hours at most.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runMetrics(c.Context(), a, output, all) },
	}
	f := c.Flags()
	f.StringVar(&output, "output", "-", "the `FILE` that is written; - is standard output")
	f.BoolVar(&all, "all-hosts", false, "tell of the jobs of all hosts, and of drills that other hosts make")
	return c
}

func runMetrics(ctx context.Context, a *app.App, output string, all bool) error {
	text, failed := MetricsText(ctx, a, all)
	if text == nil {
		return failed
	}
	var err error
	if output == "-" {
		err = a.Print(func(w io.Writer) { _, _ = w.Write(text) })
	} else {
		err = WriteMetrics(output, text)
	}
	return errors.Join(err, failed)
}

// WriteMetrics writes a file that everybody may read, whatever the umask is.
func WriteMetrics(path string, text []byte) error {
	path, err := where.Absolute(path)
	if err != nil {
		return usage.Errorf("--output: %w", err)
	}
	if err = durable.WriteFile(path, text, 0o644); err == nil {
		err = os.Chmod(path, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

// MetricsText returns the metrics. They are nil if there are none; beside those of this machine alone, the error says why the repository could not be read.
func MetricsText(ctx context.Context, a *app.App, all bool) ([]byte, error) {
	s, failed := a.Open(ctx, session.ReadMetadata)
	m := readJobs(ctx, a)
	o := overview.Options{Now: a.Now()}
	m.tell(&o)
	state := metrics.State{Version: app.Version(), Pending: m.pending, Stopped: leftStopped(a)}
	if failed == nil {
		failed = gather(ctx, a, s, &state, &o, all)
		s.Close()
	}
	if failed != nil {
		state.Lines = overview.Lines(nil, o)
	}
	text, err := metrics.Text(&state)
	return text, errors.Join(failed, err)
}

// gather reads what the repository says.
func gather(ctx context.Context, a *app.App, s *session.Session, state *metrics.State, o *overview.Options, all bool) error {
	host := o.Here
	if all {
		host = ""
	}
	archives, err := recorded.HistoryOf(ctx, s, host)
	if err != nil {
		return err
	}
	o.Enrolled = enrolled(s.Keyring, o.Now)
	state.Lines = overview.Lines(history.Read(archives, o.Now), *o)
	state.Archives = map[string]int{}
	for i := range archives {
		if x := &archives[i]; x.Kind != record.Run && x.Kind != record.Drill {
			state.Archives[x.Host]++
		}
	}
	state.Repository, state.Keys = s.ID(), show.AllKeys(s.Keyring, o.Now)
	state.Prune = new(metrics.Prune)
	err = s.Store.List(ctx, records.CondemnedKind+"/", func(i store.Info) error {
		state.Prune.Condemned++
		if at := state.Prune.Oldest; at.IsZero() || i.Time.Before(at) {
			state.Prune.Oldest = i.Time
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	state.Sizes, err = sizes(ctx, a, s)
	state.Readable = err == nil
	return err
}

// sizes returns how large the repository is. It is measured now and then.
func sizes(ctx context.Context, a *app.App, s *session.Session) (*metrics.Sizes, error) {
	folder, err := a.StateFolder()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, s.ID(), "sizes.json")
	known, err := metrics.ReadSizes(path)
	if err != nil {
		a.Warn(fmt.Errorf("%w; it is measured again", err))
	}
	if known.Fresh(a.Now()) {
		return &known, nil
	}
	sums, err := show.Gather(ctx, s.Repository, place.Shown(s.Place), nil)
	if err != nil {
		return nil, err
	}
	known = metrics.Sizes{Measured: a.Now(), Objects: sums.Objects}
	if err := known.Write(path); err != nil {
		a.Warn(err)
	}
	return &known, nil
}

// leftStopped counts replicas whose SQL threads were stopped for a moment by a process that was killed.
func leftStopped(a *app.App) int {
	folder, err := a.StateFolder()
	if err != nil {
		return 0
	}
	left, notes, err := server.LeftPaused(folder)
	for _, n := range notes {
		err = errors.Join(err, n.Close())
	}
	if err != nil {
		a.Warn(err)
	}
	return len(left)
}

package take

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/snapshot/freeze"
	"nightjar/snapshot/host"
)

// watchdogName is what the program calls itself with to have a watchdog.
const watchdogName = "freeze-watchdog"

// systemdRuns is there where systemd is the init system, by sd_booted(3).
const systemdRuns = "/run/systemd/system"

// FreezeOptions returns how file systems are frozen by this program: all that it writes to meanwhile is refused.
func FreezeOptions(a *app.App) (freeze.Options, error) {
	state, err := a.StateFolder()
	if err != nil {
		return freeze.Options{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return freeze.Options{}, fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return freeze.Options{}, fmt.Errorf("make the state directory: %w", err)
	}
	o := freeze.Options{Directory: state, Files: []*os.File{a.Out, a.Err}, Watchdog: []string{self, "ebs", watchdogName}, Env: a.Children}
	for _, folder := range []string{a.CacheDir, a.TempDir} {
		if folder != "" {
			o.Own = append(o.Own, folder)
		}
	}
	if info, err := os.Stat(systemdRuns); err == nil && info.IsDir() {
		o.Scope = freeze.ScopeCommand()
	}
	return o, nil
}

// WatchdogCommand is for the program itself: see freeze.Watch.
func WatchdogCommand(a *app.App) *cobra.Command {
	return app.Uses(&cobra.Command{
		Use:    watchdogName,
		Short:  "Freeze and thaw for nightjar ebs take, which starts it",
		Hidden: true,
		Args:   usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return freeze.Watch(c.Context(), a.In, a.Out)
		},
	}, app.FileNone)
}

// ThawCommand makes the command nightjar ebs thaw.
func ThawCommand(a *app.App) *cobra.Command {
	return app.Uses(&cobra.Command{
		Use:   "thaw [MOUNT...]",
		Short: "Thaw file systems that a run was killed over",
		Long: `Thaws the file systems of the mounts that are named, whoever has frozen them. Without any it thaws what runs on this machine have frozen that were
killed together with their watchdogs, as the state directory has it: for a unit's ExecStopPost=. What is not frozen is no error.`,
		RunE: func(_ *cobra.Command, mounts []string) error {
			var thawed []freeze.Thawed
			for _, m := range mounts {
				thawed = append(thawed, freeze.ThawPath(m))
			}
			if len(mounts) == 0 {
				state, err := a.StateFolder()
				if err != nil {
					return err
				}
				if thawed, err = freeze.Left(state, host.Machine{}); err != nil {
					return err
				}
			}
			return showThawed(a, thawed)
		},
	}, app.FileNone)
}

// showThawed says what was thawed, and fails with what was not.
func showThawed(a *app.App, thawed []freeze.Thawed) error {
	var failed []error
	for _, t := range thawed {
		switch {
		case t.Err != nil:
			failed = append(failed, t.Err)
		case t.Holds:
			a.Note("%s is held by a watchdog that lives, and will thaw it; nightjar ebs thaw MOUNT does it now", t.Path)
		case !t.Was:
			a.Note("%s was not frozen", t.Path)
		}
	}
	if err := printThawed(a, thawed); err != nil {
		return err
	}
	err := errors.Join(failed...)
	switch {
	case err == nil:
		return nil
	case len(failed) == len(thawed):
		return usage.Hinted{Err: err, Hint: "only root may thaw; fsfreeze --unfreeze MOUNT, of util-linux, does the same"}
	}
	for _, err := range failed {
		a.Warn(err)
	}
	return outcome.Problems{What: fmt.Sprintf("%d of %d file systems may still be frozen", len(failed), len(thawed))}
}

func printThawed(a *app.App, thawed []freeze.Thawed) error {
	if a.JSON {
		type one struct {
			Mount  string `json:"mount"`
			Thawed bool   `json:"thawed"`
			Held   bool   `json:"held,omitempty"`
			Error  string `json:"error,omitempty"`
		}
		all := []one{}
		for _, t := range thawed {
			o := one{Mount: quote.Text(t.Path), Thawed: t.Was, Held: t.Holds}
			if t.Err != nil {
				o.Error = quote.Text(t.Err.Error())
			}
			all = append(all, o)
		}
		return a.PrintJSON(all)
	}
	return a.Print(func(w io.Writer) {
		if a.Chatty() && !slices.ContainsFunc(thawed, func(t freeze.Thawed) bool { return t.Was || t.Holds || t.Err != nil }) {
			fmt.Fprintln(w, "nothing was frozen")
		}
		for _, t := range thawed {
			if t.Was && !a.Quiet {
				fmt.Fprintf(w, "thawed %s\n", quote.Display(t.Path))
			}
		}
	})
}

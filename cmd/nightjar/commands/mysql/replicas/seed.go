package replicas

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/commands/mysql/load"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/child"
	"nightjar/internal/where"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
)

// StartFlags say how a server is started on a data directory.
type StartFlags struct {
	command string
	wait    time.Duration
}

// Bind gives a command the flags.
func (s *StartFlags) Bind(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.command, "start-command", "", "with --datadir: `COMMAND` that starts the server and ends (default: systemctl start of the unit that is there)")
	f.DurationVar(&s.wait, "start-wait", 10*time.Minute, "with --datadir: how long the server may take until it answers")
}

const startGoesOn = "the files are in place: start the server on them, with a server_id of its own, then the same command with --no-restore goes on"

// seedFromHot makes the replica's data directory of a hot backup, and has its server started.
func seedFromHot(ctx context.Context, a *app.App, r *Flags, e *Ends, archive string) error {
	if err := layDown(ctx, a, r, e, archive); err != nil {
		return err
	}
	if !r.noRestore {
		if err := StartServer(ctx, a, &r.Start); err != nil {
			return err
		}
	}
	if err := Answers(ctx, a, e.Replica, r); err != nil {
		return err
	}
	if err := replica.Fits(ctx, e.Replica, e.Source, r.Point); err != nil {
		return Advise(err)
	}
	return nil
}

// layDown makes the data directory, after it has found out that the replica will be able to replicate. The key that opens the archive is let go of at the end.
func layDown(ctx context.Context, a *app.App, r *Flags, e *Ends, archive string) error {
	x, err := load.OpenSeed(ctx, a, &r.Datadir, archive, &r.Choice)
	if err != nil {
		return err
	}
	defer x.Close()
	r.Options.From = x.Position
	if e.Source.Position, err = pointOf(ctx, a, x.Archive, r); err != nil {
		return err
	}
	if err := MayReplicate(ctx, a, r, e); err != nil {
		return err
	}
	if r.noRestore {
		return nil
	}
	if c, err := e.Replica.Connect(ctx); err == nil {
		c.Close()
		return usage.Hinted{Err: fmt.Errorf("a server answers at %s already, whose data directory %s is to be", e.Replica.Address(), r.Datadir.Dir),
			Hint: "nothing was changed. Stop it, and move its data directory away; or say --no-restore if it runs on this backup's files already"}
	}
	a.Note("making a data directory of archive %s in %s", show.ShortID(x.Archive), r.Datadir.Dir)
	m, err := load.MakeDatadir(ctx, a, x, &r.Datadir, &r.Thaw, true)
	if errors.Is(err, datadir.ErrNotEmpty) {
		return usage.Hinted{Err: err, Hint: "nothing was changed. Is it this archive, restored before? Then --no-restore goes on with it. Else name an empty or a new folder"}
	}
	if err == nil {
		load.TellDatadir(a, m)
	}
	return err
}

// StartServer has the server started that is configured on this machine.
func StartServer(ctx context.Context, a *app.App, s *StartFlags) error {
	env, err := a.Environ()
	if err != nil {
		return err
	}
	args := commandLine(s.command)
	if len(args) == 0 {
		unit := unitOf(ctx, env)
		if unit == "" {
			return usage.Hinted{Err: outcome.Problems{What: "the data directory is made, but its server was not started: systemctl knows none of mariadb, mysql, mysqld"}, Hint: startGoesOn + "; --start-command says how"}
		}
		args = []string{"systemctl", "start", unit}
	}
	a.Note("starting the server: %s", strings.Join(args, " "))
	if _, err := child.Output(ctx, child.Command{Args: args, Env: env, Drain: 2 * time.Second}, 1<<20); err != nil {
		return usage.Hinted{Err: fmt.Errorf("start the server: %w", err), Hint: "its error log says more. " + startGoesOn}
	}
	return nil
}

// commandLine splits a command into words; one that is for a shell to read is given to a shell.
func commandLine(command string) []string {
	if strings.ContainsAny(command, "'\"`$&|;<>()*?[]{}~#\\\n=") {
		return []string{"sh", "-c", command}
	}
	return strings.Fields(command)
}

// unitOf returns the server's unit of systemd; empty: there is none.
func unitOf(ctx context.Context, env []string) string {
	for _, unit := range []string{"mariadb.service", "mysql.service", "mysqld.service"} {
		if _, err := child.Output(ctx, child.Command{Args: []string{"systemctl", "cat", unit}, Env: env}, 1<<20); err == nil {
			return unit
		}
	}
	return ""
}

// Answers waits until a server answers, and sees that it runs on the data directory.
func Answers(ctx context.Context, a *app.App, s *server.Server, r *Flags) error {
	deadline, pause := a.Now().Add(r.Start.wait), time.NewTicker(100*time.Millisecond)
	defer pause.Stop()
	c, err := s.Connect(ctx)
	for ; err != nil; c, err = s.Connect(ctx) {
		var connect *server.ConnectError
		if ctx.Err() != nil {
			return err
		}
		if !errors.As(err, &connect) || server.Number(err) != 0 || a.Now().After(deadline) {
			return usage.Hinted{Err: fmt.Errorf("reach the server that was started: %w", err),
				Hint: "accounts and passwords are those of the source now. " + startGoesOn}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
	defer c.Close()
	row, err := c.Row(ctx, "SELECT @@datadir")
	if err != nil {
		return err
	}
	dir, err := where.Absolute(r.Datadir.Dir)
	if err != nil {
		return err
	}
	there, err := os.Stat(string(row[0]))
	here, failed := os.Stat(dir)
	if err != nil || failed != nil || !os.SameFile(there, here) {
		return usage.Hinted{Err: fmt.Errorf("the server at %s runs on %s, not on %s", s.Address(), row[0], dir), Hint: "nothing was changed at it. Its option file names the data directory: datadir=" + dir}
	}
	return nil
}

package replicas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/compare"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/login"
)

type verifyFlags struct {
	server, source dbflags.Flags
	exclude        []string
	o              compare.Options
}

// VerifyCommand makes the command nightjar mysql verify.
func VerifyCommand(a *app.App) *cobra.Command {
	var v verifyFlags
	c := &cobra.Command{
		Use:   "verify --source HOST [DATABASE[.TABLE]...]",
		Short: "Compare a running replica with its source: all tables, at one position",
		Long: `Compare the rows of all tables of a replica with its source's, at one position, or of those chosen by patterns, as nightjar mysql dump has them. Both go on
meanwhile: the source is locked for milliseconds, the replica's SQL thread stands until it has come to the same position.

Exit code 0 if all are equal, 1 if tables differ or the replica does not run, 3 if some could not be compared.`,
		RunE: func(c *cobra.Command, args []string) error { return runVerify(c.Context(), a, &v, args) },
	}
	v.server.Bind(c)
	v.source.BindOther(c, "source")
	f := c.Flags()
	f.StringArrayVar(&v.exclude, "exclude-table", nil, "leave out what matches the `PATTERN` of DATABASE.TABLE; may be repeated")
	f.IntVar(&v.o.Sessions, "threads", 4, "tables that are read at the same time")
	f.StringVar(&v.o.Channel, "channel", "", "name of the channel, or of MariaDB's connection")
	f.DurationVar(&v.o.Limit, "wait", 10*time.Minute, "how long the replica may take to come to the source's position")
	f.DurationVar(&v.o.Lock.Attempt, "lock-attempt", lock.DefaultAttempt, "how long one attempt at a lock of the source may keep writers waiting")
	f.DurationVar(&v.o.Lock.Wait, "lock-wait", lock.DefaultWait, "for how long attempts are made")
	dbflags.MaxLock(f, &v.o.Lock.Max)
	return c
}

func runVerify(ctx context.Context, a *app.App, v *verifyFlags, names []string) error {
	if v.o.Sessions < 1 || v.o.Sessions > 64 {
		return usage.Errorf("--threads %d: there may be 1 to 64", v.o.Sessions)
	}
	selection := choose.Selection{ExcludeTables: v.exclude}
	for _, name := range names {
		if choose.Dotted(name) {
			selection.Tables = append(selection.Tables, name)
		} else {
			selection.Databases = append(selection.Databases, name)
		}
	}
	var err error
	if v.o.Chosen, err = selection.Tester(); err != nil {
		return usage.Error{Err: err}
	}
	replica, err := v.server.Server(ctx, &a.Settings)
	if err != nil {
		return err
	}
	if v.o.Source, err = v.source.Server(ctx, &a.Settings); errors.Is(err, login.ErrUnnamed) {
		return usage.Errorf("name the source with --source, in [nightjar-source] of ~/.my.cnf or in a file of its own, --source-defaults-file: --defaults-file is read for the replica alone")
	} else if err != nil {
		return err
	}
	if v.o.Folder, err = a.StateFolder(); err != nil {
		return err
	}
	v.o.Now = a.Now
	result, err := compare.Run(ctx, replica, v.o)
	if err != nil {
		return Advise(err)
	}
	if len(names) > 0 && result.Tables+len(result.Differences)+len(result.Uncompared) == 0 {
		return fmt.Errorf("compare %s with its source: no table is called so", replica.Address())
	}
	if a.JSON {
		err = a.PrintJSON(map[string]any{
			"replica": replica.Address(), "source": v.o.Source.Address(), "at": result.Position.String(), "equal_tables": result.Tables,
			"differences": differencesJSON(result.Differences), "uncompared": differencesJSON(result.Uncompared), "sql_thread_stood_ms": result.Stood.Milliseconds(),
		})
	} else if !a.Quiet {
		err = a.Print(func(w io.Writer) {
			fmt.Fprintf(w, "equal tables: %d, at %s; the SQL thread stood for %s\n", result.Tables, quote.Display(result.Position.String()), result.Stood.Round(time.Millisecond))
		})
	}
	if err != nil {
		return err
	}
	return ReportCompared(a, replica.Address(), result)
}

// ReportCompared tells of each table that is not equal, and returns the error that says so.
func ReportCompared(a *app.App, replica string, r compare.Result) error {
	for _, d := range r.Uncompared {
		a.Problem(d.Database+"."+d.Table, errors.New("not compared: "+d.What))
	}
	for _, d := range r.Differences {
		a.Warn(fmt.Errorf("%s.%s: %s", d.Database, d.Table, d.What))
	}
	switch {
	case len(r.Differences) > 0:
		return usage.Hinted{Err: fmt.Errorf("%s differs from its source: tables: %d", replica, len(r.Differences)),
			Hint: "did somebody write at the replica? Set it up anew, or mend these tables by hand"}
	case len(r.Uncompared) > 0:
		return outcome.Problems{What: fmt.Sprintf("%s replicates, but not all tables could be compared: %d", replica, len(r.Uncompared))}
	}
	return nil
}

func differencesJSON(differences []compare.Difference) []map[string]any {
	all := []map[string]any{}
	for _, d := range differences {
		all = append(all, map[string]any{"database": d.Database, "table": d.Table, "what": d.What, "source": d.Source, "replica": d.Replica})
	}
	return all
}

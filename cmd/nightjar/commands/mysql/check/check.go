// Package check says what would break a backup or a replica of a server, before the first night.
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/mysqldump/check"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/server"
)

type checkFlags struct {
	server, replica, replication dbflags.Flags
	both                         bool // a flag is about the replica
	purposes                     []string
	every, long                  string
	threads                      int
}

// Command makes the command nightjar mysql check.
func Command(a *app.App) *cobra.Command {
	var k checkFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what would break a backup or a replica of a server, before the first night",
		Long: `Look at a server and say what would break a backup or a replica: one line for each finding, the worst first, and below it the statement or option that mends it.
Nothing is changed, but for a replica that a killed nightjar has left stopped, which is started.

Exit code 0 if nothing breaks (warnings and notes are no fault), 1 if a problem stands, or the server cannot be asked.

--replica names a second server that is to be the replica, or is one, and looks at both ends. --replication says how the replica is to reach the source, with
the account for it: that is tried from here.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { // --replica and --replication, and what begins with them
			c.Flags().Visit(func(f *pflag.Flag) { k.both = k.both || strings.HasPrefix(f.Name, "replica") })
			return runCheck(c.Context(), a, &k)
		},
	}
	k.server.Bind(c)
	k.replica.BindOther(c, "replica")
	k.replication.BindReplication(c)
	f := c.Flags()
	f.StringSliceVar(&k.purposes, "for", []string{"dump", "replica"}, "what the server is to be good for: dump, hot, binlog, replica")
	f.StringVar(&k.every, "every", "1D", "how often a backup is made")
	f.StringVar(&k.long, "long", "10s", "from when on a statement or a transaction is called long")
	f.IntVar(&k.threads, "threads", 4, "how many tables a dump reads at the same time")
	return c
}

func checkOptions(a *app.App, k *checkFlags) (o check.Options, err error) {
	for _, p := range k.purposes {
		if !slices.Contains(check.Purposes, check.Purpose(p)) {
			return o, usage.Errorf("--for %s: there are dump, hot, binlog and replica", p)
		}
		o.For = append(o.For, check.Purpose(p))
	}
	if o.Every, err = human.ParseAge(k.every); err != nil {
		return o, usage.Error{Err: fmt.Errorf("--every: %w", err)}
	}
	if o.Long, err = human.ParseAge(k.long); err != nil {
		return o, usage.Error{Err: fmt.Errorf("--long: %w", err)}
	}
	if o.Every <= 0 || o.Long < time.Second {
		return o, usage.Errorf("--every and --long: a second is the least")
	}
	if k.threads < 1 {
		return o, usage.Errorf("--threads: one is the least")
	}
	const besides = 4 // sessions that lock, watch and look up
	o.Sessions = k.threads + besides
	if o.Notes, err = a.StateFolder(); err != nil {
		return o, err
	}
	o.TempDir, o.Path, o.Now = cmp.Or(a.TempDir, "/tmp"), a.Getenv("PATH"), a.Now
	if env, err := a.Environ(); err == nil { // else the rule of scratch files says so
		o.Env = env
	}
	return o, nil
}

// Nightly returns the options of a check that has no flags but --for: of what runs every night.
func Nightly(a *app.App, purposes []string) (check.Options, error) {
	return checkOptions(a, &checkFlags{purposes: purposes, every: "1D", long: "10s", threads: 4})
}

func runCheck(ctx context.Context, a *app.App, k *checkFlags) error {
	o, err := checkOptions(a, k)
	if err != nil {
		return err
	}
	source, err := k.server.Server(ctx, &a.Settings)
	if err != nil {
		return err
	}
	var replica, account *server.Server
	if k.both {
		if replica, err = k.replica.Server(ctx, &a.Settings); errors.Is(err, login.ErrUnnamed) {
			return usage.Errorf("name the replica with --replica, in [nightjar-replica] of ~/.my.cnf or in a file of its own, --replica-defaults-file")
		} else if err != nil {
			return err
		}
		if account, err = k.replication.Server(ctx, &a.Settings); err != nil && !errors.Is(err, login.ErrUnnamed) {
			return err
		}
	}
	found, err := check.Run(ctx, source, o)
	if err == nil && replica != nil {
		var more []check.Finding
		more, err = check.Ends(ctx, source, replica, account, o)
		found = append(found, more...)
	}
	if err != nil {
		return err
	}
	counts := map[check.Severity]int{}
	for _, f := range found {
		counts[f.Severity]++
	}
	if a.JSON {
		err = a.PrintJSON(map[string]any{"findings": append([]check.Finding{}, found...), "problems": counts[check.Problem], "warnings": counts[check.Warning], "notes": counts[check.Note]})
	} else {
		err = a.Print(func(w io.Writer) { showFindings(a, w, found) })
	}
	if err != nil {
		return err
	}
	what := strings.Join(k.purposes, ", ")
	if n := counts[check.Problem]; n > 0 {
		return usage.Hinted{Err: fmt.Errorf("check %s for %s: problems: %d", source.Address(), what, n), Hint: "mend the first problem first, since others may follow from it: what to do stands below each. Then check again"}
	}
	if a.JSON || a.Quiet {
		return nil
	}
	return a.Print(func(w io.Writer) {
		fmt.Fprintf(w, "%s: nothing stands in the way of %s", quote.Display(source.Address()), what)
		if n := counts[check.Warning]; n > 0 {
			fmt.Fprintf(w, " today; see to the warnings (%d)", n)
		}
		fmt.Fprintf(w, "\nnext: %s\n", afterCheck(o.For, found))
	})
}

// afterCheck says what to do with a server that is good for all of the purposes: the first that makes a backup counts.
func afterCheck(purposes []check.Purpose, found []check.Finding) string {
	between := "; nightjar mysql binlog saves what changes in between"
	if slices.ContainsFunc(found, func(f check.Finding) bool { return f.Name == "log-bin-off" }) {
		between = ""
	}
	for _, p := range purposes {
		switch p {
		case check.Dump:
			return "nightjar mysql dump, or each night a [mysql-dump.NAME] job of the job file" + between
		case check.Hot:
			return "nightjar mysql hot, or each night a [mysql-hot.NAME] job of the job file" + between
		case check.Binlog:
			return "nightjar mysql binlog, or a [binlog.NAME] job of the job file with follow = true"
		}
	}
	return "nightjar mysql replica on the machine of the replica"
}

// showFindings prints a line for each finding, and what to do about it below; of those of one rule, the first ones, and how many more.
func showFindings(a *app.App, w io.Writer, found []check.Finding) {
	slices.SortStableFunc(found, func(x, y check.Finding) int { return cmp.Compare(x.Severity.Rank(), y.Severity.Rank()) })
	const each = 20
	shown, more := map[string]int{}, map[string]int{}
	for _, f := range found {
		if a.Quiet && f.Severity == check.Note {
			continue
		}
		of := string(f.Severity) + ": " + f.Name
		if shown[of]++; shown[of] > each && !a.Verbose {
			more[of]++
			continue
		}
		line := f.Says
		if f.Object != "" {
			line = f.Object + ": " + line
		}
		const indent, most = "    ", 104
		fmt.Fprintln(w, human.Wrap(fmt.Sprintf("%s: %s", f.Severity, quote.Display(line)), indent, app.Columns(a.Out)))
		if f.Do != "" {
			fmt.Fprintln(w, human.Wrap(indent+quote.Display(f.Do), indent, cmp.Or(app.Columns(a.Out), most)))
		}
	}
	for _, f := range found { // in their order
		of := string(f.Severity) + ": " + f.Name
		if n := more[of]; n > 0 {
			fmt.Fprintf(w, "%s: and %d more; --verbose names them\n", of, n)
			delete(more, of)
		}
	}
}

package replicas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/mysqldump/advice"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/promote"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
)

type promoteFlags struct {
	server, source dbflags.Flags
	others         []string
	yes            bool
	o              promote.Options
}

// PromoteCommand makes the command nightjar mysql promote.
func PromoteCommand(a *app.App) *cobra.Command {
	var p promoteFlags
	c := &cobra.Command{
		Use:   "promote",
		Short: "Make a replica the master: print the steps, or run them with --yes",
		Long: `Print what it takes to make a replica the master, in order: stop the master until now from writing (--source), wait for all that it wrote, forget it, allow
writing, and enable those events that were enabled there. With --yes the steps are run. Last comes what each other replica has to be told.

Without --source the master is not asked: what the replica has received is executed, and what it has not is lost. Then only those events are enabled that
nightjar mysql replica disabled; replication itself disables events whether they were enabled or not, and --all-events enables these too.

Take care that nobody writes at the master any more: read_only does not keep out those who have all privileges.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runPromote(c.Context(), a, &p) },
	}
	p.server.Bind(c)
	p.source.BindOther(c, "source")
	f := c.Flags()
	f.BoolVar(&p.yes, "yes", false, "run the steps")
	f.StringArrayVar(&p.others, "other", nil, "`HOST[:PORT]` of another replica, into which one logs in as into the server; may be repeated")
	f.StringVar(&p.o.Channel, "channel", "", "the channel, or MariaDB's connection, by which it replicates")
	f.StringVar(&p.o.Host, "host", "", "how other replicas reach the new master (default: as it calls itself)")
	f.IntVar(&p.o.Port, "port", 0, "on which port (default: as it says)")
	f.BoolVar(&p.o.AllEvents, "all-events", false, "enable all events that replication has disabled")
	f.DurationVar(&p.o.Limit, "wait", 10*time.Minute, "how long each wait may take")
	return c
}

func runPromote(ctx context.Context, a *app.App, p *promoteFlags) error {
	l, err := p.server.Login(ctx, &a.Settings)
	if err != nil {
		return err
	}
	config, err := l.Config()
	if err != nil {
		return err
	}
	s, err := server.New(config)
	if err != nil {
		return err
	}
	if p.o.Source, err = p.source.Server(ctx, &a.Settings); err != nil && !errors.Is(err, login.ErrUnnamed) {
		return err
	}
	for _, address := range p.others {
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), "3306")
		}
		c := config.Clone()
		c.Net, c.Addr = "tcp", address
		other, err := server.New(c)
		if err != nil {
			return err
		}
		p.o.Others = append(p.o.Others, other)
	}
	plan, err := promote.New(ctx, s, p.o)
	if err != nil {
		return Advise(err)
	}
	for _, w := range plan.Warnings {
		a.Say("warning", w)
	}
	var done promote.Promoted
	if p.yes {
		n := 0
		done, err = plan.Run(ctx, func(step promote.Step) {
			n++
			if !a.JSON && !a.Quiet {
				_ = a.Result(stepLine(n, step)) // the run goes on without a terminal
			}
		})
		if err != nil {
			return usage.Hinted{Err: Advise(err), Hint: "what was printed before was done, and nothing after it. The replica can be put right by hand, or the same command run again while it still replicates"}
		}
	}
	others, untold := plan.Tell(ctx, done)
	if untold != nil {
		a.Warn(untold)
	}
	if err := reportPromotion(a, s, plan, p.yes, done, others); err != nil || untold == nil {
		return err
	}
	return usage.Hinted{Err: outcome.Problems{What: fmt.Sprintf("not all replicas could be asked what they have to be told: %d of %d", len(p.o.Others)-len(others), len(p.o.Others))},
		Hint: "what each other replica has to be told differs in its own position alone: log in there, and give it the statements of one that was reached, or run nightjar mysql promote without --other to see them"}
}

func stepLine(n int, s promote.Step) string {
	line := fmt.Sprintf("%2d. %s", n, s.What)
	if s.Statement != "" {
		line += ": " + s.Statement + ";"
	}
	if s.AtSource {
		line += "   (at the master until now)"
	}
	return quote.Display(line)
}

func reportPromotion(a *app.App, s *server.Server, plan *promote.Plan, ran bool, done promote.Promoted, others []promote.Other) error {
	if a.JSON {
		return a.PrintJSON(promotionJSON(s, plan, ran, done, others))
	}
	if a.Quiet && ran {
		return nil
	}
	return a.Print(func(w io.Writer) {
		if !ran {
			fmt.Fprintf(w, "To make %s the master, which replicates from %s:%d:\n", quote.Display(s.Address()), quote.Display(plan.Status.Host), plan.Status.Port)
			for i, step := range plan.Steps {
				fmt.Fprintln(w, stepLine(i+1, step))
			}
		}
		for _, e := range plan.Left {
			fmt.Fprintf(w, "event %s stays disabled: %s\n", quote.Display(e.Database+"."+e.Name), quote.Display(e.Why))
		}
		for _, o := range others {
			if o.Problem != "" {
				fmt.Fprintf(w, "%s cannot follow: %s\n", quote.Display(o.Address), quote.Display(o.Problem))
				continue
			}
			fmt.Fprintf(w, "%s has to be told:\n", quote.Display(o.Address))
			for _, statement := range o.Statements {
				fmt.Fprintf(w, "    %s;\n", quote.Display(statement))
			}
		}
		if ran {
			fmt.Fprintf(w, "%s is the master. Take read_only out of its option file.\n", quote.Display(s.Address()))
		} else {
			fmt.Fprintln(w, "Nothing was changed: --yes runs these steps.")
		}
	})
}

func promotionJSON(s *server.Server, plan *promote.Plan, ran bool, done promote.Promoted, others []promote.Other) map[string]any {
	steps, left, told := []map[string]any{}, []map[string]any{}, []map[string]any{}
	for i, step := range plan.Steps {
		steps = append(steps, map[string]any{"what": step.What, "statement": step.Statement, "at_source": step.AtSource, "done": i < done.Steps})
	}
	for _, e := range plan.Left {
		left = append(left, map[string]any{"database": e.Database, "event": e.Name, "why": e.Why})
	}
	for _, o := range others {
		told = append(told, map[string]any{"replica": o.Address, "statements": o.Statements, "problem": o.Problem})
	}
	return map[string]any{
		"server": s.Address(), "source": net.JoinHostPort(plan.Status.Host, fmt.Sprint(plan.Status.Port)), "ran": ran, "steps": steps,
		"events_left_disabled": left, "others": told, "position": done.Position.String(), "executed": done.Executed.String(),
	}
}

// Advise adds what to do to an error that says what a server said of its replication.
func Advise(err error) error {
	var stopped *replica.StoppedError
	switch {
	case errors.As(err, &stopped):
	case errors.Is(err, replica.ErrNoReplica):
		return usage.Hinted{Err: err, Hint: "SHOW REPLICA STATUS shows by which channels it replicates; --channel names one"}
	case errors.Is(err, replica.ErrUnsafe):
		return usage.Hinted{Err: err, Hint: "nothing was changed. nightjar mysql check --replica looks at both ends; --replace-source gives up another source, --allow-older allows an older replica, --no-gtid follows file and offset"}
	default:
		return err
	}
	a, known := advice.For(stopped.Failure.Number, stopped.Failure.Text)
	switch {
	case known:
		return usage.Hinted{Err: err, Hint: a.Problem + ". " + a.Do}
	case stopped.Failure.IsZero():
		return usage.Hinted{Err: err, Hint: "somebody stopped it, and START REPLICA (START SLAVE) starts it. nightjar mysql check --replica starts one that a killed run left stopped"}
	}
	return usage.Hinted{Err: err, Hint: "the server's error log may say more"}
}

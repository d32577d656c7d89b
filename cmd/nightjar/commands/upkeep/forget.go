package upkeep

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show/maintenance"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/calendar"
	"nightjar/internal/human"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/maintain/retain"
)

type forgetFlags struct {
	choice.Choice
	retain.Policy
	each   map[string]*int // by the rules of periods
	within string
	dryRun bool
	force  bool

	duplicity bool // its words: --force only means that it is to be done
}

// ForgetCommand makes the command nightjar forget.
func ForgetCommand(a *app.App) *cobra.Command {
	var o forgetFlags
	c := &cobra.Command{
		Use:   "forget [ARCHIVE...]",
		Short: "Give up archives by rules, or by name",
		Long: `Give up the archives that no rule keeps, or those that are named. Each job of each host is judged by itself, by the times that the store gave its
archives. The last complete archive of a job stays, unless it is named. What an archive needs that stays (its label needs has the ids) stays, too; and what is
named and needed is not given up before what needs it is named as well.

What is given up stays, and can be restored by its name, until prune takes it away, a grace period later.`,
		RunE: func(c *cobra.Command, names []string) error { return forget(c.Context(), a, &o, names) },
	}
	o.Bind(c)
	f := c.Flags()
	f.IntVar(&o.Last, "keep-last", 0, "keep the newest N")
	o.each = map[string]*int{}
	for _, p := range calendar.Periods {
		o.each[p.Rule] = f.Int("keep-"+p.Rule, 0, fmt.Sprintf("keep the newest of each of the last N %ss that have one", p.Span))
	}
	f.StringVar(&o.within, "keep-within", "", "keep all that are younger than an age like 30D")
	f.StringArrayVar(&o.Policy.Tags, "keep-tag", nil, "keep all with this `TAG`; may be repeated")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "only say what would be given up, and why")
	f.BoolVar(&o.force, "force", false, "go on where nothing is chosen, or no rule keeps any archive of a job: then its last complete one alone stays")
	return c
}

// duplicity's words. Like there, they only say what they would do unless --force is given.
func RemoveOlderCommand(a *app.App) *cobra.Command {
	return removeCommand(a, "remove-older-than AGE", "Give up archives older than an age, as duplicity's command of that name", func(o *forgetFlags, arg string) (err error) {
		if o.Within, err = human.ParseAge(arg); err != nil {
			return usage.Error{Err: err}
		}
		return nil
	})
}

// RemoveAllButCommand makes the command nightjar remove-all-but-n-full.
func RemoveAllButCommand(a *app.App) *cobra.Command {
	return removeCommand(a, "remove-all-but-n-full N", "Give up all but the newest N archives of each job, as duplicity's command of that name", func(o *forgetFlags, arg string) (err error) {
		if o.Last, err = strconv.Atoi(arg); err != nil || o.Last < 1 {
			return usage.Errorf("%q is no number of archives", arg)
		}
		return nil
	})
}

func removeCommand(a *app.App, use, short string, set func(*forgetFlags, string) error) *cobra.Command {
	o := forgetFlags{duplicity: true}
	c := &cobra.Command{
		Use: use, Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage.Errorf("give one argument: %s", use)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := set(&o, args[0]); err != nil {
				return err
			}
			o.dryRun = !o.force
			return forget(c.Context(), a, &o, nil)
		},
	}
	o.Bind(c)
	c.Flags().BoolVar(&o.force, "force", false, "do it, and not only say what would be done")
	return c
}

func forget(ctx context.Context, a *app.App, o *forgetFlags, names []string) error {
	if err := o.Check(a.Now()); err != nil {
		return err
	}
	if o.within != "" {
		var err error
		if o.Within, err = human.ParseAge(o.within); err != nil {
			return usage.Errorf("--keep-within: %w", err)
		}
	}
	if slices.Contains(o.Policy.Tags, "") {
		return usage.Errorf(`--keep-tag "": no archive has it`)
	}
	o.Each = map[string]int{}
	for rule, n := range o.each {
		o.Each[rule] = *n
	}
	if err := o.Validate(); err != nil && len(names) == 0 {
		return usage.Errorf("%w: name rules (--keep-daily 7 …) or archives", err)
	} else if err == nil && len(names) > 0 {
		return usage.Errorf("archives and rules exclude each other")
	}
	s, err := a.Open(ctx, session.Maintain)
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := choice.NewReading(ctx, s, &choice.Choice{})
	if err != nil {
		return err
	}
	host := o.Host
	if len(names) > 0 {
		host = "" // an id that cannot be read may be of any
	}
	archives, err := r.Archives(ctx, host)
	if err != nil {
		return err
	}
	missing, err := missing(ctx, a, r, archives)
	if err == nil && len(names) == 0 {
		err = retain.Unbroken(ctx, s.Repository, missing)
	}
	if err != nil {
		return err
	}
	others := unreadable(archives, r.Damaged, missing, s.Lists())
	var decisions []retain.Decision
	if len(names) == 0 {
		now, err := s.TimeFor(ctx, o.dryRun)
		if err != nil {
			return err
		}
		decisions = o.Decide(archives, o.fitsRules, now, time.Local)
		if err := o.careful(a, decisions); err != nil {
			return err
		}
		warnLate(a, decisions)
		decisions = append(decisions, oldRecords(archives, &o.Selection, now)...)
	} else if decisions, err = o.byName(archives, others, names); err != nil {
		return err
	}
	if !o.dryRun {
		if err := retain.Forget(ctx, s.Repository, decisions); err != nil {
			return err
		}
	}
	return printDecisions(a, decisions, o.dryRun, s.Keys().Grace(a.Now()))
}

// careful refuses what is more likely a slip than meant. Who only looks may see it, and is told.
func (o *forgetFlags) careful(a *app.App, decisions []retain.Decision) error {
	err := o.slip(decisions)
	switch {
	case err == nil || o.force && !o.duplicity:
		return nil
	case o.dryRun && !o.duplicity:
		a.Warn(fmt.Errorf("without --dry-run and --force this is refused: %w", err))
		return nil
	}
	return err
}

// slip returns an error for a choice of nothing, and for rules that keep nothing of a job. With duplicity's words the latter is meant.
func (o *forgetFlags) slip(decisions []retain.Decision) error {
	none := usage.Hinted{Err: usage.Errorf("no archive is as --host, --job, --kind, --tag, --label and --at say"), Hint: "nightjar list shows what there is. --force takes it for done"}
	if o.duplicity {
		none.Hint = "nightjar list shows what there is"
	}
	switch emptied := retain.Emptied(decisions); {
	case len(decisions) == 0 && !o.Selection.IsZero():
		return none
	case len(emptied) > 0 && !o.duplicity:
		return usage.Hinted{Err: usage.Errorf("no rule keeps any archive of job %s", strings.Join(emptied, ", nor of job ")), Hint: "nothing was given up. --dry-run shows what would be; --force leaves the last complete one"}
	}
	return nil
}

// warnLate tells of archives that go since the store's times are others than theirs: that is a thief's doing, or somebody copied the files without their times.
func warnLate(a *app.App, decisions []retain.Decision) {
	late := 0
	for _, d := range decisions {
		if !d.Keep && !d.Counts() {
			late++
		}
	}
	if late > 0 {
		a.Warn(fmt.Errorf("archives that go because they are late, which keeps them from taking a place: %d. If the repository was moved without its times, nightjar check --repair --key KEY has those that are whole count again: before prune runs", late))
	}
}

// missing returns the archives that are missing though they should be there, by those that were read.
func missing(ctx context.Context, a *app.App, r *choice.Reading, read []repo.Archive) (map[index.ObjectID]string, error) {
	seen, err := r.Session.Seen()
	if err != nil {
		a.Warn(err)
	}
	return retain.Missing(ctx, r.Session.Repository, read, r.Roll.Has, seen, r.Session.PassOver)
}

// unreadable returns what is known of archives that cannot be opened, are missing, or were recorded as lost, of which a copy may still have some: their ids.
func unreadable(readable []repo.Archive, damaged map[string]error, missing map[index.ObjectID]string, given *lists.Set) (all []repo.Archive) {
	ids := map[string]bool{}
	for id := range damaged {
		ids[id] = true
	}
	for id := range missing {
		ids[id.String()] = true
	}
	for _, l := range given.Lists() {
		for _, id := range l.Objects {
			if given.Object(id) {
				ids[id.String()] = true
			}
		}
	}
	for i := range readable {
		delete(ids, readable[i].ID)
	}
	for id := range ids {
		all = append(all, repo.Archive{ID: id})
	}
	return all
}

// byName gives up what was asked for by name: of those that are chosen, and of others that cannot be opened.
func (o *forgetFlags) byName(archives, others []repo.Archive, names []string) (all []retain.Decision, err error) {
	among := append(others, slices.DeleteFunc(o.Select(archives), func(x repo.Archive) bool { return !x.Forgotten.IsZero() })...)
	asked := map[string]bool{}
	for _, name := range names {
		found, err := o.Among(among, name)
		if err != nil {
			return nil, err
		}
		asked[found.ID] = true
	}
	if err := retain.Unneeded(archives, func(id string) bool { return asked[id] }); err != nil {
		return nil, err
	}
	for i := range among {
		if x := &among[i]; asked[x.ID] {
			why := "named"
			if x.Version == 0 && x.Host == "" {
				why = "named; it cannot be opened"
			}
			all = append(all, retain.Decision{Archive: x, Reasons: []string{why}})
		}
	}
	return all, nil
}

func printDecisions(a *app.App, decisions []retain.Decision, dryRun bool, grace time.Duration) error {
	if a.JSON {
		return a.PrintJSON(maintenance.DecisionsJSON(decisions, dryRun))
	}
	if !dryRun && !a.Chatty() {
		return nil
	}
	if err := a.Print(func(w io.Writer) { maintenance.Decisions(w, decisions, dryRun) }); err != nil || dryRun {
		return err
	}
	if a.Watched() && slices.ContainsFunc(decisions, func(d retain.Decision) bool { return !d.Keep }) {
		a.Say("hint", "nightjar prune frees the space: it removes them after the grace period of "+human.Age(grace)+", and deletes what only they needed after another")
	}
	return nil
}

package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/show/databases"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/watch"
	"nightjar/mysqldump"
	"nightjar/mysqldump/logs"
	"nightjar/mysqldump/replay"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/until"
	"nightjar/repo"
)

// UntilFlags say up to where binary logs are replayed after a restore.
type UntilFlags struct {
	Until, before, statement, archive string
	noRestore                         bool
	target                            until.Target
}

func (u *UntilFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&u.Until, "until", "", "then replay binary logs `UNTIL` a time (2006-01-02 15:04:05: what was committed before it), a place in a log (FILE:OFFSET), a transaction (GTID), or all (all that were saved)")
	f.StringVar(&u.before, "before", "", "then replay binary logs up to before a `TRANSACTION`, by its GTID or by where it begins in a log (FILE:OFFSET)")
	f.StringVar(&u.statement, "before-statement", "", "only list the transactions after the archive whose statements have a `TEXT`, such as \"drop table\", and what to say to stop before each")
	f.StringVar(&u.archive, "binlog", "", "the `ARCHIVE` of binary logs (default: the newest of the same server)")
	f.BoolVar(&u.noRestore, "no-restore", false, "the data is there already, as of the archive's position: only replay")
}

// given reports whether binary logs are asked for.
func (u *UntilFlags) given() bool { return u.Until != "" || u.before != "" || u.statement != "" }

// check reads the target.
func (u *UntilFlags) check(zone *time.Location) (err error) {
	given := 0
	for _, text := range []string{u.Until, u.before, u.statement} {
		if text != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return usage.Errorf("--until, --before and --before-statement exclude each other")
	case given == 0 && (u.archive != "" || u.noRestore):
		return usage.Errorf("--binlog and --no-restore go with --until, --before or --before-statement")
	case u.Until != "" && u.Until != "all":
		if u.target, err = until.Parse(u.Until, zone); err != nil {
			return usage.Errorf("--until: %w", err)
		}
	case u.before != "":
		if u.target, err = until.Parse(u.before, zone); err == nil && !u.target.Time.IsZero() {
			err = errors.New("a time goes with --until, which means before it as well")
		}
		if err != nil {
			return usage.Errorf("--before: %w", err)
		}
		u.target.Before = u.target.GTID != ""
	}
	return nil
}

// A Timeline is the binary logs that follow an archive.
type Timeline struct {
	from    mysqldump.Position
	archive *repo.Archive // of the logs
	logs    []replay.Log
	Covers  string
	apart   []string // what this archive, or a newer one, has after a gap, or of a history that began later
}

// Gap says what was saved and is not replayed, since the logs before it are not there; empty: nothing.
func (t *Timeline) Gap() string {
	if len(t.apart) == 0 {
		return ""
	}
	return fmt.Sprintf("the binary logs end at a gap: %s is replayed, and what was saved after the gap is not: %s", t.Covers, strings.Join(t.apart, ", "))
}

// TimelineOf finds the binary logs after a backup: in the archive that is named, or in the newest that has them.
func TimelineOf(ctx context.Context, a *app.App, s *choice.Opened, u *UntilFlags) (*Timeline, error) {
	from, err := dumpfiles.PositionOf(s.Archive)
	if err != nil {
		return nil, err
	}
	if from.IsZero() {
		return nil, dumpfiles.NoPosition(s.Archive, "replayed")
	}
	chosen := choice.Choice{Selection: repo.Selection{Kinds: []string{dumpfiles.Binlog}}}
	var candidates []repo.Archive
	if u.archive != "" && u.archive != choice.Latest {
		found, err := choice.Find(ctx, a, s.Session, u.archive, "", &chosen)
		if err != nil {
			return nil, err
		}
		candidates = []repo.Archive{*found}
	} else if candidates, _, err = choice.Archives(ctx, s.Session, &chosen); err != nil {
		return nil, err
	}
	// newer is what an archive has that is newer than the one that is found, and does not go on.
	var newer []string
	for i := range slices.Backward(candidates) { // the newest first
		t, apart, err := timelineIn(ctx, s, &candidates[i], from)
		if err != nil {
			return nil, err
		}
		if t != nil {
			t.apart = append(t.apart, newer...)
			return t, nil
		}
		if len(newer) == 0 {
			newer = apart
		}
	}
	return nil, usage.Hinted{Err: fmt.Errorf("no archive of binary logs goes on from %s, where archive %s ends", from, show.ShortID(s.Archive)),
		Hint: "nothing was changed. nightjar mysql binlog saves them: it can still be run, if the server is there and has kept its logs. nightjar mysql binlog show says what an archive has"}
}

// timelineIn returns the logs of an archive that go on from a position; nil if it has none, and then what it has of the same server.
func timelineIn(ctx context.Context, s *choice.Opened, archive *repo.Archive, from mysqldump.Position) (_ *Timeline, apart []string, err error) {
	at, err := dumpfiles.PositionOf(archive)
	if err != nil || at.ServerUUID != from.ServerUUID || at.ServerID != from.ServerID && from.ServerUUID.IsZero() {
		return nil, nil, err
	}
	entries, err := dumpfiles.ArchivedLogs(ctx, s.Session, archive)
	if err != nil {
		return nil, nil, err
	}
	reader, err := s.NewReaderFor(ctx, archive)
	if err != nil {
		return nil, nil, err
	}
	var found []*Timeline
	chains := logs.Chains(entries)
	for i, chain := range chains {
		apart = append(apart, chain.String()+" in archive "+show.ShortID(archive))
		if !goesOn(&chain, from) {
			continue
		}
		source, err := dumpfiles.OpenBinlog(ctx, reader, archive)
		if err != nil {
			return nil, nil, err
		}
		t := &Timeline{from: from, archive: archive, Covers: chain.String()}
		for _, e := range chain.Entries {
			t.logs = append(t.logs, replay.Log{Name: e.Name, Open: func() (io.ReadCloser, error) { return source.Open(e.Path()) }})
		}
		for _, later := range chains[i+1:] {
			t.apart = append(t.apart, later.String()+" in archive "+show.ShortID(archive))
		}
		found = append(found, t)
	}
	t, err := onlyOne(ctx, found)
	return t, apart, err
}

// onlyOne returns the logs that go on from their position, of several that have logs of its name: servers begin their logs
// anew, with the same names.
func onlyOne(ctx context.Context, found []*Timeline) (*Timeline, error) {
	if len(found) < 2 {
		return slices.Concat(found, []*Timeline{nil})[0], nil
	}
	var fit []*Timeline
	for _, t := range found {
		err := replay.Search(ctx, t.logs, t.from, nil, func(replay.Found) bool { return false })
		if err == nil {
			fit = append(fit, t)
		} else if !errors.Is(err, replay.ErrMissing) {
			return nil, err
		}
	}
	if len(fit) < 2 {
		return slices.Concat(fit, found)[0], nil
	}
	return nil, fmt.Errorf("two histories of binary logs have %s, with equal names: %s, and %s: which of them goes on from the backup is not known", fit[0].from, fit[0].Covers, fit[1].Covers)
}

// goesOn reports whether logs have the place of a position, or what GTIDs say is missing after it.
func goesOn(c *logs.Chain, from mysqldump.Position) bool {
	for _, e := range c.Entries {
		if from.File != "" && e.Name == from.File {
			return from.Offset <= e.Size && (e.ServerID == from.ServerID || from.ServerID == 0)
		}
	}
	return !from.GTIDs.IsZero() && from.GTIDs.Contains(c.Entries[0].Span.Before)
}

// listCandidates prints the transactions after an archive that say something, and how to stop before each.
func listCandidates(ctx context.Context, a *app.App, t *Timeline, text string) error {
	var found []replay.Found
	err := replay.Search(ctx, t.logs, t.from, replay.Says(text), func(f replay.Found) bool {
		found = append(found, f)
		return true
	})
	if err != nil {
		return err
	}
	if a.JSON {
		if err := a.PrintJSON(map[string]any{"archive": t.archive.ID, "logs": t.Covers, "transactions": databases.CandidatesJSON(found)}); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("no transaction after %s says %q, up to the end of %s: rows whose statements are not in the log cannot be found so", t.from, text, t.Covers)
	}
	if a.JSON {
		return nil
	}
	return a.Print(func(w io.Writer) { databases.Candidates(w, found) })
}

// PlanReplay resolves the target to a transaction, and says which.
func PlanReplay(ctx context.Context, a *app.App, t *Timeline, u *UntilFlags) (*replay.Plan, error) {
	plan, err := replay.MakePlan(ctx, t.logs, t.from, u.target)
	var backward *replay.BackwardError
	switch {
	case errors.As(err, &backward):
		return nil, usage.Hinted{Err: err, Hint: fmt.Sprintf("nothing was changed: which is meant? --before %s leaves out all from the first on; --until %s has all up to the last that was committed before the time", stopBefore(backward.Refused), stopAfter(backward.Last))}
	case errors.Is(err, replay.ErrMissing):
		return nil, usage.Hinted{Err: err, Hint: "nothing was changed. Archive " + show.ShortID(t.archive) + " has the logs " + t.Covers + "; nightjar mysql binlog show says more"}
	case errors.Is(err, replay.ErrUnfit):
		return nil, usage.Hinted{Err: err, Hint: "nothing was changed. --before that transaction stops in time; what comes after has to be done by hand"}
	case err != nil:
		return nil, err
	}
	if plan.Last == nil {
		a.Note("nothing is to be replayed: the archive is as of the target")
	} else {
		a.Note("the last transaction that is replayed: %s", plan.Last)
	}
	if plan.Refused != nil {
		a.Note("the first that is not: %s", plan.Refused)
	}
	return plan, nil
}

// stopBefore and stopAfter are a transaction as --before and --until take it.
func stopBefore(f replay.Found) string {
	if id := f.GTID.String(); id != "" {
		return id
	}
	return fmt.Sprintf("%s:%d", f.Log, f.At)
}

func stopAfter(f replay.Found) string {
	if id := f.GTID.String(); id != "" {
		return id
	}
	return fmt.Sprintf("%s:%d", f.Log, f.Next)
}

// untilPlan makes the plan that is asked for, nil if none is; done says that there is nothing more to do.
func untilPlan(ctx context.Context, a *app.App, s *choice.Opened, u *UntilFlags) (plan *replay.Plan, done bool, err error) {
	if !u.given() {
		return nil, false, nil
	}
	line, err := TimelineOf(ctx, a, s, u)
	if err != nil {
		return nil, false, err
	}
	gap := line.Gap()
	if u.statement == "" {
		plan, err = PlanReplay(ctx, a, line, u)
	}
	open := u.statement != "" || u.Until == "all" || !u.target.Time.IsZero() // what comes after the gap may be meant, too
	if err == nil && gap != "" && open && (plan == nil || plan.Refused == nil) {
		a.Warn(errors.New(gap))
	}
	if u.statement != "" {
		return nil, true, listCandidates(ctx, a, line, u.statement)
	}
	return plan, false, err
}

// replayOnly replays logs into a server that has the archive already.
func replayOnly(ctx context.Context, a *app.App, s *choice.Opened, srv *server.Server, plan *replay.Plan, noBinlog bool) error {
	wake, err := restEvents(ctx, a, srv)
	if err != nil {
		return err
	}
	defer wake()
	result, err := Replay(ctx, a, srv, plan, replay.Options{NoBinlog: noBinlog})
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{"archive": s.Archive.ID, "server": srv.Address(), "replayed": databases.ReplayedJSON(&result)})
	}
	if !a.Chatty() {
		return nil
	}
	return a.Print(func(w io.Writer) { databases.Replayed(w, &result) })
}

// replayAfter applies a plan, if there is one, after a restore that is whole. The result is nil if nothing was to be done.
func replayAfter(ctx context.Context, a *app.App, srv *server.Server, plan *replay.Plan, whole, noBinlog bool) (*replay.Result, error) {
	if plan == nil {
		return nil, nil
	}
	if !whole {
		a.Note("no binary log is replayed onto what is not whole")
		return nil, nil
	}
	result, err := Replay(ctx, a, srv, plan, replay.Options{NoBinlog: noBinlog})
	return &result, err
}

// Replay applies a plan.
func Replay(ctx context.Context, a *app.App, srv *server.Server, plan *replay.Plan, o replay.Options) (replay.Result, error) {
	p, expected := new(watch.Progress), new(atomic.Uint64)
	expected.Store(plan.Bytes)
	o.Done = func(n uint64) { p.Bytes.Add(n) }
	stop := a.Follow(progress.Saved(p, expected))
	result, err := replay.Run(ctx, srv, plan, o)
	stop()
	var failed *replay.FailedError
	switch stopped := ctx.Err() != nil; {
	case errors.As(err, &failed) && !stopped:
		err = usage.Hinted{Err: err, Hint: afterFailed(&result, failed)}
	case err != nil && stopped:
		a.Note("the replay was stopped: %s", afterFailed(&result, failed))
	}
	return result, err
}

// afterFailed says what of a plan a server has, and what can be done. It is nil if no transaction failed.
func afterFailed(r *replay.Result, failed *replay.FailedError) string {
	done := "none was replayed before it"
	if r.Last != nil {
		done = "the last that was replayed is " + r.Last.String()
	}
	if failed != nil && failed.Doubt {
		done += "; whether " + stopBefore(failed.At) + " was applied as well is not known, since the server did not answer"
	}
	if failed == nil || server.Number(failed) == 0 {
		return done + ". A replay cannot go on from there: restore anew with --existing replace"
	}
	return done + ". Was somebody else writing? Restore anew with --existing replace; --before " + stopBefore(failed.At) + " stops there, if that is enough"
}

// restEvents has the server run no events until wake is called: what they did is in the logs.
func restEvents(ctx context.Context, a *app.App, srv *server.Server) (wake func(), err error) {
	c, err := srv.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	row, err := c.Row(ctx, "SELECT @@GLOBAL.event_scheduler")
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(string(row[0]), "ON") {
		return func() {}, nil
	}
	if err := c.Exec(ctx, "SET GLOBAL event_scheduler=OFF"); err != nil {
		return nil, fmt.Errorf("keep events from running while logs are replayed: %w", err)
	}
	a.Note("the server runs no events (event_scheduler=OFF) until the end of the replay")
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		c, err := srv.Connect(ctx)
		if err == nil {
			defer c.Close()
			err = c.Exec(ctx, "SET GLOBAL event_scheduler=ON")
		}
		if err != nil {
			a.Warn(fmt.Errorf("let events run again, which SET GLOBAL event_scheduler=ON does: %w", err))
		}
	}, nil
}

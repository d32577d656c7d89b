// Package drill restores archives to scratch, or a sample of them, and records whether what comes back is what was saved.
package drill

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/backup/drill"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/drilled"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/recorded"
	"nightjar/cmd/nightjar/internal/scratch"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/internal/where"
	"nightjar/job/record"
	"nightjar/repo"
)

type drillFlags struct {
	choice                 choice.Choice
	thaw                   thawing.Flags
	sample, scratch        string
	seed                   uint64
	full, random, noRecord bool
	mysqld, tool, until    string
	options                []string

	of drill.Sample
}

// defaultSample costs a minute, and little money.
const defaultSample = "256M"

// Command makes the command nightjar drill.
func Command(a *app.App) *cobra.Command {
	var d drillFlags
	c := &cobra.Command{
		Use:   "drill [ARCHIVE]",
		Short: "Prove a backup: restore it to a scratch folder, and compare what came back",
		Long: `Restore an archive, or of each job that fits the newest, to a scratch folder, compare what came back with what was saved, and record the result in the
repository, where nightjar list shows it. Of files a random sample is restored, or all with --full. A dump is loaded into a private server, and on the files of a hot
backup one is started, which nobody reaches; it checks all tables.

Exit code 0: proven. 3: proven, but not recorded, or not in all. 12: what came back is not what was saved. 1: it could not be tried.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && strings.Contains(args[0], ":") {
				return usage.Errorf("%q: a drill is of whole archives, not of a path in one: --job and --kind say which the latest is", args[0])
			}
			if len(args) > 1 {
				return usage.Errorf("name one ARCHIVE, or none for the newest of each job")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := d.check(c.Flags().Changed("seed"), c.Flags().Changed("sample")); err != nil {
				return err
			}
			return runDrill(c.Context(), a, &d, args)
		},
	}
	f := c.Flags()
	f.StringVar(&d.sample, "sample", defaultSample, "how much of the files is restored: a share like 5%, a size like 2G, or a number of files")
	f.BoolVar(&d.full, "full", false, "restore all of it, which measures the time to recover")
	f.Uint64Var(&d.seed, "seed", 0, "draw the sample that a drill has printed this `NUMBER` for (default: another each time)")
	f.BoolVar(&d.random, "random", false, "of each job not the newest archive, but one at random")
	f.StringVar(&d.scratch, "scratch", "", "the `DIR` below which it is restored, and removed again (default: --tempdir)")
	f.StringVar(&d.mysqld, "mysqld", "", "the `PROGRAM` of the server for what is of a database: of the version that was backed up, or for dumps a later one (default: mariadbd or mysqld)")
	f.StringVar(&d.tool, "tool", "", "the `PROGRAM` that prepares a hot backup of MariaDB, of the version that took it (default: mariadb-backup)")
	f.StringArrayVar(&d.options, "server-option", nil, "`NAME=VALUE` that the server for a drill needs, such as lower-case-table-names=1; may be repeated")
	f.StringVar(&d.until, "until", "", "for what is of a database, latest: then replay all binary logs that were saved after it, which proves them, too")
	f.BoolVar(&d.noRecord, "no-record", false, "keep no record of the result in the repository")
	d.choice.Bind(c)
	f.Lookup("kind").Usage = "only archives of this `KIND`: files, stream, mysql-dump, …; may be repeated"
	d.thaw.Bind(c)
	return c
}

func (d *drillFlags) check(seeded, sampled bool) (err error) {
	if d.full && sampled {
		return usage.Errorf("--full and --sample exclude each other")
	}
	if !d.full {
		if d.of, err = drill.ParseSample(d.sample); err != nil {
			return usage.Errorf("--sample: %w", err)
		}
	}
	if d.until != "" && d.until != "latest" {
		return usage.Errorf("--until %q: it is latest", d.until)
	}
	if !seeded {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		d.seed = uint64(binary.BigEndian.Uint32(b[:]))
	}
	return d.thaw.Check()
}

// runDrill tries archives one after another. The error is the worst of theirs.
func runDrill(ctx context.Context, a *app.App, d *drillFlags, args []string) (err error) {
	if err := d.choice.Check(a.Now()); err != nil {
		return err
	}
	if d.scratch, err = where.Absolute(cmp.Or(d.scratch, a.TempDir, "/tmp")); err != nil {
		return fmt.Errorf("find scratch folder: %w", err)
	}
	if _, err := os.ReadDir(d.scratch); err != nil { // then no archive is to blame, and none gets a record
		return usage.Hinted{Err: fmt.Errorf("find scratch folder: %w", err), Hint: "nothing was fetched. Make the folder, or name another with --scratch"}
	}
	s, err := a.Open(ctx, session.ReadContent)
	if err != nil {
		return err
	}
	defer s.Close()
	chosen, earlier, err := toDrill(ctx, a, s, d, args)
	if err != nil {
		return err
	}
	to, unable := recorder(ctx, a, d)
	if to != nil {
		defer to.Close()
	}
	var all []*drilled.Drill
	for i := range chosen {
		x := drillOne(ctx, a, s, d, &chosen[i], earlier)
		if ctx.Err() != nil {
			return cmp.Or(x.Err, ctx.Err())
		}
		unable = errors.Join(unable, keep(ctx, a, to, x))
		all = append(all, x)
		if !a.JSON && a.Chatty() {
			if err := a.Print(x.Print); err != nil {
				return err
			}
		}
	}
	if a.JSON {
		found := []any{}
		for _, x := range all {
			found = append(found, x.JSON())
		}
		if err := a.PrintJSON(map[string]any{"drills": found}); err != nil {
			return err
		}
	}
	return afterDrills(a, all, unable)
}

// afterDrills returns the worst of what came of drills.
func afterDrills(a *app.App, all []*drilled.Drill, unable error) error {
	var worst *drilled.Drill
	rank := func(x *drilled.Drill) int { // of what is not named, wrong keys and the like are worse than a try that failed
		return cmp.Or(map[int]int{outcome.WithProblems: 1, outcome.Archived: 2, outcome.Failed: 3, outcome.Integrity: 5}[x.Exit], 4)
	}
	failed := 0
	for _, x := range all {
		if x.Err == nil {
			continue
		}
		failed++
		if worst == nil || rank(x) > rank(worst) {
			worst = x
		}
	}
	switch {
	case worst != nil && failed > 1:
		a.Note("drills that did not prove their archives: %d of %d; the worst is the last that is told of", failed, len(all))
		return worst.Err
	case worst != nil:
		return worst.Err
	case unable != nil:
		return usage.Hinted{Err: outcome.Problems{What: fmt.Sprintf("all was proven (archives: %d), but not recorded, as a warning has told", len(all))}, Hint: enrollDrill}
	}
	return nil
}

const enrollDrill = "a machine signs its records with a key of its own: nightjar key enroll here, and where a recovery key is nightjar key add-host NAME --certificate FILE, have it enrolled. --no-record goes without"

// recorder opens the repository for records of drills, before any begins. Without it they go on, which the error says.
func recorder(ctx context.Context, a *app.App, d *drillFlags) (*session.Session, error) {
	if d.noRecord {
		return nil, nil
	}
	to, err := a.Open(ctx, session.Write)
	if err != nil {
		err = fmt.Errorf("open the repository to record drills: %w", err)
		a.Warn(fmt.Errorf("this drill will not be recorded: %w", err))
		return nil, err
	}
	return to, nil
}

// keep records a drill.
func keep(ctx context.Context, a *app.App, to *session.Session, x *drilled.Drill) error {
	if to == nil {
		return nil
	}
	made, err := recorded.Put(ctx, to, record.Drill, x.Record(), a.Now)
	if err != nil {
		a.Warn(err)
		return err
	}
	x.Recorded = made.ID
	return nil
}

// toDrill returns the archives that are meant, and all that there are.
func toDrill(ctx context.Context, a *app.App, s *session.Session, d *drillFlags, args []string) (chosen, all []repo.Archive, err error) {
	r, err := choice.NewReading(ctx, s, &choice.Choice{})
	if err != nil {
		return nil, nil, err
	}
	if all, err = r.Archives(ctx, ""); err != nil {
		return nil, nil, err
	}
	if len(args) == 1 {
		one, err := choice.Find(ctx, a, s, args[0], "", &d.choice)
		if err != nil {
			return nil, nil, err
		}
		if choice.IsRecord(one) {
			return nil, nil, usage.Errorf("archive %s is a record, of which nothing can be restored", show.ShortID(one))
		}
		return []repo.Archive{*one}, all, nil
	}
	chosen = ofEachJob(d, d.choice.Select(all))
	if len(chosen) == 0 {
		return nil, nil, fmt.Errorf("find archives to drill: %w", repo.ErrNoArchive)
	}
	return chosen, all, nil
}

// ofEachJob returns of each job the newest archive that counts, or one of them at random.
func ofEachJob(d *drillFlags, fit []repo.Archive) (out []repo.Archive) {
	type job struct {
		host string
		name repo.Text
	}
	var jobs []job
	of := map[job][]repo.Archive{}
	for i := range fit {
		x := &fit[i]
		if choice.IsRecord(x) || !x.Forgotten.IsZero() || !x.Counts() || !x.Complete {
			continue
		}
		j := job{x.Host, x.Job}
		if of[j] == nil {
			jobs = append(jobs, j)
		}
		of[j] = append(of[j], *x)
	}
	for _, j := range jobs {
		n := repo.Latest(of[j])
		if n < 0 {
			n = len(of[j]) - 1
		}
		if d.random {
			n = drill.Pick(d.seed, j.host+"\x00"+string(j.name), len(of[j]))
		}
		out = append(out, of[j][n])
	}
	return out
}

// drillOne tries an archive in a scratch folder that is gone afterwards.
func drillOne(ctx context.Context, a *app.App, s *session.Session, d *drillFlags, archive *repo.Archive, earlier []repo.Archive) *drilled.Drill {
	x := &drilled.Drill{
		Archive: archive, Begin: a.Now(), Took: map[drilled.Phase]time.Duration{}, Seed: d.seed, Of: archive.Statistics["bytes"], Figures: map[string]uint64{},
	}
	if a.Verbose || a.Watched() {
		a.Note("drill of archive %s of %s: %s", show.ShortID(archive), quote.Display(archive.Host), show.Source(archive))
	}
	x.Err = tryArchive(ctx, a, s, d, x)
	x.Estimate = drilled.Guess(archive, x.Of, earlier)
	x.End = a.Now()
	if x.Err != nil {
		x.Exit = outcome.Code(ctx, x.Err)
	}
	tellDifferences(a, x)
	return x
}

func tryArchive(ctx context.Context, a *app.App, s *session.Session, d *drillFlags, x *drilled.Drill) (err error) {
	rd, err := s.NewReaderFor(ctx, x.Archive)
	if err != nil {
		return err
	}
	folder, err := scratch.Make(d.scratch, a.IsRoot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Remove()) }()
	a.Damaged.Store(false)
	if x.Archive.Kind == dumpfiles.Kind || x.Archive.Kind == dumpfiles.Hot {
		return drillDatabase(ctx, a, s, rd, d, x, folder)
	}
	return drillFiles(ctx, a, s, rd, d, x, folder)
}

// tellDifferences names what is not as it was saved: of many, the first.
func tellDifferences(a *app.App, x *drilled.Drill) {
	const some = 20
	show := len(x.Differences)
	if !a.Verbose {
		show = min(show, some)
	}
	for _, difference := range x.Differences[:show] {
		a.Warn(errors.New(difference))
	}
	if more := x.Different - uint64(show); more > 0 {
		a.Warn(fmt.Errorf("and more that is not as it was saved: %d", more))
	}
	for _, p := range x.Problems[:min(len(x.Problems), some)] {
		a.Warn(errors.New(p))
	}
}

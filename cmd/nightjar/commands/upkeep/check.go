package upkeep

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/mend"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/show/maintenance"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/internal/where"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/repair"
	"nightjar/repo/store"
)

type checkFlags struct {
	readData, repair, dryRun bool
	acceptLoss               bool
	sample, from, source     string
	bucket                   place.Bucket // of the other copy
	thaw                     thawing.Flags
}

// CheckCommand makes the command nightjar check.
func CheckCommand(a *app.App) *cobra.Command {
	var k checkFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Look whether all that the archives need is there and whole; repair it",
		Long: `Look at keys, archives, trees, indexes, and at names and sizes of packs (in a bucket that knows them, checksums too).
--read-data reads packs as well; with a recovery key, which --key names, it also opens them, down to the last chunk.

Each fault is one line; of an archive, the first twenty files of which the same is to be said are named, and all with --verbose or --json. With --verbose, what
runs that died left over is told too, which is no fault. Exit code 12 if there is a fault; 1 if there is none, but something could not be looked at. That parts are gone of an archive which was stored too late to count is a
warning: prune keeps nothing for it; so is that an archive needs others which its host does not have.

--repair heals what it finds: objects come back from another copy (--from) and from a recovery kit (--kit), chunks from the files that they were of
(--source); with a recovery key, indexes are made again, what is good of damaged packs is packed anew, and archives that are late, since the
repository was moved without its times, count again if they are whole. What stays lost, when it was looked at twice, is recorded: later checks do not call it a fault, the next backup saves what it
still has of it, and all other files can be restored. More than a tenth of the packs or archives is recorded with --accept-loss only. What was recorded and is there after all is taken back. It writes to the repository only, new objects and those whose bytes are not what their name says. --dry-run
says what would be done.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return checkRepository(c.Context(), a, &k) },
	}
	f := c.Flags()
	f.BoolVar(&k.readData, "read-data", false, "read all packs, too")
	f.StringVar(&k.sample, "sample", "", "read that share of the packs, chosen at random, like 5%")
	f.BoolVar(&k.repair, "repair", false, "heal what can be healed, and record what stays lost")
	f.StringVar(&k.from, "from", "", "with --repair: another copy of the repository, which is only read")
	k.bucket.FromFlags(c)
	f.StringVar(&k.source, "source", "", "with --repair: the folder below which files still lie under the whole paths that were saved: / on the machine itself")
	f.BoolVar(&k.acceptLoss, "accept-loss", false, "with --repair: record what stays lost, even if that is more than a tenth of the packs or archives")
	f.BoolVarP(&k.dryRun, "dry-run", "n", false, "with --repair: say what could be healed, and write nothing")
	k.thaw.Bind(c)
	return c
}

func (k *checkFlags) options() (repair.Options, error) {
	o := repair.Options{Check: check.Options{ReadData: k.readData || k.sample != ""}, DryRun: k.dryRun, AcceptLoss: k.acceptLoss}
	if k.sample != "" {
		var err error
		if o.Check.Sample, err = human.ParseShare(k.sample); err != nil {
			return o, usage.Error{Err: fmt.Errorf("--sample: %w", err)}
		}
	}
	if err := k.thaw.Check(); err != nil {
		return o, err
	}
	if k.thaw.Tier != "" && (!o.Check.ReadData || k.sample != "") {
		return o, usage.Errorf("--thaw-tier goes with --read-data, without --sample")
	}
	if !k.repair && (k.from != "" || k.source != "" || k.dryRun || k.acceptLoss) {
		return o, usage.Errorf("--from, --source, --accept-loss and --dry-run go with --repair")
	}
	if k.from == "" && k.bucket.Given() {
		return o, usage.Errorf("options that begin with --from- say how the other copy is reached: they go with --from")
	}
	if k.source != "" {
		var err error
		if k.source, err = where.Absolute(k.source); err != nil {
			return o, usage.Errorf("--source: %w", err)
		}
		root, err := os.OpenRoot(k.source)
		if err != nil {
			return o, usage.Error{Err: fmt.Errorf("--source: %w", err)}
		}
		o.Source = func(path string) (repair.SourceFile, error) { return openSource(root, path) }
	}
	return o, nil
}

// openSource opens a regular file below a folder, whatever else lies there.
func openSource(root *os.Root, path string) (*os.File, error) {
	f, err := root.OpenFile(strings.TrimPrefix(path, "/"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	return f, nil
}

// openForCheck opens the repository, and before that puts back what it takes to open it.
func openForCheck(ctx context.Context, a *app.App, k *checkFlags, o *repair.Options) (s *session.Session, done func(), err error) {
	done = func() {}
	if !k.repair {
		need := session.ReadMetadata
		if o.Check.ReadData {
			need = session.ReadMost
		}
		s, err = a.Open(ctx, need)
		return s, done, err
	}
	var copy *session.Destination
	if k.from != "" {
		if copy, err = a.OpenCopy(ctx, k.from, k.bucket, false); err != nil {
			return nil, done, err
		}
		o.From, done = copy.Store, copy.Close
	}
	if !k.dryRun {
		moved, err := mend.Clear(ctx, &a.Settings)
		for _, m := range moved {
			a.Note("%s: %v; it was moved to %s", m.Name, m.What, quote.Display(m.To))
		}
		if err != nil {
			return nil, done, err
		}
	}
	mended, err := mend.Keys(ctx, &a.Settings, o.From, k.dryRun)
	for _, name := range mended {
		what := "put back"
		if k.dryRun {
			what = "would be put back"
		}
		a.Note("%s was missing or damaged, and %s", name, what)
	}
	if err == nil {
		s, err = a.Open(ctx, session.Maintain)
	}
	if err == nil && copy != nil {
		err = s.TrustTimes(ctx, copy)
	}
	return s, done, err
}

func checkRepository(ctx context.Context, a *app.App, k *checkFlags) error {
	o, err := k.options()
	if err != nil {
		return err
	}
	a.Bucket.CacheLimit = "0" // what is stored is meant, not what this machine keeps of it
	s, done, err := openForCheck(ctx, a, k, &o)
	defer done()
	if err != nil {
		return err
	}
	defer s.Close()
	if k.source != "" {
		if err := checkSource(ctx, s, k.source); err != nil {
			return err
		}
	}
	if o.Check.Seen, err = s.Seen(); err != nil {
		a.Warn(err)
	}
	o.Check.Connections = a.Connections
	err = thawing.Ask(ctx, a, s, &k.thaw, func(add func(string, int64)) error {
		return s.Store.List(ctx, "content/", func(i store.Info) error { add(i.Name, i.Size); return nil })
	})
	if err != nil {
		return err
	}
	found := newFindings(a)
	o.Check.Found = found.add
	sums, took, err := runCheck(ctx, a, s, k.repair, o)
	large := errors.Is(err, repair.ErrLargeLoss)
	if err != nil && !large {
		return errors.Join(err, found.stop())
	}
	if failed := found.end(&sums, took); failed != nil || large {
		return errors.Join(err, failed)
	}
	if sums.Lost > 0 && !k.repair {
		a.Note("given up by a repair before, and no new damage: %d; --verbose names them", sums.Lost)
	}
	if sums.Disowned > 0 {
		a.Note("signed by keys that are marked compromised, and not counted: %d; --verbose names them", sums.Disowned)
	}
	return checked(s, k, &sums)
}

// runCheck checks or repairs, shows how far it is, and returns how long it took.
func runCheck(ctx context.Context, a *app.App, s *session.Session, heal bool, o repair.Options) (sums check.Summary, took time.Duration, err error) {
	var read, total atomic.Int64
	o.Check.Progress = func(n, of int) {
		read.Store(int64(n))
		total.Store(int64(of))
	}
	stop := func() {}
	if o.Check.ReadData {
		stop = a.Follow(progress.Meter{
			Text:    func() string { return fmt.Sprintf("%d of %s", read.Load(), human.Count(total.Load(), "pack")) },
			Current: read.Load, Total: total.Load,
		})
	}
	start := a.Now()
	if heal {
		sums, err = repair.Run(ctx, s.Repository, o)
	} else {
		sums, err = check.Run(ctx, s.Repository, o.Check)
	}
	stop()
	return sums, a.Now().Sub(start), err
}

// findings prints what a check finds, as it is found.
type findings struct {
	app    *app.App
	w      *bufio.Writer // of JSON
	list   show.JSONArray
	lines  maintenance.Findings
	failed error // of what is printed
}

func newFindings(a *app.App) *findings {
	w := bufio.NewWriter(a.Out)
	if a.JSON {
		fmt.Fprint(w, `{"findings": `)
	}
	return &findings{app: a, w: w, list: show.JSONArray{W: w}, lines: maintenance.Findings{Print: a.Result, All: a.Verbose}}
}

// add prints a finding. Calls come one at a time.
func (p *findings) add(f check.Finding) {
	switch {
	case p.failed != nil, quiet(f) && !p.app.Verbose && !p.app.JSON:
	case p.app.JSON:
		p.failed = p.list.Add(maintenance.NewFindingJSON(f))
	case f.What == check.Uncounted || f.What == check.Unmet:
		p.app.Say("warning", maintenance.Finding(f))
	default:
		p.failed = p.lines.Add(f)
	}
}

// stop prints what is still to be said of findings when the check has failed.
func (p *findings) stop() error {
	if p.failed == nil {
		p.failed = p.lines.End()
	}
	return p.w.Flush()
}

// end prints the rest.
func (p *findings) end(sums *check.Summary, took time.Duration) error {
	if p.failed == nil {
		p.failed = p.lines.End()
	}
	switch {
	case p.failed != nil:
	case p.app.JSON:
		p.failed = endJSON(p.w, &p.list, maintenance.CheckedJSON(sums, took))
	case p.app.Chatty():
		p.failed = p.app.Print(func(w io.Writer) { maintenance.Checked(w, sums, took) })
	}
	return p.failed
}

// checkSource refuses a folder below which nothing of what was saved lies: all that it could heal would be recorded as lost.
func checkSource(ctx context.Context, s *session.Session, source string) error {
	all, _, err := choice.Archives(ctx, s, &choice.Choice{})
	if err != nil {
		return err
	}
	for i := range all {
		for _, p := range all[i].Paths {
			if _, err := os.Lstat(filepath.Join(source, string(p))); err == nil {
				return nil
			}
		}
	}
	return usage.Errorf("--source %s: nothing that was saved lies below it under its whole path; on the machine that was saved, it is --source /", source)
}

// quiet reports whether a finding is of no concern to who does not ask.
func quiet(f check.Finding) bool {
	return !f.Fault() && f.What != check.Repaired && f.What != check.Uncounted && f.What != check.Unmet && f.What != check.Unread
}

// checked says what is wrong, and what to do about it.
func checked(s *session.Session, k *checkFlags, sums *check.Summary) error {
	if sums.Faults == 0 {
		if sums.Unread > 0 {
			return store.Unread(fmt.Errorf("check repository %s: objects and files that could not be looked at: %d", s.ID(), sums.Unread))
		}
		return nil
	}
	what := fmt.Sprintf("repository %s is damaged: faults: %d", s.ID(), sums.Faults)
	repair := "check --repair"
	if k.readData {
		repair += " --read-data"
	}
	hint := "what was replaced is read as it was; what is hidden shows with --as-of. Files that are not named can be restored. nightjar " + repair + " heals what older versions, another copy (--from), the files themselves (--source /) or a recovery key (--key) can heal"
	if k.repair && !k.dryRun {
		what = fmt.Sprintf("repository %s was repaired, but not all: faults: %d", s.ID(), sums.Faults)
		hint = "what stays lost is recorded, and all other files can be restored. Another copy (--from), the files themselves (--source /) or a recovery key (--key) may have more"
	}
	return usage.Hinted{Err: outcome.Problems{What: what, Damaged: true}, Hint: hint}
}

// endJSON ends the list of findings and the object that it is in.
func endJSON(w *bufio.Writer, list *show.JSONArray, summary any) error {
	if err := list.End(); err != nil {
		return err
	}
	text, err := app.EncodeJSON(summary)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, ", \"summary\": %s}\n", text)
	return app.Flush(w)
}

package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/crypto"
	"nightjar/internal/human"
	"nightjar/repo"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/mirror"
	"nightjar/repo/store"
)

// CopyFlags say where a copy lies, and what comes into it.
type CopyFlags struct {
	To                             string
	Bucket                         place.Bucket
	create, remove, verify, dryRun bool
	archives                       []string
	choice                         choice.Choice
}

// CopyCommand makes the command nightjar copy.
func CopyCommand(a *app.App) *cobra.Command {
	var f CopyFlags
	c := &cobra.Command{
		Use:   "copy --to URL",
		Short: "Copy the repository to another region, account, bucket, server or directory",
		Long: `Copy what the place at URL does not have yet: a run that was cut off goes on where it stopped. Between buckets of one server or of Amazon, the server copies, if
the credentials for the copy may read the repository; otherwise what is copied passes through this machine. No key is needed, but to begin a copy in a bucket: a recovery key signs that it is one. All that is copied is compared with its
hash. The copy is a repository at every moment: restore --repo URL works there, whatever became of the original.

--delete removes from the copy what was forgotten and pruned, after the same grace period; what is gone without a signed record stays, and is told. It takes the
host key or a recovery key. With --archive, --host, --job, --kind, --label, --tag or --at only those archives are copied, and what they need, to restore from: a backup into such a copy sends everything again. The host key or a recovery key signs its index.

What is gone from the repository while it is copied, though no record says so, stops the copy.

Exit code 1, 3 or 12 if something could not be copied.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCopy(c.Context(), a, &f) },
	}
	f.Bind(c)
	return c
}

// Bind gives a command the flags.
func (f *CopyFlags) Bind(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.To, "to", "", "the copy: "+place.Forms())
	flags.BoolVar(&f.create, "create", false, "begin a copy in a place that is empty, or missing")
	flags.BoolVar(&f.remove, "delete", false, "remove from the copy what was forgotten and pruned")
	flags.BoolVar(&f.verify, "verify", false, "compare what is there already with its hash too, and replace what is damaged")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done")
	flags.StringArrayVar(&f.archives, "archive", nil, "copy this `ARCHIVE`: latest, or at least 8 digits of an id; may be repeated")
	f.choice.Bind(c)
	f.Bucket.CopyFlags(c)
}

func runCopy(ctx context.Context, a *app.App, f *CopyFlags) error {
	if f.To == "" {
		return usage.Errorf("no place for the copy: say --to URL")
	}
	if err := f.choice.Check(a.Now()); err != nil {
		return err
	}
	if err := a.CheckCopy(ctx, f.To, f.Bucket); err != nil {
		return err
	}
	need := session.ReadIfAble
	switch {
	case f.remove && f.some():
		return usage.Errorf("--delete goes with a copy of all archives")
	case f.create && !f.dryRun && place.NeedsClaim(f.To):
		need = session.ReadContent
	case f.remove:
		need = session.ReadMetadata
	case f.some() && a.Key != "":
		need = session.ReadContent
	case f.some():
		need = session.Write
	}
	s, err := a.Open(ctx, need)
	if err != nil {
		return err
	}
	defer s.Close()
	copied, err := Mirror(ctx, a, s, f)
	if copied != nil {
		err = errors.Join(err, reportCopy(a, copied))
	}
	return err
}

// some says whether not all archives are meant.
func (f *CopyFlags) some() bool { return len(f.archives) > 0 || !f.choice.IsZero() }

// Mirror copies an open repository. What it returns is nil if nothing was begun.
func Mirror(ctx context.Context, a *app.App, s *session.Session, f *CopyFlags) (*show.Copied, error) {
	to, err := a.OpenCopy(ctx, f.To, f.Bucket, f.create && !f.dryRun)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	var claim []byte
	if c, ok := to.Store.(store.Claimer); ok && f.create && !f.dryRun {
		if claim, err = s.ClaimCopy(c.Place()); err != nil {
			return nil, err
		}
	}
	if s.Repository != nil {
		if err := unbroken(ctx, a, s); err != nil {
			return nil, fmt.Errorf("copy to %s: %w", place.Shown(to.Place), err)
		}
	}
	damaged, unread := false, error(nil)
	start, before := a.Now(), s.Requests()
	m := mirror.New(s.Store, to.Store, s.Keyring, mirror.Options{
		Connections: a.Connections, Create: f.create, Claim: claim, DryRun: f.dryRun, Verify: f.verify, Home: s.Repository, Now: a.Now,
		Found: func(x mirror.Finding) {
			damaged = damaged || errors.Is(x.Err, crypto.ErrIntegrity)
			if errors.Is(x.Err, store.ErrUnread) {
				unread = x.Err
			}
			where := "in the repository"
			if x.Copy {
				where = "in the copy"
			}
			a.Warn(fmt.Errorf("%s %s: %w", x.Object, where, x.Err))
		},
	})
	stop := a.Follow(copyMeter(m))
	switch {
	case f.some():
		var which []repo.Archive
		if which, err = chosen(ctx, a, s, f); err == nil {
			err = m.Archives(ctx, s.Repository, which)
		}
	default:
		if err = m.All(ctx); err == nil && f.remove {
			err = m.Prune(ctx, s.Repository)
		}
	}
	stop()
	where := place.Shown(to.Place)
	if errors.Is(err, mirror.ErrItself) {
		return nil, fmt.Errorf("copy to %s: %w", where, err)
	}
	copied := &show.Copied{
		Place: where, DryRun: f.dryRun, Elapsed: a.Now().Sub(start).Seconds(), Summary: m.Summary(),
		Requests: since(before, s.Requests()), CopyRequests: to.Requests(),
	}
	if err != nil {
		return copied, fmt.Errorf("copy to %s: %w", where, err)
	}
	if f.create && !f.dryRun {
		a.Note("the copy was made, and is brought up to date by the same command without --create: have a job of the job file, [copy.NAME], do that each night; write on your recovery kit where the copy is: %s", to.Address(ctx))
	}
	if copied.Findings > 0 && !damaged && unread != nil {
		return copied, fmt.Errorf("copied to %s, but for objects that could not be looked at: %w", where, unread)
	}
	if copied.Findings > 0 {
		err = outcome.Problems{What: fmt.Sprintf("copied to %s, but objects are not as they should be: %d", where, copied.Findings), Damaged: damaged}
	}
	return copied, err
}

func copyMeter(m *mirror.Mirror) progress.Meter {
	return progress.Meter{
		Text: func() string {
			sum := m.Summary()
			return fmt.Sprintf("%s copied, %d there", human.Count(sum.Direct.Objects+sum.Streamed.Objects, "object"), sum.Present.Objects)
		},
		Current: func() int64 { sum := m.Summary(); return sum.Direct.Bytes + sum.Streamed.Bytes },
		Total:   func() int64 { return 0 },
		Bytes:   true,
	}
}

// unbroken refuses a listing of archives that lacks some: a copy of a part would pass for the whole.
func unbroken(ctx context.Context, a *app.App, s *session.Session) error {
	r, err := choice.NewReading(ctx, s, &choice.Choice{})
	if err != nil {
		return err
	}
	all, err := r.Roll.Archives(ctx, "", func(string, error) {}) // the copy tells of those that cannot be read
	if err != nil {
		return err
	}
	missing, err := missing(ctx, a, r, all)
	if err != nil {
		return err
	}
	return retain.Unbroken(ctx, s.Repository, missing)
}

// since returns how many requests came after those before.
func since(before, all map[string]uint64) map[string]uint64 {
	for kind, n := range before {
		if all[kind] -= n; all[kind] == 0 {
			delete(all, kind)
		}
	}
	return all
}

// chosen returns the archives that are meant, and what they need.
func chosen(ctx context.Context, a *app.App, s *session.Session, f *CopyFlags) ([]repo.Archive, error) {
	r, err := choice.NewReading(ctx, s, &choice.Choice{})
	if err != nil {
		return nil, err
	}
	all, err := r.Archives(ctx, f.choice.Host)
	if err != nil {
		return nil, err
	}
	which := f.choice.Select(all)
	if len(which) == 0 {
		return nil, fmt.Errorf("none matches: %w", repo.ErrNoArchive)
	}
	if len(f.archives) > 0 {
		ids := map[string]bool{}
		for _, name := range f.archives {
			archive, err := f.choice.Among(which, name)
			if err != nil {
				return nil, err
			}
			ids[archive.ID] = true
		}
		which = slices.DeleteFunc(which, func(x repo.Archive) bool { return !ids[x.ID] })
	}
	needed := retain.Needed(all, which)
	if len(needed) > 0 {
		a.Note("archives that are copied as well, since what was chosen needs them: %d", len(needed))
	}
	return append(which, needed...), nil
}

func reportCopy(a *app.App, c *show.Copied) error {
	if a.JSON {
		return a.PrintJSON(c)
	}
	if !a.Chatty() && !c.DryRun {
		return nil
	}
	return a.Print(func(w io.Writer) { c.Show(w) })
}

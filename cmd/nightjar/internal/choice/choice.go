// Package choice finds the archives that a command line means: by id or as the latest, narrowed down by host, job, kind, tags, labels and time.
//
// Only archives that are asked for are read, and what cannot be read is passed over and told, not taken for absent.
package choice

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/drilled"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job/record"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/maintain/retain"
)

// A Choice narrows down which archives are meant.
type Choice struct {
	repo.Selection
	UpTo   string
	labels []string
}

// Bind gives a command the flags.
func (c *Choice) Bind(command *cobra.Command) {
	f := command.Flags()
	f.StringVar(&c.Host, "host", "", "only archives of this host")
	f.StringVar(&c.Job, "job", "", "only archives of this job")
	f.StringArrayVar(&c.Kinds, "kind", nil, "only archives of this `KIND`: files, stream, mysql-dump, …; may be repeated. Where latest is asked for: files and stream, unless said")
	f.StringArrayVar(&c.Tags, "tag", nil, "only archives with this `TAG`; may be repeated")
	f.StringArrayVar(&c.labels, "label", nil, "only archives with this label, `KEY=VALUE`; may be repeated")
	f.StringVar(&c.UpTo, "at", "", "only archives up to then: 2006-01-02, \"2006-01-02 15:04\", or an age like 3D or 12h")
}

// Check makes of the flags what is selected. Ages among them are before now.
func (c *Choice) Check(now time.Time) (err error) {
	if c.Labels, err = ParseLabels(c.labels); err != nil || c.UpTo == "" {
		return err
	}
	if c.At, err = human.ParseTime(c.UpTo, now); err != nil {
		return usage.Errorf("--at: %w", err)
	}
	return nil
}

// Archives returns those that are chosen, and the errors of the damaged by their ids.
func Archives(ctx context.Context, s *session.Session, c *Choice) (chosen []repo.Archive, damaged map[string]error, err error) {
	r, err := NewReading(ctx, s, c)
	if err != nil {
		return nil, nil, err
	}
	chosen, err = r.Archives(ctx, c.Host)
	return chosen, r.Damaged, err
}

// A Reading reads of the archives as they were listed those that a command needs.
type Reading struct {
	Session *session.Session
	Roll    *session.Roll
	choice  *Choice
	Damaged map[string]error // by id

	readable int            // of those that are chosen
	all      []repo.Archive // that were read last, chosen or not
}

// NewReading lists the archives, and reads none.
func NewReading(ctx context.Context, s *session.Session, c *Choice) (*Reading, error) {
	roll, err := s.Roll(ctx)
	if err != nil {
		return nil, err
	}
	return &Reading{Session: s, Roll: roll, choice: c, Damaged: map[string]error{}}, nil
}

// Archives returns those of a host, of all if it is "", that are chosen.
func (r *Reading) Archives(ctx context.Context, host string) ([]repo.Archive, error) {
	all, err := r.Roll.Archives(ctx, host, r.pass)
	if err != nil {
		return nil, err
	}
	if err := retain.Mark(ctx, r.Session.Repository, all, r.Session.PassOver); err != nil {
		return nil, err
	}
	chosen := r.choice.Select(all)
	r.readable, r.all = len(chosen), all
	return chosen, nil
}

func (r *Reading) pass(name string, err error) {
	id := strings.TrimPrefix(name, "archive/")
	if r.Damaged[id] == nil {
		r.Session.PassOver(name, err)
	}
	r.Damaged[id] = err
}

// latest returns the newest archive that is chosen, of those that may be called latest, and that saved something at the path. If there is none, it is the newest
// that is chosen: better than nothing at 3 a.m. others is whether there are archives of other jobs that could be meant, as far as this machine has read any:
// only to say so, nothing is read.
func (r *Reading) latest(ctx context.Context, host, path string) (newest *repo.Archive, others bool, err error) {
	forgotten, err := retain.Forgotten(ctx, r.Session.Repository, r.Session.PassOver)
	if err != nil {
		return nil, false, err
	}
	chosen := r.choice.OfPaths()
	stays := func(x *repo.Archive) bool {
		id, err := index.ParseObjectID(x.ID)
		_, gone := forgotten[id]
		return err == nil && !gone
	}
	fits := func(x *repo.Archive) bool { return stays(x) && chosen.Fits(x) && Saves(x, path) }
	found, err := r.Roll.Newest(ctx, host, fits, r.pass)
	if err != nil {
		return nil, false, err
	}
	if found.Newest == nil {
		return r.better(chosen, found.Opened, path, stays)
	}
	other := func(x *repo.Archive) bool { return fits(x) && !sameJob(x, found.Newest) }
	for i := range found.Opened {
		others = others || other(&found.Opened[i])
	}
	if found.More {
		others = others || r.remembers(found.Newest.Host, other) || r.remembers(host, other)
	}
	return found.Newest, others, nil
}

// remembers reports whether this machine has read an archive of a host, of any if it is "", that is meant. Of many it looks at some: a note is worth no more.
func (r *Reading) remembers(host string, meant func(*repo.Archive) bool) bool {
	const most = 1000
	n := 0
	for x := range r.Roll.Remembered(host) {
		if n++; meant(x) {
			return true
		}
		if n == most {
			break
		}
	}
	return false
}

func sameJob(a, b *repo.Archive) bool { return a.Host == b.Host && a.Job == b.Job }

// better returns the newest of those that are chosen, though it may not be called latest: one that stays, or else one that was given up. opened are all archives
// there are. others is as latest has it.
func (r *Reading) better(chosen repo.Selection, opened []repo.Archive, path string, stays func(*repo.Archive) bool) (_ *repo.Archive, others bool, err error) {
	all := chosen.Select(opened)
	r.readable = len(all)
	for _, best := range []func(*repo.Archive) bool{func(x *repo.Archive) bool { return Saves(x, path) }, stays} {
		if some := Only(all, best); len(some) > 0 {
			all = some
		}
	}
	newest, err := repo.Find(all, Latest)
	if err == nil {
		return newest, slices.ContainsFunc(all, func(x repo.Archive) bool { return !sameJob(&x, newest) }), nil
	}
	if kinds := kindsOf(r.choice.Select(opened)); len(r.choice.Kinds) == 0 && len(kinds) > 0 {
		err = usage.Hinted{Err: fmt.Errorf("%w of files or of a stream", err), Hint: fmt.Sprintf("there are others, of kind %s: name one by its id, or its kind with --kind", strings.Join(kinds, ", "))}
	}
	return nil, false, err
}

// kindsOf returns the kinds that archives are of, as they may be shown.
func kindsOf(archives []repo.Archive) (kinds []string) {
	for i := range archives {
		if kind := quote.Display(string(archives[i].Kind)); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// An Opened archive is one that is found in a repository, which is open until Close.
type Opened struct {
	*session.Session
	Archive *repo.Archive
	Path    string // in it, as the argument has it; may be empty
	Reader  *repo.Reader
}

// OpenArchive opens the repository, and in it the archive that an argument names: ARCHIVE or ARCHIVE:PATH.
func OpenArchive(ctx context.Context, a *app.App, arg string, need session.Access, c *Choice) (_ *Opened, err error) {
	if err := c.Check(a.Now()); err != nil {
		return nil, err
	}
	s, err := a.Open(ctx, need)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	o := &Opened{Session: s}
	name, path, _ := strings.Cut(arg, ":")
	o.Path = path
	if o.Archive, err = Find(ctx, a, s, name, path, c); err != nil {
		return nil, err
	}
	o.Reader, err = s.NewReaderFor(ctx, o.Archive)
	return o, err
}

// Find returns the one archive that is meant: by latest, the newest that saved something at the path, if there is one.
func Find(ctx context.Context, a *app.App, s *session.Session, name, path string, c *Choice) (*repo.Archive, error) {
	r, err := NewReading(ctx, s, c)
	if err != nil {
		return nil, err
	}
	var archive *repo.Archive
	others := false
	if name == Latest {
		archive, others, err = r.latest(ctx, c.Host, path)
		others = others && c.Job == "" && len(c.Tags)+len(c.Labels) == 0
	} else {
		archive, err = r.named(ctx, name)
	}
	if err != nil {
		return nil, r.because(err, name)
	}
	switch {
	case others:
		a.Note("the latest is %s of %s, %s: %s (others: --job)", show.ShortID(archive), quote.Display(archive.Host), human.Time(archive.Time), show.Source(archive))
	case a.Verbose:
		a.Note("archive %s of %s, %s", show.ShortID(archive), quote.Display(archive.Host), human.Time(archive.Time))
	}
	return archive, nil
}

// named returns the chosen archive whose id begins so.
func (r *Reading) named(ctx context.Context, name string) (*repo.Archive, error) {
	host := r.choice.Host
	if host == "" {
		host, _ = r.Roll.HostOf(name)
	}
	chosen, err := r.Archives(ctx, host)
	if err != nil {
		return nil, err
	}
	return repo.Find(chosen, name)
}

// because says why an archive is not found that is there and cannot be opened.
func (r *Reading) because(err error, name string) error {
	if !errors.Is(err, repo.ErrNoArchive) {
		return err
	}
	for id, reason := range r.Damaged {
		if len(name) >= 8 && strings.HasPrefix(id, name) {
			return fmt.Errorf("open archive %s: %w", name, reason)
		}
	}
	for _, reason := range r.Damaged {
		if r.readable == 0 {
			return fmt.Errorf("%w; of those there are, none can be opened: %w", err, reason)
		}
	}
	return err
}

// Among returns the one of the archives, in order of time, that a name stands for.
func (c *Choice) Among(archives []repo.Archive, name string) (*repo.Archive, error) {
	if name == Latest {
		archives = c.OfPaths().Select(archives)
	}
	return repo.Find(archives, name)
}

// Latest stands for the newest archive that is chosen.
const Latest = "latest"

// ParseLabels reads labels as KEY=VALUE.
func ParseLabels(all []string) (repo.Labels, error) {
	labels := repo.Labels{}
	for _, l := range all {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return nil, usage.Errorf("label %q: write KEY=VALUE", l)
		}
		if _, twice := labels[repo.Text(key)]; twice {
			return nil, usage.Errorf("label %q is given twice", key)
		}
		labels[repo.Text(key)] = repo.Text(value)
	}
	return labels, nil
}

// Only returns those of the archives of which something is so.
func Only(archives []repo.Archive, is func(*repo.Archive) bool) []repo.Archive {
	return slices.DeleteFunc(slices.Clone(archives), func(x repo.Archive) bool { return !is(&x) })
}

// Saves reports whether the archive is of something that lies at the path, below it, or above it; or of the stream of that name.
func Saves(x *repo.Archive, name string) bool {
	name = path.Clean("/" + name)
	within := func(a, b string) bool { return b == "/" || a == b || strings.HasPrefix(a, b+"/") }
	of := x.Paths
	if x.Stream != "" {
		of = []repo.Text{"/" + x.Stream}
	}
	return slices.ContainsFunc(of, func(p repo.Text) bool { return within(name, string(p)) || within(string(p), name) })
}

// IsRecord reports whether an archive is a record of a run or a drill, which has no files.
func IsRecord(a *repo.Archive) bool { return record.IsKind(string(a.Kind)) }

// Proven returns when each archive was last proven, by the records of all hosts: another host drills, as a rule. Records that cannot be read are passed over.
func (r *Reading) Proven(ctx context.Context) map[string]time.Time {
	all := r.all
	if r.choice.Host != "" {
		all, _ = r.Roll.Roll.Archives(ctx, "", func(string, error) {})
	}
	return drilled.Proven(all)
}

// Texts returns strings of a command line as an archive has them.
func Texts(list []string) []repo.Text {
	var out []repo.Text
	for _, s := range list {
		out = append(out, repo.Text(s))
	}
	return out
}

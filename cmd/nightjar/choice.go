package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/repo"
	"nightjar/repo/maintain/retain"
)

// choice narrows down which archives are meant.
type choice struct {
	repo.Selection
	at string
}

func (c *choice) flags(command *cobra.Command) {
	f := command.Flags()
	f.StringVar(&c.Host, "host", "", "only archives of this host")
	f.StringVar(&c.Job, "job", "", "only archives of this job")
	f.StringArrayVar(&c.Tags, "tag", nil, "only archives with this `TAG`; may be repeated")
	f.StringVar(&c.at, "at", "", "only archives up to then: 2006-01-02, \"2006-01-02 15:04\", or an age like 3D or 12h")
}

func (c *choice) check(now time.Time) (err error) {
	if c.at == "" {
		return nil
	}
	if c.At, err = human.ParseTime(c.at, now); err != nil {
		return usage.Errorf("--at: %w", err)
	}
	return nil
}

// archives returns those that are chosen, and the errors of the damaged by their ids.
func (a *app) archives(ctx context.Context, s *session.Session, c *choice) (chosen []repo.Archive, damaged map[string]error, err error) {
	r, err := newReading(ctx, s, c)
	if err != nil {
		return nil, nil, err
	}
	chosen, err = r.archives(ctx, c.Host)
	return chosen, r.damaged, err
}

// A reading reads of the archives as they were listed those that a command needs.
type reading struct {
	s       *session.Session
	roll    *session.Roll
	choice  *choice
	damaged map[string]error // by id
}

func newReading(ctx context.Context, s *session.Session, c *choice) (*reading, error) {
	roll, err := s.Roll(ctx)
	if err != nil {
		return nil, err
	}
	return &reading{s, roll, c, map[string]error{}}, nil
}

// archives returns those of a host, of all if it is "", that are chosen.
func (r *reading) archives(ctx context.Context, host string) ([]repo.Archive, error) {
	all, err := r.roll.Archives(ctx, host, r.pass)
	if err != nil {
		return nil, err
	}
	if err := retain.Mark(ctx, r.s.Repository, all, r.s.PassOver); err != nil {
		return nil, err
	}
	return r.choice.Select(all), nil
}

func (r *reading) pass(name string, err error) {
	id := strings.TrimPrefix(name, "archive/")
	if r.damaged[id] == nil {
		r.s.PassOver(name, err)
	}
	r.damaged[id] = err
}

// latest returns the archives of the host that has the newest of those that may be called latest and saved something at the path; of all hosts if there is none. It
// reads one host after the other, that with the newest archive first, until no other can have a newer one. others says that there are more hosts.
func (r *reading) latest(ctx context.Context, path string) (chosen []repo.Archive, others bool, err error) {
	hosts, err := r.roll.Hosts(ctx, r.pass)
	if err != nil {
		return nil, false, err
	}
	var best *repo.Archive
	for _, h := range hosts {
		if best != nil && !h.Time.After(best.Time) {
			break
		}
		of, err := r.archives(ctx, h.Host)
		if err != nil {
			return nil, false, err
		}
		of = savedAt(of, path)
		if i := repo.Latest(of); i >= 0 && (best == nil || of[i].Time.After(best.Time)) {
			best, chosen = &of[i], of
		}
	}
	if best == nil {
		chosen, err = r.archives(ctx, "")
	}
	return chosen, len(hosts) > 1, err
}

// An opened archive is one that is found in a repository, which is open until Close.
type opened struct {
	*session.Session
	archive *repo.Archive
	path    string // in it, as the argument has it; may be empty
	reader  *repo.Reader
}

// openArchive opens the repository, and in it the archive that an argument names: ARCHIVE or ARCHIVE:PATH.
func (a *app) openArchive(ctx context.Context, arg string, need session.Access, c *choice) (_ *opened, err error) {
	if err := c.check(a.Now()); err != nil {
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
	o := &opened{Session: s}
	name, path, _ := strings.Cut(arg, ":")
	o.path = path
	if o.archive, err = a.find(ctx, s, name, path, c); err != nil {
		return nil, err
	}
	o.reader, err = s.NewReaderFor(ctx, o.archive)
	return o, err
}

// find returns the one archive that is meant: by latest, the newest that saved something at the path, if there is one.
func (a *app) find(ctx context.Context, s *session.Session, name, path string, c *choice) (*repo.Archive, error) {
	r, err := newReading(ctx, s, c)
	if err != nil {
		return nil, err
	}
	host, others := c.Host, false
	var chosen []repo.Archive
	if name == latest && host == "" {
		chosen, others, err = r.latest(ctx, path)
		others = others && c.Job == "" && len(c.Tags) == 0 && path == ""
	} else {
		if host == "" {
			host, _ = r.roll.HostOf(name)
		}
		chosen, err = r.archives(ctx, host)
	}
	if err != nil {
		return nil, err
	}
	if with := savedAt(chosen, path); name == latest && len(with) > 0 {
		chosen = with
	}
	damaged := r.damaged
	archive, err := repo.Find(chosen, name)
	if errors.Is(err, repo.ErrNoArchive) && len(name) >= 8 {
		for id, reason := range damaged {
			if strings.HasPrefix(id, name) {
				return nil, fmt.Errorf("open archive %s: %w", name, reason)
			}
		}
	}
	if errors.Is(err, repo.ErrNoArchive) && len(damaged) > 0 && len(chosen) == 0 {
		for _, reason := range damaged {
			return nil, fmt.Errorf("%w; of those there are, none can be opened: %w", err, reason)
		}
	}
	switch {
	case err != nil:
	case name == latest && (others || jobs(chosen) > 1):
		a.note("the latest is %s of %s, %s: %s. Those of other jobs are found by --host, --job, --tag or %s:PATH",
			show.ShortID(archive), archive.Host, human.Time(archive.Time), show.Source(archive), latest)
	case a.verbose:
		a.note("archive %s of %s, %s", show.ShortID(archive), archive.Host, human.Time(archive.Time))
	}
	return archive, err
}

const latest = "latest"

// savedAt returns those of the archives that saved something at a path.
func savedAt(archives []repo.Archive, path string) []repo.Archive {
	return slices.DeleteFunc(slices.Clone(archives), func(x repo.Archive) bool { return !saves(&x, path) })
}

// saves reports whether the archive is of something that lies at the path, below it, or above it; or of the stream of that name.
func saves(x *repo.Archive, name string) bool {
	name = path.Clean("/" + name)
	within := func(a, b string) bool { return b == "/" || a == b || strings.HasPrefix(a, b+"/") }
	of := x.Paths
	if x.Stream != "" {
		of = []repo.Text{"/" + x.Stream}
	}
	return slices.ContainsFunc(of, func(p repo.Text) bool { return within(name, string(p)) || within(string(p), name) })
}

// jobs returns how many jobs the archives are of that were not given up.
func jobs(archives []repo.Archive) int {
	of := map[[2]string]bool{}
	for i := range archives {
		if x := &archives[i]; x.Forgotten.IsZero() {
			of[[2]string{x.Host, string(x.Job)}] = true
		}
	}
	return len(of)
}

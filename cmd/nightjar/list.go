package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
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
	if c.At, err = show.ParseTime(c.at, now); err != nil {
		return usage.Errorf("--at: %w", err)
	}
	return nil
}

// passOver warns of a record that cannot be used, but for one that is known not to count.
func (a *app) passOver(name string, err error) {
	if !errors.Is(err, repo.ErrDisowned) {
		a.Warn(fmt.Errorf("pass over %s: %w", name, err))
	}
}

// archives returns those that are chosen, and the errors of the damaged by their ids.
func (a *app) archives(ctx context.Context, s *session.Session, c *choice) (chosen []repo.Archive, damaged map[string]error, err error) {
	damaged = map[string]error{}
	all, err := s.Archives(ctx, func(name string, err error) {
		damaged[strings.TrimPrefix(name, "archive/")] = err
		a.passOver(name, err)
	})
	if err != nil {
		return nil, nil, err
	}
	err = retain.Mark(ctx, s.Repository, all, a.passOver)
	if err != nil {
		return nil, nil, err
	}
	return c.Select(all), damaged, nil
}

// find returns the one archive that is meant: by latest, the newest that saved something at the path, if there is one.
func (a *app) find(ctx context.Context, s *session.Session, name, path string, c *choice) (*repo.Archive, error) {
	chosen, damaged, err := a.archives(ctx, s, c)
	if err != nil {
		return nil, err
	}
	if with := slices.DeleteFunc(slices.Clone(chosen), func(x repo.Archive) bool { return !saves(&x, path) }); name == latest && len(with) > 0 {
		chosen = with
	}
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
	case name == latest && jobs(chosen) > 1:
		a.note("the latest is %s of %s, %s: %s. Those of other jobs are found by --host, --job, --tag or %s:PATH",
			show.ShortID(archive), archive.Host, show.LocalTime(archive.Time), show.Source(archive), latest)
	case a.verbose:
		a.note("archive %s of %s, %s", show.ShortID(archive), archive.Host, show.LocalTime(archive.Time))
	}
	return archive, err
}

const latest = "latest"

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

func (a *app) listCommand() *cobra.Command {
	var choice choice
	c := &cobra.Command{
		Use:   "list",
		Short: "List the archives",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := choice.check(a.Now()); err != nil {
				return err
			}
			s, err := a.Open(c.Context(), session.ReadMetadata)
			if err != nil {
				return err
			}
			defer s.Close()
			chosen, damaged, err := a.archives(c.Context(), s, &choice)
			if err == nil {
				err = a.printArchives(chosen)
			}
			all := len(damaged)
			maps.DeleteFunc(damaged, func(_ string, reason error) bool { return errors.Is(reason, repo.ErrDisowned) })
			if disowned := all - len(damaged); disowned > 0 {
				a.note("archives that do not count, since their host's key is marked compromised: %d", disowned)
			}
			for _, reason := range damaged {
				if err == nil {
					err = fmt.Errorf("list archives: %d cannot be opened: %w", len(damaged), reason)
				}
			}
			return err
		},
	}
	choice.flags(c)
	return c
}

func (a *app) printArchives(archives []repo.Archive) error {
	if a.json {
		w := bufio.NewWriter(a.stdout)
		j := show.JSONArray{W: w}
		for i := range archives {
			if err := j.Add(show.Archive(&archives[i])); err != nil {
				return err
			}
		}
		if err := j.End(); err != nil {
			return err
		}
		return flush(w)
	}
	return a.print(func(w io.Writer) { show.Archives(w, archives) })
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
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
	f.StringArrayVar(&c.Tags, "tag", nil, "only archives with this tag; may be repeated")
	f.StringVar(&c.at, "at", "", "only archives up to then: 2006-01-02, \"2006-01-02 15:04\", or an age like 3D or 12h")
}

func (c *choice) check(now time.Time) (err error) {
	if c.at == "" {
		return nil
	}
	if c.At, err = show.ParseTime(c.at, now); err != nil {
		return session.UsageError{Err: err}
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

// find returns the one archive that is meant.
func (a *app) find(ctx context.Context, s *session.Session, name string, c *choice) (*repo.Archive, error) {
	chosen, damaged, err := a.archives(ctx, s, c)
	if err != nil {
		return nil, err
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
	if err == nil && a.verbose {
		a.note("archive %s of %s, %s", show.ShortID(archive), archive.Host, show.LocalTime(archive.Time))
	}
	return archive, err
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

package files

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/repo"
)

// tellUnsaved names the paths from which nothing is saved, or only a link. It is an error if that is so of all.
func tellUnsaved(a *app.App, o *backup.Options) error {
	unsaved, missing := backup.Unsaved(*o)
	if len(unsaved) > 0 && len(unsaved)+missing == len(o.Paths) {
		return usage.Errorf("nothing would be saved: %s: %s", quote.Display(unsaved[0].Path), unsaved[0].Why)
	}
	for _, u := range unsaved {
		if u.Link {
			a.Problem(u.Path, errors.New("only the link is saved: "+u.Why)) // as if it were missing
		} else {
			a.Say("warning", u.Path+": nothing is saved from it: "+u.Why)
		}
	}
	return nil
}

// jobOfRun returns the job that a run is of, and looks at its paths.
func jobOfRun(ctx context.Context, a *app.App, s *session.Session, b *backupFlags, o *backup.Options) (repo.Text, error) {
	if b.stdin != "" {
		return repo.Text(cmp.Or(b.job, s.Host+":"+b.stdin)), nil
	}
	if err := tellUnsaved(a, o); err != nil {
		return "", err
	}
	if b.job != "" {
		return repo.Text(b.job), nil
	}
	return jobOf(ctx, s, b.paths)
}

// jobOf returns the job that a set of paths is, in whatever order they are given: the one that the host has of them already, unless its name could be that of others; or else a new one.
func jobOf(ctx context.Context, s *session.Session, paths []string) (repo.Text, error) {
	set := setOf(paths)
	var names []string
	plain := true
	for _, p := range set {
		names = append(names, strings.ReplaceAll(p, " /", " //")) // else it could begin another path; none has two slashes
		plain = plain && !strings.Contains(p, " /")
	}
	name := s.Host + ":" + strings.Join(names, " ")
	if !plain || len(paths) == 1 {
		return repo.Text(name), nil
	}
	roll, err := s.Roll(ctx)
	if err != nil {
		return "", err
	}
	found, err := roll.Newest(ctx, s.Host, func(x *repo.Archive) bool {
		given := make([]string, len(x.Paths))
		for i, p := range x.Paths {
			given[i] = string(p)
		}
		job := string(x.Job)
		return x.Kind == repo.Files && slices.Equal(setOf(given), set) && (job == name || job == s.Host+":"+strings.Join(given, " "))
	}, s.PassOver)
	if err != nil || found.Newest == nil {
		return repo.Text(name), err
	}
	return found.Newest.Job, nil
}

func setOf(paths []string) []string {
	set := slices.Clone(paths)
	slices.Sort(set)
	return slices.Compact(set)
}

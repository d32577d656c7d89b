package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/sessiontest"
	"nightjar/repo"
	"nightjar/repo/store"
)

// save makes an archive of a job.
func save(t *testing.T, m *sessiontest.Machine, job string) *repo.Archive {
	t.Helper()
	s := m.Open(t, session.Write)
	made, _, err := backup.Stream(context.Background(), s.Repository, &repo.Record{Job: repo.Text(job)},
		backup.Source{Name: "dump", Reader: strings.NewReader(job)}, backup.Options{Problem: func(path string, err error) { t.Error(path, err) }})
	must(t, err)
	s.Wrote(made)
	return made
}

func list(t *testing.T, m *sessiontest.Machine) (ids []string) {
	t.Helper()
	all, err := m.Open(t, session.ReadMetadata).Archives(context.Background(), "", func(name string, err error) { t.Error(name, err) })
	must(t, err)
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	return ids
}

// An archive that this machine has made, or has only seen, is missed when it is gone, as often as it looks.
func TestGone(t *testing.T) {
	m, made := sessiontest.WithRepository(t)
	kept, gone := save(t, m, "kept"), save(t, m, "gone")
	desk := sessiontest.New(t, m.Repo)
	desk.Kit = made.Kit
	if ids := list(t, desk); !slices.Equal(ids, []string{kept.ID, gone.ID}) {
		t.Fatalf("there are %q", ids)
	}
	must(t, os.CopyFS(m.Repo+"-older", os.DirFS(m.Repo)))
	must(t, os.Remove(filepath.Join(m.Repo, "archive", gone.ID)))
	for what, m := range map[string]*sessiontest.Machine{"who made it": m, "who saw it": desk} {
		m.WantWarnings(t)
		for range 2 {
			if ids := list(t, m); !slices.Equal(ids, []string{kept.ID}) {
				t.Errorf("%s lists %q", what, ids)
			}
			m.WantWarnings(t, "archive "+gone.ID[:8]+" of job gone, which this machine has seen, is gone")
		}
		seen, err := m.Open(t, session.ReadMetadata).Seen()
		must(t, err)
		if len(seen) != 2 {
			t.Errorf("%s expects %v", what, seen)
		}
	}
	// A machine that never saw it misses nothing, and in another place nothing is missed.
	stranger := sessiontest.New(t, m.Repo)
	stranger.Kit = made.Kit
	list(t, stranger)
	stranger.WantWarnings(t)
	must(t, os.Remove(filepath.Join(m.Repo+"-older", "archive", kept.ID)))
	desk.Repo = m.Repo + "-older"
	if ids := list(t, desk); !slices.Equal(ids, []string{gone.ID}) {
		t.Errorf("in another place there are %q", ids)
	}
	desk.WantWarnings(t)
}

func TestPrevious(t *testing.T) {
	m, _ := sessiontest.WithRepository(t)
	save(t, m, "a")
	newer := save(t, m, "a")
	save(t, m, "b")
	s := m.Open(t, session.Write)
	p, err := s.Previous(context.Background(), "a")
	must(t, err)
	if p == nil || p.ID != newer.ID {
		t.Errorf("the predecessor is %v, want %s", p, newer.ID)
	}
	if p, err = s.Previous(context.Background(), "c"); p != nil || err != nil {
		t.Errorf("the predecessor of nothing is %v, %v", p, err)
	}
	s.Host = "web2"
	if p, err = s.Previous(context.Background(), "a"); p != nil || err != nil {
		t.Errorf("the predecessor of another host is %v, %v", p, err)
	}
}

func TestOpenCopy(t *testing.T) {
	m, _ := sessiontest.WithRepository(t)
	ctx, to := context.Background(), filepath.Join(t.TempDir(), "copy")
	_, err := m.OpenCopy(ctx, m.Repo+"/../repo", place.Bucket{}, true)
	wantUsage(t, "a copy to itself", err)
	_, err = m.OpenCopy(ctx, to, place.Bucket{Region: "eu-west-1"}, true)
	wantUsage(t, "a region of a directory", err)
	if _, err := m.OpenCopy(ctx, to, place.Bucket{}, false); !errors.Is(err, store.ErrNoStore) {
		t.Errorf("a missing copy: %v", err)
	}
	d, err := m.OpenCopy(ctx, to, place.Bucket{}, true)
	must(t, err)
	defer d.Close()
	if d.Address(ctx) != to {
		t.Errorf("the copy is found at %q, want %q", d.Address(ctx), to)
	}
}

func TestEnviron(t *testing.T) {
	set := &session.Settings{Children: []string{"TMPDIR=/nowhere", "LANG=C"}}
	if env, err := set.Environ(); err != nil || !slices.Equal(env, set.Children) {
		t.Errorf("the environment is %q, %v", env, err)
	}
	set.TempDir = t.TempDir()
	if env, err := set.Environ(); err != nil || !slices.Contains(env, "TMPDIR="+set.TempDir) || slices.Contains(env, "TMPDIR=/nowhere") || !slices.Contains(env, "LANG=C") {
		t.Errorf("the environment is %q, %v", env, err)
	}
	set.TempDir += "/missing"
	if _, err := set.Environ(); err == nil {
		t.Error("a program is started with a temp directory that is missing")
	}
}

// A cache only saves time. What a machine remembers is needed, unless it is said what is to be believed, and nothing is written.
func TestNoFolders(t *testing.T) {
	m, made := sessiontest.WithRepository(t)
	m.CacheDir = ""
	saved := save(t, m, "job")
	m.WantWarnings(t, "without a cache")
	if ids := list(t, m); !slices.Equal(ids, []string{saved.ID}) {
		t.Errorf("listed %v", ids)
	}
	m.WantWarnings(t, "without a cache")
	m.StateDir = ""
	if _, err := m.Settings.Open(t.Context(), session.ReadMetadata); err == nil || !strings.Contains(err.Error(), "no state directory") {
		t.Errorf("without a state: %v", err)
	}
	m.WantWarnings(t, "without a cache")
	m.Key = made.Kit
	if ids := list(t, m); !slices.Equal(ids, []string{saved.ID}) {
		t.Errorf("listed %v", ids)
	}
	m.WantWarnings(t, "without a cache", "without what this machine remembers")
	if _, err := m.Settings.Open(t.Context(), session.Write); err == nil {
		t.Error("it writes, and will not know what")
	}
}

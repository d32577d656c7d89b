// Package sessiontest makes machines for tests: settings with folders of their own, and a repository that is made and used with them. Only tests import it.
package sessiontest

import (
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/setup"
)

// A Machine has folders of its own.
type Machine struct {
	*session.Settings
	Warnings []string // what it was told
}

// New returns a machine for which a repository is configured that is not made yet: the directory at path.
func New(t *testing.T, path string) *Machine {
	t.Helper()
	m, dir := new(Machine), t.TempDir()
	m.Settings = &session.Settings{
		Repo: path, StateDir: filepath.Join(dir, "state"), CacheDir: filepath.Join(dir, "cache"), HostName: "web1",
		Now: time.Now, Stderr: io.Discard,
		Warn: func(err error) { m.Warnings = append(m.Warnings, err.Error()) },
	}
	return m
}

// WithRepository returns a machine, and makes its repository.
func WithRepository(t *testing.T) (*Machine, *setup.Made) {
	t.Helper()
	m := New(t, filepath.Join(t.TempDir(), "repo"))
	return m, m.Make(t, setup.MakeOptions{})
}

// Make makes the configured repository. Its keys have no passphrases, unless one is set.
func (m *Machine) Make(t *testing.T, o setup.MakeOptions) *setup.Made {
	t.Helper()
	o.Unattended = true
	at, err := place.Parse(m.Repo)
	if err != nil {
		t.Fatal(err)
	}
	made, err := setup.Make(context.Background(), m.Settings, at, o)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Open opens the configured repository until the test ends.
func (m *Machine) Open(t *testing.T, need session.Access) *session.Session {
	t.Helper()
	s, err := m.Settings.Open(context.Background(), need)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// WantWarnings fails unless it was told as many things, each with its text, since it was asked last.
func (m *Machine) WantWarnings(t *testing.T, texts ...string) {
	t.Helper()
	ok := len(m.Warnings) == len(texts)
	for i := 0; ok && i < len(texts); i++ {
		ok = strings.Contains(m.Warnings[i], texts[i])
	}
	if !ok {
		t.Errorf("warnings are %q, want %q", m.Warnings, texts)
	}
	m.Warnings = nil
}

// Snapshot returns the content of each file below a folder.
func Snapshot(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// WantSame fails if what is below a folder is not what it was.
func WantSame(t *testing.T, folder string, before map[string]string) {
	t.Helper()
	if after := Snapshot(t, folder); !maps.Equal(after, before) {
		t.Errorf("%s has changed: there are %q, were %q", folder, slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
}

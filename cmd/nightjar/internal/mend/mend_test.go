package mend_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nightjar/cmd/nightjar/internal/mend"
	"nightjar/cmd/nightjar/internal/rekey"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/sessiontest"
	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
	"nightjar/repo/store/directory"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mended(t *testing.T, m *sessiontest.Machine, from store.Store, dryRun bool) []string {
	t.Helper()
	names, err := mend.Keys(context.Background(), m.Settings, from, dryRun)
	must(t, err)
	slices.Sort(names)
	return names
}

// Without what it takes to open it, a repository comes back from the recovery kit.
func TestFromKit(t *testing.T) {
	m, made := sessiontest.WithRepository(t)
	m.Kit = made.Kit
	whole := sessiontest.Snapshot(t, m.Repo)
	if names := mended(t, m, nil, false); len(names) != 0 {
		t.Errorf("of a whole repository, %q were put back", names)
	}
	config, keys := filepath.Join(m.Repo, "config"), filepath.Join(m.Repo, keyring.Name(1))
	for what, c := range map[string]struct {
		damage func()
		want   []string
	}{
		"no config":      {func() { must(t, os.Remove(config)) }, []string{"config"}},
		"no keys":        {func() { must(t, os.Remove(keys)) }, []string{keyring.Name(1)}},
		"neither":        {func() { must(t, os.Remove(config)); must(t, os.Remove(keys)) }, []string{"config", keyring.Name(1)}},
		"another config": {func() { must(t, os.Remove(config)); must(t, os.WriteFile(config, []byte("garbage"), 0o600)) }, []string{"config"}},
		"half of keys":   {func() { must(t, os.Truncate(keys, 100)) }, []string{keyring.Name(1)}},
	} {
		c.damage()
		damaged := sessiontest.Snapshot(t, m.Repo)
		dry := mended(t, m, nil, true)
		sessiontest.WantSame(t, m.Repo, damaged)
		// Which config opens the repository is known when its keys are there.
		if want := c.want[len(c.want)-1:]; !slices.Equal(dry, want) {
			t.Errorf("%s: %q would be put back, want %q", what, dry, want)
		}
		if names := mended(t, m, nil, false); !slices.Equal(names, c.want) {
			t.Errorf("%s: %q were put back, want %q", what, names, c.want)
		}
		sessiontest.WantSame(t, m.Repo, whole)
	}
	m.Open(t, session.Write)
}

// An older kit has not the newest keys; another copy has. What they took the place of is not missed by a machine that knows them.
func TestFromCopy(t *testing.T) {
	m, made := sessiontest.WithRepository(t)
	old, err := os.ReadFile(made.Kit)
	must(t, err)
	m.Kit = filepath.Join(t.TempDir(), "old.txt")
	must(t, os.WriteFile(m.Kit, old, 0o600))
	_, err = rekey.Change(context.Background(), m.Settings, made.Kit, (*keyring.Draft).RotateMetadata)
	must(t, err)
	copied := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(copied, os.DirFS(m.Repo)))
	from, err := directory.Open(copied)
	must(t, err)
	must(t, os.Remove(filepath.Join(m.Repo, "config")))
	must(t, os.RemoveAll(filepath.Join(m.Repo, "keys")))
	if names, want := mended(t, m, from, false), []string{"config", keyring.Name(2)}; !slices.Equal(names, want) {
		t.Errorf("%q were put back, want %q", names, want)
	}
	m.Open(t, session.Write)
}

// What nobody says to believe is not put back, whoever offers it: not by a machine that knows the repository, nor by one that is told of it.
func TestStranger(t *testing.T) {
	m, ours := sessiontest.WithRepository(t)
	other, theirs := sessiontest.WithRepository(t)
	from, err := directory.Open(other.Repo)
	must(t, err)
	desk := sessiontest.New(t, m.Repo)
	for _, gone := range []string{"config", "keys"} {
		must(t, os.RemoveAll(filepath.Join(m.Repo, gone)))
		damaged := sessiontest.Snapshot(t, m.Repo)
		for _, root := range []crypto.Fingerprint{"", ours.Root} {
			m.Root, desk.Root = string(root), string(root)
			if names := mended(t, m, from, false); len(names) != 0 {
				t.Errorf("%s gone, root %q named: %q were put back from another repository", gone, root, names)
			}
			if names, err := mend.Keys(context.Background(), desk.Settings, from, true); err == nil && slices.Contains(names, keyring.Name(1)) {
				t.Errorf("%s gone, root %q named: %q would be put back from another repository by a new machine", gone, root, names)
			}
		}
		sessiontest.WantSame(t, m.Repo, damaged)
	}
	m.Kit = theirs.Kit // beside our root
	if _, err := mend.Keys(context.Background(), m.Settings, nil, false); !errors.Is(err, crypto.ErrIntegrity) {
		t.Errorf("a kit of another: %v", err)
	}
}

// A machine that knows nothing yet puts back what the kit has, since the kit says whom to believe.
func TestNewMachine(t *testing.T) {
	m, made := sessiontest.WithRepository(t)
	whole := sessiontest.Snapshot(t, m.Repo)
	must(t, os.Remove(filepath.Join(m.Repo, "config")))
	must(t, os.Remove(filepath.Join(m.Repo, keyring.Name(1))))
	desk := sessiontest.New(t, m.Repo)
	desk.Key = made.Kit
	if names, want := mended(t, desk, nil, false), []string{"config", keyring.Name(1)}; !slices.Equal(names, want) {
		t.Errorf("%q were put back, want %q", names, want)
	}
	sessiontest.WantSame(t, m.Repo, whole)
	desk.Open(t, session.ReadContent)
}

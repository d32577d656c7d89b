package rekey_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/rekey"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/sessiontest"
	"nightjar/crypto"
	"nightjar/repo/keyring"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func generate(t *testing.T) *crypto.Key {
	t.Helper()
	k, err := crypto.Generate("test", time.Now().Add(-time.Minute), nil)
	must(t, err)
	return k
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return b
}

// The kit that is written again is that of the new keys, and opens them as the old one did, until its recovery key is none any more.
func TestKit(t *testing.T) {
	ctx := context.Background()
	m, made := sessiontest.WithRepository(t)
	first := read(t, made.Kit)
	done, err := rekey.Change(ctx, m.Settings, "", (*keyring.Draft).RotateContent)
	must(t, err)
	second := read(t, made.Kit)
	if done.Kit != made.Kit || !done.HasKey || done.Keys.Pin().Number != 2 || string(keyring.KitSecret(second)) != string(keyring.KitSecret(first)) {
		t.Errorf("changed %+v", done)
	}
	if _, err := keyring.KitObject(second, keyring.Name(2)); err != nil {
		t.Errorf("the kit has not the new keys: %v", err)
	}
	desk := sessiontest.New(t, m.Repo)
	desk.Kit = made.Kit
	desk.Open(t, session.ReadContent)

	other := generate(t)
	_, err = rekey.Change(ctx, m.Settings, "", func(d *keyring.Draft) error { return d.AddRecovery(other.Public()) })
	must(t, err)
	done, err = rekey.Change(ctx, m.Settings, "", func(d *keyring.Draft) error { return d.RemoveRecovery(made.Recovery[0]) })
	must(t, err)
	if done.HasKey || keyring.KitSecret(read(t, made.Kit)) != nil {
		t.Error("the kit has a key that opens nothing any more")
	}
}

// Where the kit goes, and that the key of the old one goes with it.
func TestKitFile(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		what          string
		named         bool // the new kit by --kit-file, else
		kit, key      bool // the old one by --kit or by --key
		beside, state bool // where it is written
	}{
		{what: "nothing", state: true},
		{what: "kit", kit: true, beside: true},
		{what: "key", key: true, beside: true},
		{what: "file", named: true},
		{what: "file and kit", named: true, kit: true},
	} {
		m, made := sessiontest.WithRepository(t)
		dir := t.TempDir()
		beside, named := filepath.Join(dir, "kit.txt"), ""
		must(t, os.WriteFile(beside, read(t, made.Kit), 0o600))
		if c.kit {
			m.Kit = beside
		}
		if c.key {
			m.Key = beside
		}
		if c.named {
			named = filepath.Join(dir, "new.txt")
		}
		want := named
		if c.beside {
			want = beside
		}
		if c.state {
			want = made.Kit
		}
		done, err := rekey.Change(ctx, m.Settings, named, (*keyring.Draft).RotateMetadata)
		must(t, err)
		if done.Kit != want || !done.HasKey {
			t.Errorf("%s: the kit is %s, with its key: %v, want %s", c.what, done.Kit, done.HasKey, want)
		}
		if _, err := keyring.KitObject(read(t, want), keyring.Name(2)); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// What cannot be done changes nothing.
func TestRefused(t *testing.T) {
	ctx := context.Background()
	m, _ := sessiontest.WithRepository(t)
	_, theirs := sessiontest.WithRepository(t)
	letter := filepath.Join(t.TempDir(), "letter.txt")
	must(t, os.WriteFile(letter, []byte("Dear aunt"), 0o600))
	before := sessiontest.Snapshot(t, m.Repo)
	for what, c := range map[string]struct {
		kitFile string
		edit    func(*keyring.Draft) error
		want    error
	}{
		"a file that is no kit": {letter, (*keyring.Draft).RotateContent, fs.ErrExist},
		"a kit of another":      {theirs.Kit, (*keyring.Draft).RotateContent, fs.ErrExist},
		"a missing folder":      {filepath.Join(letter+"s", "kit.txt"), (*keyring.Draft).RotateContent, fs.ErrNotExist},
		"what is so already":    {"", func(d *keyring.Draft) error { return d.SetRole("web1", keyring.Backup, true) }, keyring.ErrUnchanged},
	} {
		if _, err := rekey.Change(ctx, m.Settings, c.kitFile, c.edit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		sessiontest.WantSame(t, m.Repo, before)
	}
	if string(read(t, letter)) != "Dear aunt" {
		t.Error("the letter is gone")
	}
	m.StateDir = filepath.Join(t.TempDir(), "state") // without a key
	if _, err := rekey.Change(ctx, m.Settings, "", (*keyring.Draft).RotateContent); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("without a recovery key: %v", err)
	}
	sessiontest.WantSame(t, m.Repo, before)
}

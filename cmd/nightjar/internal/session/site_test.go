package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/sessiontest"
	"nightjar/cmd/nightjar/internal/setup"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/userkeys"
	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantUsage(t *testing.T, what string, err error) {
	t.Helper()
	if wrong := (usage.Error{}); !errors.As(err, &wrong) {
		t.Errorf("%s: %v, want a wrong command line", what, err)
	}
}

// keys reads the configured repository's keys.
func keys(set *session.Settings) (*keyring.Keyring, error) {
	s, err := set.Site(context.Background())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Keys(context.Background(), session.ReadNothing)
}

func TestConfigured(t *testing.T) {
	m := sessiontest.New(t, "")
	if _, err := m.Site(context.Background()); !errors.Is(err, session.ErrNotConfigured) || !errors.Is(err, store.ErrNoStore) {
		t.Errorf("nothing is configured: %v", err)
	}
	embedded, err := m.Embedded()
	must(t, err)
	m.Repo = embedded.Path
	m.Make(t, setup.MakeOptions{})
	m.Repo = ""
	if s := m.Open(t, session.ReadMetadata); s.Place != embedded {
		t.Errorf("the embedded repository is in %v, want %v", s.Place, embedded)
	}
	_, err = (&session.Settings{CacheDir: "cache"}).Site(context.Background())
	wantUsage(t, "no state", err)
}

// A machine that sees a repository for the first time believes it, and says so; from then on it knows it.
func TestFirstSight(t *testing.T) {
	home, made := sessiontest.WithRepository(t)
	home.WantWarnings(t)
	desk := sessiontest.New(t, home.Repo)
	for _, want := range [][]string{{"new to this machine and is believed: compare its root key with your recovery kit: " + string(made.Root)}, nil} {
		k, err := keys(desk.Settings)
		must(t, err)
		if k.Pin().Root != made.Root {
			t.Errorf("the root is %s, want %s", k.Pin().Root, made.Root)
		}
		desk.WantWarnings(t, want...)
	}
	for what, name := range map[string]func(*session.Settings){
		"root": func(set *session.Settings) { set.Root = string(made.Root) },
		"kit":  func(set *session.Settings) { set.Kit = made.Kit },
		"key":  func(set *session.Settings) { set.Key = made.Kit },
	} {
		desk := sessiontest.New(t, home.Repo)
		name(desk.Settings)
		if _, err := keys(desk.Settings); err != nil {
			t.Errorf("with its %s: %v", what, err)
		}
		desk.WantWarnings(t)
	}
}

// Another repository in the place of the one that is known is somebody's doing, and believed only if it is named.
func TestReplaced(t *testing.T) {
	m, _ := sessiontest.WithRepository(t)
	other, made := sessiontest.WithRepository(t)
	must(t, os.RemoveAll(m.Repo))
	must(t, os.CopyFS(m.Repo, os.DirFS(other.Repo)))
	if _, err := keys(m.Settings); !errors.Is(err, keyring.ErrRollback) {
		t.Errorf("a repository that was replaced: %v", err)
	}
	m.Warnings = nil
	m.Root = string(made.Root)
	if _, err := keys(m.Settings); err != nil {
		t.Errorf("a repository that was replaced and named: %v", err)
	}
	m.WantWarnings(t)
}

func TestNamedRoot(t *testing.T) {
	m, ours := sessiontest.WithRepository(t)
	_, theirs := sessiontest.WithRepository(t)
	key, err := crypto.Generate("mere key", m.Now(), nil)
	must(t, err)
	armored, err := key.ArmorSecret(nil)
	must(t, err)
	mere := filepath.Join(t.TempDir(), "key.asc")
	must(t, os.WriteFile(mere, armored, 0o600))
	for _, c := range []struct {
		what           string
		root, kit, key string
		want           crypto.Fingerprint
		err            error
	}{
		{what: "nothing"},
		{what: "root", root: string(ours.Root), want: ours.Root},
		{what: "kit", kit: ours.Kit, want: ours.Root},
		{what: "kit as key", key: ours.Kit, want: ours.Root},
		{what: "mere key", key: mere},
		{what: "fingerprint as key", key: string(key.Fingerprint())},
		{what: "all", root: string(ours.Root), kit: ours.Kit, key: mere, want: ours.Root},
		{what: "kit of another", root: string(ours.Root), kit: theirs.Kit, err: crypto.ErrIntegrity},
		{what: "two kits", kit: ours.Kit, key: theirs.Kit, err: crypto.ErrIntegrity},
		{what: "missing kit", kit: ours.Kit + ".gone", err: os.ErrNotExist},
		{what: "missing key", key: ours.Kit + ".gone", err: userkeys.ErrNone},
		{what: "fingerprint as kit", kit: string(ours.Root), err: os.ErrNotExist},
	} {
		m.Root, m.Kit, m.Key = c.root, c.kit, c.key
		repository, root, err := m.NamedRoot()
		if root != c.want || !errors.Is(err, c.err) || (repository == ours.Repository) != (c.err == nil && slices.Contains([]string{c.kit, c.key}, ours.Kit)) {
			t.Errorf("%s: %s of %q, %v, want %s, %v", c.what, root, repository, err, c.want, c.err)
		}
	}
	m.Root, m.Kit, m.Key = "", mere, ""
	if _, _, err := m.NamedRoot(); err == nil {
		t.Error("a mere key is a kit")
	}
	m.Root, m.Kit = "short", ""
	_, _, err = m.NamedRoot()
	wantUsage(t, "a short root", err)
	m.Root = string(theirs.Root)
	if _, err := keys(m.Settings); !errors.Is(err, crypto.ErrIntegrity) {
		t.Errorf("the root of another: %v", err)
	}
}

// Which keys open what: this machine's own, which is a recovery key too, until another is made.
func TestSecrets(t *testing.T) {
	own := sessiontest.New(t, filepath.Join(t.TempDir(), "repo"))
	own.Passphrase = "pass"
	made := own.Make(t, setup.MakeOptions{})
	for _, need := range []session.Access{session.ReadMetadata, session.ReadContent, session.ReadMost, session.Write, session.Maintain} {
		s := own.Open(t, need)
		if content := need == session.ReadContent || need == session.ReadMost || need == session.Maintain; s.CanReadContent() != content {
			t.Errorf("access %d reads content: %v", need, s.CanReadContent())
		}
		if writes := need == session.Write || need == session.Maintain; (s.Host == "web1") != writes {
			t.Errorf("access %d writes as %q", need, s.Host)
		}
	}
	desk := sessiontest.New(t, own.Repo)
	desk.Kit, desk.Passphrase = made.Kit, "pass"
	if s := desk.Open(t, session.ReadContent); s.Host != "" {
		t.Errorf("a recovery key writes as %q", s.Host)
	}
	if _, err := desk.Settings.Open(context.Background(), session.Write); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("a recovery key writes: %v", err)
	}
	desk.Kit, desk.Root = "", string(made.Root)
	if _, err := desk.Settings.Open(context.Background(), session.ReadMetadata); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("no key reads: %v", err)
	}
	desk.Key, desk.Passphrase = made.Kit, "wrong"
	if _, err := desk.Settings.Open(context.Background(), session.ReadMetadata); !errors.Is(err, crypto.ErrPassphrase) {
		t.Errorf("a wrong passphrase reads: %v", err)
	}
}

package setup_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/rekey"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/sessiontest"
	"nightjar/cmd/nightjar/internal/setup"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/userkeys"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// certificate makes a key and returns the file of its public half.
func certificate(t *testing.T) (*crypto.Key, string) {
	t.Helper()
	k, err := crypto.Generate("operator", time.Now().Add(-time.Minute), nil)
	must(t, err)
	armored, err := k.ArmorPublic()
	must(t, err)
	path := filepath.Join(t.TempDir(), "operator.crt")
	must(t, os.WriteFile(path, armored, 0o600))
	return k, path
}

func TestMake(t *testing.T) {
	operator, file := certificate(t)
	for _, c := range []struct {
		what       string
		options    setup.MakeOptions
		passphrase string
		advice     string
	}{
		{what: "embedded", advice: "whoever has it can restore everything"},
		{what: "protected", passphrase: "pass", advice: "it and its passphrase restore everything"},
		{what: "operator", options: setup.MakeOptions{EncryptKeys: []string{file}, Host: "db1"}, advice: "takes it and your own recovery key"},
	} {
		m := sessiontest.New(t, filepath.Join(t.TempDir(), "deep", "repo"))
		m.Passphrase = c.passphrase
		made := m.Make(t, c.options)
		host, generated := "web1", c.options.EncryptKeys == nil
		if c.options.Host != "" {
			host = c.options.Host
		}
		if made.Host != host || made.KitHasKey != generated || made.Protected != (c.passphrase != "") || made.HostLocked != made.Protected || len(made.Recovery) != 1 ||
			(made.Recovery[0] == made.HostKey) != generated || !generated && made.Recovery[0] != operator.Fingerprint() {
			t.Errorf("%s: made %+v", c.what, made)
		}
		if advice := made.Advice(); !strings.Contains(advice, c.advice) || strings.Contains(advice, "passphrase-file") != made.HostLocked {
			t.Errorf("%s: the advice is %q", c.what, advice)
		}
		kit, err := os.ReadFile(made.Kit)
		must(t, err)
		if secret := keyring.KitSecret(kit); (secret != nil) != generated || keyring.KitURL(kit) != m.Repo {
			t.Errorf("%s: the kit of %q has a secret: %v", c.what, keyring.KitURL(kit), secret != nil)
		}
		if s := m.Open(t, session.Write); s.ID() != made.Repository || s.Host != host {
			t.Errorf("%s: %s opens for %s", c.what, s.ID(), s.Host)
		}
	}
}

// Whatever fails is found before the place is touched.
func TestMakeRefused(t *testing.T) {
	_, file := certificate(t)
	notDir := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(notDir, nil, 0o600))
	for what, c := range map[string]struct {
		breaks  func(m *sessiontest.Machine)
		options setup.MakeOptions
		want    error // nil: any
	}{
		"state":        {breaks: func(m *sessiontest.Machine) { m.StateDir = filepath.Join(notDir, "state") }},
		"state folder": {breaks: func(m *sessiontest.Machine) { m.StateDir = "/proc/self" }},
		"name":         {breaks: func(m *sessiontest.Machine) { m.HostName = "" }},
		"kit":          {options: setup.MakeOptions{KitFile: notDir}, want: fs.ErrExist},
		"kit folder":   {options: setup.MakeOptions{KitFile: filepath.Join(notDir, "kit")}},
		"recovery key": {options: setup.MakeOptions{EncryptKeys: []string{"alice"}}, want: userkeys.ErrNone},
		"sign key":     {options: setup.MakeOptions{SignKey: file}, want: crypto.ErrNoKey}, // no secret half
		"passphrase":   {breaks: func(m *sessiontest.Machine) { m.PassphraseFile = notDir }},
	} {
		m := sessiontest.New(t, filepath.Join(t.TempDir(), "repo"))
		if c.breaks != nil {
			c.breaks(m)
		}
		at, err := place.Parse(m.Repo)
		must(t, err)
		c.options.Unattended = true
		if _, err := setup.Make(context.Background(), m.Settings, at, c.options); err == nil || !errors.Is(err, c.want) && c.want != nil {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		if _, err := os.Stat(m.Repo); err == nil {
			t.Errorf("%s: the place was touched", what)
		}
	}
	m, _ := sessiontest.WithRepository(t)
	before := sessiontest.Snapshot(t, m.Repo)
	at, err := place.Parse(m.Repo)
	must(t, err)
	if _, err := setup.Make(context.Background(), m.Settings, at, setup.MakeOptions{Unattended: true}); !errors.Is(err, repo.ErrExists) {
		t.Errorf("a repository is made over another: %v", err)
	}
	sessiontest.WantSame(t, m.Repo, before)
}

// What fails all the same, since somebody else was faster, is undone.
func TestMakeUndone(t *testing.T) {
	m := sessiontest.New(t, filepath.Join(t.TempDir(), "repo"))
	kit := filepath.Join(t.TempDir(), "kit.txt")
	m.Now = func() time.Time {
		must(t, os.WriteFile(kit, []byte("somebody else's"), 0o600))
		return time.Now()
	}
	at, err := place.Parse(m.Repo)
	must(t, err)
	if _, err := setup.Make(context.Background(), m.Settings, at, setup.MakeOptions{KitFile: kit, Unattended: true}); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a kit that is there: %v", err)
	}
	if _, err := os.Stat(m.Repo); err == nil {
		t.Error("the repository is there")
	}
	if b, err := os.ReadFile(kit); err != nil || string(b) != "somebody else's" {
		t.Errorf("the kit that was there is %q, %v", b, err)
	}
}

func TestEnroll(t *testing.T) {
	ctx := context.Background()
	home, made := sessiontest.WithRepository(t)
	desk := sessiontest.New(t, home.Repo)
	desk.HostName, desk.SignPassphrase = "web2", "pass"
	enroll := func(o setup.EnrollOptions) *setup.Enrolled {
		t.Helper()
		done, err := setup.Enroll(ctx, desk.Settings, o)
		must(t, err)
		return done
	}
	change := func(edit func(d *keyring.Draft) error) {
		t.Helper()
		_, err := rekey.Change(ctx, home.Settings, "", edit)
		must(t, err)
	}
	read := func(e *setup.Enrolled) *crypto.Key {
		t.Helper()
		k, err := crypto.ReadKey([]byte(e.Certificate))
		must(t, err)
		if k.HasSecret() || k.Fingerprint() != e.Key {
			t.Fatalf("the certificate is of %s, with a secret: %v", k.Fingerprint(), k.HasSecret())
		}
		return k
	}
	var wrong usage.Error
	if _, err := setup.Enroll(ctx, desk.Settings, setup.EnrollOptions{}); !errors.As(err, &wrong) {
		t.Fatalf("a repository that nobody names is believed: %v", err)
	}
	if _, err := os.Stat(desk.StateDir); err == nil {
		t.Error("there is a state")
	}
	desk.Root = string(made.Root)
	first := enroll(setup.EnrollOptions{})
	desk.Root = "" // it is known now
	if again := enroll(setup.EnrollOptions{Renew: true}); again.Key != first.Key || again.Host != "" {
		t.Errorf("said again, before it is enrolled: %+v, want key %s", again, first.Key)
	}
	change(func(d *keyring.Draft) error { return d.AddHost("web2", read(first), keyring.Backup) })
	if done := enroll(setup.EnrollOptions{}); done.Key != first.Key || done.Host != "web2" {
		t.Errorf("enrolled: %+v, want key %s of web2", done, first.Key)
	}
	second := enroll(setup.EnrollOptions{Renew: true})
	if second.Key == first.Key {
		t.Error("a renewed key is the same")
	}
	if s := desk.Open(t, session.Write); s.Host != "web2" {
		t.Errorf("it writes as %q", s.Host)
	}
	change(func(d *keyring.Draft) error { return d.RotateHost("web2", read(second)) })
	if done := enroll(setup.EnrollOptions{}); done.Key != second.Key || done.Host != "web2" {
		t.Errorf("rotated: %+v, want key %s of web2", done, second.Key)
	}
	change(func(d *keyring.Draft) error { return d.RemoveHost("web2") })
	if done := enroll(setup.EnrollOptions{}); done.Key == first.Key || done.Key == second.Key || done.Host != "" {
		t.Errorf("after its removal: %+v, want a key of its own", done)
	}
}

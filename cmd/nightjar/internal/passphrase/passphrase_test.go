package passphrase

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"nightjar/crypto"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "passphrase")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// unattended is a source without a terminal.
func unattended(t *testing.T) *Source {
	return &Source{
		Environ:  func() ([]string, error) { return []string{"HINT=from the environment"}, nil },
		Stderr:   os.Stderr,
		terminal: filepath.Join(t.TempDir(), "none"),
	}
}

func TestOrder(t *testing.T) {
	ctx := context.Background()
	s := unattended(t)
	step := func(what, recovery, host string) {
		t.Helper()
		for r, want := range map[Role]string{Recovery: recovery, Host: host} {
			if got, err := s.Get(ctx, r, "?"); err != nil || string(got) != want {
				t.Errorf("%s, role %d: %q, %v, want %q", what, r, got, err, want)
			}
			if got, err := s.New(ctx, r, "?"); err != nil || string(got) != want {
				t.Errorf("%s, new, role %d: %q, %v, want %q", what, r, got, err, want)
			}
		}
	}
	s.Any = "any"
	step("any", "any", "any")
	s.Command = "echo command"
	step("command", "command", "command")
	s.File = write(t, "file\nsecond line\n")
	step("file", "file", "file")
	s.Host = "host"
	step("host", "file", "host")
}

// Without a terminal a key that has a passphrase stays locked, and a new key gets none.
func TestNobodyToAsk(t *testing.T) {
	s := unattended(t)
	if p, err := s.Configured(context.Background(), Host); p != nil || err != nil {
		t.Errorf("configured is %q, %v", p, err)
	}
	if _, err := s.Get(context.Background(), Host, "?"); !errors.Is(err, ErrNone) || !errors.Is(err, crypto.ErrLocked) {
		t.Errorf("a passphrase that nobody gives: %v", err)
	}
	if p, err := s.New(context.Background(), Host, "?"); len(p) != 0 || err != nil {
		t.Errorf("a new key's is %q, %v", p, err)
	}

	// Nor is a terminal asked that is there.
	s.terminal = write(t, "typed\n")
	if _, err := s.Get(context.Background(), Host, "?"); err == nil || errors.Is(err, ErrNone) {
		t.Errorf("what is no terminal is asked: %v", err)
	}
	s.Unattended = true
	if _, err := s.Get(context.Background(), Host, "?"); !errors.Is(err, ErrNone) {
		t.Errorf("unattended, the terminal is asked: %v", err)
	}
}

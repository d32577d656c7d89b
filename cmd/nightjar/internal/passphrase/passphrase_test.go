package passphrase

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
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
}

func TestFirstLine(t *testing.T) {
	for content, want := range map[string]string{
		"a b": "a b", " a \n": " a ", "a\r\nb": "a", "ä\n": "ä",
		"": "", "\n": "", "\r\n": "", "\nsecond": "", // which must not leave a new key without protection
	} {
		s := unattended(t)
		s.File = write(t, content)
		got, err := s.New(context.Background(), Recovery, "?")
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("a file with %q: %q, %v, want %q", content, got, err, want)
		}
	}
	s := unattended(t)
	s.File = filepath.Join(t.TempDir(), "missing")
	if _, err := s.Get(context.Background(), Recovery, "?"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestCommand(t *testing.T) {
	s := unattended(t)
	s.Command = `printf '%s\n' "$HINT"`
	if got, err := s.Get(context.Background(), Recovery, "?"); err != nil || string(got) != "from the environment" {
		t.Errorf("the command gives %q, %v", got, err)
	}
	s.Command = "echo hunter2; exit 3"
	if got, err := s.Get(context.Background(), Recovery, "?"); err == nil || got != nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a command that fails gives %q, %v", got, err)
	}
	s.Command = "true"
	if _, err := s.Get(context.Background(), Recovery, "?"); err == nil {
		t.Error("a command that prints nothing gives a passphrase")
	}
}

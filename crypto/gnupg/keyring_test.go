package gnupg

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/crypto"
)

var theBox = crypto.Binding{Repository: "0123456789abcdef", Kind: "content", Version: 0}

func generated(t testing.TB, name string) *crypto.Key {
	t.Helper()
	k, err := crypto.Generate(name, time.Now().Add(-time.Hour), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed seals plain to the key that signs it.
func sealed(t testing.TB, k *crypto.Key, plain []byte) []byte {
	t.Helper()
	s, err := crypto.NewSealer(k, k, theBox, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Seal(plain)
	if err != nil {
		t.Fatal(err)
	}
	return o.Object
}

// wantError checks that err is target, and says text.
func wantError(t *testing.T, err, target error, text string) {
	t.Helper()
	if err == nil || target != nil && !errors.Is(err, target) || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v, want %v that says %q", err, target, text)
	}
}

// keyring is the real gpg with a home of its own.
type keyring struct {
	Program
	t testing.TB
}

// newGnuPG starts with an empty keyring. Without a gpg it fails in CI and skips elsewhere.
func newGnuPG(t testing.TB) keyring {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("gpg is needed: ", err)
		}
		t.Skip("SKIPPED, NOTHING TESTED: gpg is needed: ", err)
	}
	home := t.TempDir()
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	g := keyring{t: t, Program: Program{Home: home, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GNUPGHOME=" + home, "TMPDIR=" + home, "LC_ALL=C"}}}
	if err := os.WriteFile(filepath.Join(home, "gpg-agent.conf"), []byte("allow-loopback-pinentry\ns2k-count 65536\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill := exec.Command("gpgconf", "--kill", "all")
		kill.Env = g.Env
		if out, err := kill.CombinedOutput(); err != nil {
			t.Errorf("end agent: %v: %s", err, out)
		}
	})
	return g
}

// try runs gpg and returns its output and its status and messages.
func (g keyring) try(stdin []byte, args ...string) (stdout []byte, report string, err error) {
	cmd := exec.Command("gpg", append([]string{"--batch", "--yes", "--status-fd", "2", "--trust-model", "always"}, args...)...)
	cmd.Env = g.Env
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.String(), err
}

func (g keyring) must(stdin []byte, args ...string) (stdout []byte, report string) {
	g.t.Helper()
	stdout, report, err := g.try(stdin, args...)
	if err != nil {
		g.t.Fatalf("gpg %q: %v\n%s", args, err, report)
	}
	return stdout, report
}

// key makes a key with gpg --quick-generate-key and returns its fingerprint.
func (g keyring) key(name, algorithm, usage, expires, passphrase string, more ...string) crypto.Fingerprint {
	g.t.Helper()
	args := append(more, "--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-generate-key", name, algorithm, usage, expires)
	_, report := g.must(nil, args...)
	_, line, ok := strings.Cut(report, "KEY_CREATED ")
	if !ok {
		g.t.Fatalf("no key created:\n%s", report)
	}
	fpr, err := crypto.ParseFingerprint(strings.Fields(line)[1])
	if err != nil {
		g.t.Fatal(err)
	}
	return fpr
}

// rsa makes a key to sign with and to encrypt to, without a passphrase.
func (g keyring) rsa(name string) *crypto.Key {
	g.t.Helper()
	fpr := g.key(name, "rsa2048", "default", "never", "")
	g.must(nil, "--pinentry-mode", "loopback", "--passphrase", "", "--quick-add-key", string(fpr), "rsa2048", "encr", "never")
	k, err := g.ExportSecret(context.Background(), fpr, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return k
}

// interactive answers gpg's questions.
func (g keyring) interactive(answers string, args ...string) (stdout []byte, report string, err error) {
	cmd := exec.Command("gpg", append([]string{"--no-tty", "--command-fd", "0", "--status-fd", "2", "--pinentry-mode", "loopback"}, args...)...)
	cmd.Env = g.Env
	cmd.Stdin = strings.NewReader(answers)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.String(), err
}

// connect sends the agent a command.
func (g keyring) connect(args ...string) ([]byte, error) {
	cmd := exec.Command("gpg-connect-agent", args...)
	cmd.Env = g.Env
	return cmd.CombinedOutput()
}

// forget has the agent forget its passphrases.
func (g keyring) forget() {
	g.t.Helper()
	if out, err := g.connect("reloadagent", "/bye"); err != nil {
		g.t.Fatalf("reload agent: %v: %s", err, out)
	}
}

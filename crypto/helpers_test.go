package crypto

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	theBox = Binding{Repository: "0123456789abcdef", Kind: "content", Version: 0}
)

func clock() time.Time { return noon }

func generated(t testing.TB, name string) *Key {
	t.Helper()
	k, err := Generate(name, noon.Add(-time.Hour), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// rsaKey is made once: it takes a while.
var rsaKey = sync.OnceValue(func() *Key {
	config := &packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048, Time: func() time.Time { return noon.Add(-time.Hour) }}
	entity, err := pgp.NewEntity("rsa", "", "", config)
	if err != nil {
		panic(err)
	}
	var buf bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&buf, nil); err != nil {
		panic(err)
	}
	k, err := ReadKey(buf.Bytes())
	if err != nil {
		panic(err)
	}
	return k
})

func sealer(t testing.TB, recipient, signer *Key) *Sealer {
	t.Helper()
	s, err := NewSealer(recipient, signer, theBox, nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealed(t testing.TB, recipient, signer *Key, plain []byte) Sealed {
	t.Helper()
	s, err := sealer(t, recipient, signer).Seal(plain)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func by(keys ...*Key) []Signer {
	var s []Signer
	for _, k := range keys {
		s = append(s, Signer{Key: k.Public()})
	}
	return s
}

func random(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// wantError checks that err is target, and says text.
func wantError(t *testing.T, err, target error, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", text)
	}
	if target != nil && !errors.Is(err, target) {
		t.Fatalf("error %q is not %q", err, target)
	}
	if !strings.Contains(err.Error(), text) {
		t.Fatalf("error %q does not say %q", err, text)
	}
}

// gnupg is the real gpg with a home of its own.
type gnupg struct {
	GnuPG
	t testing.TB
}

// newGnuPG starts with an empty keyring. Without a gpg it fails in CI and skips elsewhere.
func newGnuPG(t testing.TB) gnupg {
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
	g := gnupg{t: t, GnuPG: GnuPG{Home: home, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GNUPGHOME=" + home, "TMPDIR=" + home, "LC_ALL=C"}}}
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
func (g gnupg) try(stdin []byte, args ...string) (stdout []byte, report string, err error) {
	cmd := exec.Command("gpg", append([]string{"--batch", "--yes", "--status-fd", "2", "--trust-model", "always"}, args...)...)
	cmd.Env = g.Env
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.String(), err
}

func (g gnupg) must(stdin []byte, args ...string) (stdout []byte, report string) {
	g.t.Helper()
	stdout, report, err := g.try(stdin, args...)
	if err != nil {
		g.t.Fatalf("gpg %q: %v\n%s", args, err, report)
	}
	return stdout, report
}

// key makes a key with gpg --quick-generate-key and returns its fingerprint.
func (g gnupg) key(name, algorithm, usage, expires, passphrase string, more ...string) Fingerprint {
	g.t.Helper()
	args := append(more, "--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-generate-key", name, algorithm, usage, expires)
	_, report := g.must(nil, args...)
	_, line, ok := strings.Cut(report, "KEY_CREATED ")
	if !ok {
		g.t.Fatalf("no key created:\n%s", report)
	}
	fpr, err := ParseFingerprint(strings.Fields(line)[1])
	if err != nil {
		g.t.Fatal(err)
	}
	return fpr
}

// interactive answers gpg's questions.
func (g gnupg) interactive(answers string, args ...string) (stdout []byte, report string, err error) {
	cmd := exec.Command("gpg", append([]string{"--no-tty", "--command-fd", "0", "--status-fd", "2", "--pinentry-mode", "loopback"}, args...)...)
	cmd.Env = g.Env
	cmd.Stdin = strings.NewReader(answers)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.String(), err
}

// connect sends the agent a command.
func (g gnupg) connect(args ...string) ([]byte, error) {
	cmd := exec.Command("gpg-connect-agent", args...)
	cmd.Env = g.Env
	return cmd.CombinedOutput()
}

// undo takes a message out of its armor.
func undo(t testing.TB, text []byte) []byte {
	t.Helper()
	block, err := armor.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(block.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

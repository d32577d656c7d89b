package userkeys

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

	"nightjar/cmd/nightjar/internal/passphrase"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/crypto"
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

func write(t *testing.T, content ...[]byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, bytes.Join(content, []byte("\n")), 0o600))
	return path
}

func secret(t *testing.T, k *crypto.Key, passphrase string) []byte {
	t.Helper()
	b, err := k.ArmorSecret([]byte(passphrase))
	must(t, err)
	return b
}

func public(t *testing.T, k *crypto.Key) []byte {
	t.Helper()
	b, err := k.ArmorPublic()
	must(t, err)
	return b
}

func finder(p passphrase.Source) *Finder {
	return &Finder{Passphrases: &p, Environ: func() ([]string, error) { return nil, nil }}
}

func TestRead(t *testing.T) {
	k := generate(t)
	if _, f, isFile, err := Read(string(k.Fingerprint())); f != k.Fingerprint() || isFile || err != nil {
		t.Errorf("a fingerprint is %s, file: %v, %v", f, isFile, err)
	}
	if content, _, isFile, err := Read(write(t, []byte("text"))); string(content) != "text" || !isFile || err != nil {
		t.Errorf("a file is %q, file: %v, %v", content, isFile, err)
	}
	_, _, _, err := Read("alice@example.com")
	var hinted usage.Hinted
	if !errors.Is(err, ErrNone) || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint, "gpg --fingerprint") {
		t.Errorf("a name is %v", err)
	}
	large := write(t)
	must(t, os.Truncate(large, maxSize+1))
	if _, _, _, err := Read(large); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a large file is %v", err)
	}
}

// Where a certificate is wanted, a secret half that the file holds stays there.
func TestCertificate(t *testing.T) {
	k := generate(t)
	for what, file := range map[string]string{"secret": write(t, secret(t, k, "pass")), "public": write(t, public(t, k))} {
		got, err := finder(passphrase.Source{}).Certificate(context.Background(), file)
		must(t, err)
		if got.Fingerprint() != k.Fingerprint() || got.HasSecret() {
			t.Errorf("%s: %s, with a secret: %v", what, got.Fingerprint(), got.HasSecret())
		}
	}
	got, err := ReadCertificate(bytes.NewReader(secret(t, k, "")))
	must(t, err)
	if got.HasSecret() {
		t.Error("a certificate that is read has a secret half")
	}
	if _, err := finder(passphrase.Source{}).Certificate(context.Background(), write(t, []byte("no key"))); err == nil {
		t.Error("a file without a key has a certificate")
	}
}

func TestSigning(t *testing.T) {
	ctx, k := context.Background(), generate(t)
	locked := write(t, secret(t, k, "of the host"))
	got, err := finder(passphrase.Source{Any: "of another", Host: "of the host"}).Signing(ctx, locked)
	must(t, err)
	if got.Locked() || got.Fingerprint() != k.Fingerprint() {
		t.Errorf("%s is locked: %v", got.Fingerprint(), got.Locked())
	}
	if _, err := finder(passphrase.Source{Any: "of another"}).Signing(ctx, locked); !errors.Is(err, crypto.ErrPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	if _, err := finder(passphrase.Source{}).Signing(ctx, write(t, public(t, k))); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("a certificate to sign with: %v", err)
	}
	// Of keys of other kinds no secret half is read: what is said is the kind.
	home := t.TempDir()
	run := func(args ...string) []byte {
		t.Helper()
		out, err := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--passphrase", ""}, args...)...).Output()
		must(t, err)
		return out
	}
	for _, kind := range []string{"nistp384", "brainpoolP256r1", "rsa1024"} {
		run("--quick-generate-key", kind, kind, "default", "never")
		if _, err := finder(passphrase.Source{}).Signing(ctx, write(t, run("--export-secret-keys", kind))); !errors.Is(err, crypto.ErrUnsupported) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
}

func TestRecovery(t *testing.T) {
	ctx, ours, stranger := context.Background(), generate(t), generate(t)
	known := []crypto.Fingerprint{ours.Fingerprint()}
	own, pub, other := write(t, secret(t, ours, "pass")), write(t, public(t, ours)), write(t, secret(t, stranger, "pass"))
	both := write(t, secret(t, stranger, "another"), secret(t, ours, "pass")) // only ours is unlocked
	for _, c := range []struct {
		what, name, kit string
		found           bool
		err             error
	}{
		{what: "nothing"},
		{what: "key", name: own, found: true},
		{what: "key among others", name: both, found: true},
		{what: "kit", kit: own, found: true},
		{what: "kit without a secret", kit: pub},
		{what: "key beside a kit without one", name: own, kit: pub, found: true},
		{what: "certificate", name: pub, err: crypto.ErrNoKey},
		{what: "key of a stranger", name: other, err: crypto.ErrNoKey},
		{what: "kit of a stranger", kit: other, err: crypto.ErrNoKey},
		{what: "fingerprint of a stranger", name: string(stranger.Fingerprint()), err: crypto.ErrNoKey},
		{what: "no key", name: write(t, []byte("text")), err: crypto.ErrNoKey},
		{what: "missing kit", kit: own + ".gone", err: os.ErrNotExist},
	} {
		got, err := finder(passphrase.Source{Any: "pass"}).Recovery(ctx, c.name, c.kit, known)
		if (got != nil) != c.found || !errors.Is(err, c.err) {
			t.Errorf("%s: found: %v, %v, want %v, %v", c.what, got != nil, err, c.found, c.err)
		}
	}
	_, err := finder(passphrase.Source{}).Recovery(ctx, other, "", known)
	var hinted usage.Hinted
	if !errors.As(err, &hinted) || !strings.HasSuffix(hinted.Hint, ": "+string(ours.Fingerprint())) {
		t.Errorf("a stranger's key is %v, with the hint %q", err, hinted.Hint)
	}
	if _, err := finder(passphrase.Source{Any: "wrong"}).Recovery(ctx, own, "", known); !errors.Is(err, crypto.ErrPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
}

package gnupg

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/crypto"
)

// TestGnuPGReadsOurs has the real gpg decrypt and verify what we write.
func TestGnuPGReadsOurs(t *testing.T) {
	g := newGnuPG(t)
	now := time.Now()
	curve, rsa := generated(t, "our curve key"), newGnuPG(t).rsa("rsa")
	for i, k := range []*crypto.Key{curve, rsa} {
		passphrase := []string{"", "correct horse"}[i]
		secret, err := k.ArmorSecret([]byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		_, report := g.must(secret, "--pinentry-mode", "loopback", "--passphrase", passphrase, "--import")
		if !strings.Contains(report, "IMPORT_OK 17 "+string(k.Fingerprint())) {
			t.Errorf("import:\n%s", report)
		}
		decrypt := []string{"--pinentry-mode", "loopback", "--passphrase", passphrase, "--decrypt"}
		for _, n := range []int{0, 1, 17, 100_000} {
			plain := make([]byte, n)
			_, _ = rand.Read(plain) // never fails
			got, report := g.must(sealed(t, k, plain), decrypt...)
			if !bytes.Equal(got, plain) {
				t.Errorf("%s, %d bytes: differs", k.Name(), n)
			}
			for _, want := range []string{
				"DECRYPTION_OKAY", "GOODMDC", "GOODSIG", "VALIDSIG " + string(k.Fingerprint()),
				"NOTATION_NAME repository@nightjar", "NOTATION_DATA " + theBox.Repository,
				"NOTATION_NAME kind@nightjar", "NOTATION_DATA content", "NOTATION_NAME version@nightjar", "NOTATION_DATA 0",
			} {
				if !strings.Contains(report, want) {
					t.Errorf("%s, %d bytes: no %s in\n%s", k.Name(), n, want, report)
				}
			}
		}
		signed, err := crypto.Sign(k, []byte("keys"), theBox, now)
		if err != nil {
			t.Fatal(err)
		}
		if got, report := g.must(signed, "--decrypt"); string(got) != "keys" || !strings.Contains(report, "GOODSIG") {
			t.Errorf("signed: %q\n%s", got, report)
		}
		small, err := crypto.EncryptTo([]*crypto.Key{curve, rsa}, []byte("small"), nil, now)
		if err != nil {
			t.Fatal(err)
		}
		if got, report := g.must(small, decrypt...); string(got) != "small" || !strings.Contains(report, "DECRYPTION_OKAY") {
			t.Errorf("small: %q\n%s", got, report)
		}
	}
	damaged := sealed(t, curve, []byte("plain"))
	damaged[len(damaged)-30] ^= 1
	if _, report, err := g.try(damaged, "--decrypt"); err == nil {
		t.Errorf("gpg takes a damaged object:\n%s", report)
	}
}

// TestGnuPGKeys uses keys that the real gpg made.
func TestGnuPGKeys(t *testing.T) {
	g := newGnuPG(t)
	ctx := context.Background()
	now := time.Now()
	export := func(fpr crypto.Fingerprint) *crypto.Key {
		t.Helper()
		k, err := g.ExportPublic(ctx, fpr)
		if err != nil {
			t.Fatal(err)
		}
		if k.HasSecret() || k.Fingerprint() != fpr {
			t.Errorf("exported %s, secret %t", k.Fingerprint(), k.HasSecret())
		}
		return k
	}
	use := func(t *testing.T, k *crypto.Key) {
		t.Helper()
		object := sealed(t, k, []byte("plain"))
		if got, report := g.must(object, "--pinentry-mode", "loopback", "--passphrase", "pass", "--decrypt"); string(got) != "plain" || !strings.Contains(report, "GOODSIG") {
			t.Errorf("gpg read %q\n%s", got, report)
		}
		opened, err := crypto.NewOpener(k).Open(object, []crypto.Signer{{Key: k.Public()}}, theBox, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if opened.Signer != k.Fingerprint() {
			t.Errorf("signed by %s", opened.Signer)
		}
	}

	for name, algorithm := range map[string]string{"curve": "future-default", "rsa": "rsa3072"} {
		t.Run(name, func(t *testing.T) {
			fpr := g.key(name, algorithm, "default", "never", "pass")
			if algorithm == "rsa3072" {
				g.must(nil, "--pinentry-mode", "loopback", "--passphrase", "pass", "--quick-add-key", string(fpr), algorithm, "encr", "never")
			}
			public := export(fpr)
			if err := public.CanEncrypt(now); err != nil {
				t.Error(err)
			}
			_, err := g.ExportSecret(ctx, fpr, []byte("wrong"))
			wantError(t, err, crypto.ErrPassphrase, string(fpr))
			k, err := g.ExportSecret(ctx, fpr, []byte("pass"))
			if err != nil {
				t.Fatal(err)
			}
			if k.Locked() || k.Name() != name {
				t.Errorf("locked %t, name %q", k.Locked(), k.Name())
			}
			use(t, k)

			message, err := crypto.EncryptTo([]*crypto.Key{public}, []byte("secrets"), nil, now)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := g.Decrypt(ctx, message, []byte("pass")); err != nil || string(got) != "secrets" {
				t.Errorf("gpg decrypts %q, %v", got, err)
			}
			g.forget()
			_, err = g.Decrypt(ctx, message, []byte("wrong"))
			wantError(t, err, crypto.ErrPassphrase, "decrypt with gpg")
		})
	}

	t.Run("signing subkey and offline primary", func(t *testing.T) {
		fpr := g.key("subkeys", "ed25519", "cert", "never", "")
		wantError(t, export(fpr).CanSign(now), nil, "cannot sign") // a primary that only certifies
		for _, add := range [][]string{{"ed25519", "sign"}, {"cv25519", "encr"}} {
			g.must(nil, "--pinentry-mode", "loopback", "--passphrase", "", "--quick-add-key", string(fpr), add[0], add[1], "never")
		}
		k, err := g.ExportSecret(ctx, fpr, nil)
		if err != nil {
			t.Fatal(err)
		}
		use(t, k)
		data, _ := g.must(nil, "--pinentry-mode", "loopback", "--passphrase", "", "--export-secret-subkeys", string(fpr))
		offline, err := crypto.ReadKey(data)
		if err != nil {
			t.Fatal(err)
		}
		if !offline.HasSecret() || offline.Locked() {
			t.Errorf("offline primary: secret %t, locked %t", offline.HasSecret(), offline.Locked())
		}
		use(t, offline)
		armor, err := offline.ArmorSecret([]byte("new"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := crypto.ReadKey(armor)
		if err != nil || again.Unlock([]byte("new")) != nil {
			t.Fatalf("write it and read it again: %v", err)
		}
		use(t, again)
	})

	t.Run("offline signing primary", func(t *testing.T) {
		fpr := g.key("offline", "future-default", "default", "never", "")
		data, _ := g.must(nil, "--pinentry-mode", "loopback", "--passphrase", "", "--export-secret-subkeys", string(fpr))
		k, err := crypto.ReadKey(data)
		if err != nil {
			t.Fatal(err)
		}
		_, err = crypto.NewSealer(k, k, theBox, nil, time.Now)
		wantError(t, err, nil, "secret half of its signing key is not at hand")
	})

	t.Run("sign only", func(t *testing.T) {
		k := export(g.key("signonly", "ed25519", "sign", "never", ""))
		wantError(t, k.CanEncrypt(now), nil, "cannot encrypt")
		if err := k.CanSign(now); err != nil {
			t.Error(err)
		}
	})

	t.Run("expired", func(t *testing.T) {
		k := export(g.key("expired", "future-default", "default", "20200201T000000", "", "--faked-system-time", "20200101T000000!"))
		wantError(t, k.CanEncrypt(now), nil, "expired on 2020-02-01")
		wantError(t, k.CanSign(now), nil, "expired on 2020-02-01")
		if err := k.CanEncrypt(time.Date(2020, 1, 15, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Error(err)
		}
	})

	for code, want := range map[string]string{"0": "revoked", "1": "revoked", "2": "retired on", "3": "retired on"} {
		t.Run("revoked with reason "+code, func(t *testing.T) {
			fpr := g.key("revoked"+code, "future-default", "default", "never", "")
			revocation, report, err := g.interactive("y\n"+code+"\n\ny\n", "--gen-revoke", string(fpr))
			if err != nil {
				t.Fatalf("%v\n%s", err, report)
			}
			g.must(revocation, "--import")
			k := export(fpr)
			wantError(t, k.CanEncrypt(now.Add(time.Minute)), nil, want)
			wantError(t, k.CanSign(now.Add(time.Minute)), nil, want)
			if err := k.CanSign(now.Add(-time.Hour)); (err == nil) != (want == "retired on") {
				t.Errorf("an hour ago: %v", err)
			}
		})
	}

	t.Run("other kinds", func(t *testing.T) {
		for _, algorithm := range []string{"nistp256", "rsa1024"} {
			fpr := g.key(algorithm, algorithm, "sign", "never", "")
			wantError(t, export(fpr).CanSign(now), nil, "this kind of key is not supported")
		}
	})

	t.Run("missing", func(t *testing.T) {
		none := crypto.Fingerprint(strings.Repeat("AB", 20))
		_, err := g.ExportPublic(ctx, none)
		wantError(t, err, crypto.ErrNoKey, string(none))
		_, err = g.ExportSecret(ctx, none, nil)
		wantError(t, err, nil, string(none))
		_, err = g.ExportPublic(ctx, "--version")
		wantError(t, err, nil, "not 40 hexadecimal digits")
		message, err := crypto.EncryptTo([]*crypto.Key{generated(t, "elsewhere")}, []byte("x"), nil, now)
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Decrypt(ctx, message, nil)
		wantError(t, err, crypto.ErrNoKey, "decrypt with gpg")
		wantError(t, err, ErrKeyring, "directory: "+g.Home)
		nowhere := filepath.Join(g.Home, "nowhere")
		_, err = Program{Home: nowhere, Env: g.Env}.Decrypt(ctx, message, nil)
		wantError(t, err, ErrKeyring, "open "+nowhere)
		_, err = Program{Env: append(slices.Clone(g.Env), "GNUPGHOME="+nowhere)}.Decrypt(ctx, message, nil)
		wantError(t, err, ErrKeyring, "open "+nowhere)
		_, err = Program{Path: "gpg-of-nowhere", Env: g.Env}.Decrypt(ctx, message, nil)
		wantError(t, err, ErrNoProgram, "gpg-of-nowhere")
		_, err = g.Decrypt(ctx, []byte("rubbish"), nil)
		wantError(t, err, nil, "decrypt with gpg")
		_, err = Program{Path: filepath.Join(g.Home, "none")}.ExportPublic(ctx, none)
		wantError(t, err, os.ErrNotExist, "")
		public := export(g.key("onlypublic", "future-default", "default", "never", ""))
		g.must(nil, "--delete-secret-keys", string(public.Fingerprint()))
		_, err = g.ExportSecret(ctx, public.Fingerprint(), nil)
		wantError(t, err, crypto.ErrNoKey, "")
	})
}

// An agent that does not start, as where GNUPGHOME is too long for its socket, is no missing key.
func TestGnuPGNoAgent(t *testing.T) {
	g := newGnuPG(t)
	k := g.key("noagent", "future-default", "default", "never", "")
	message, _ := g.must([]byte("text"), "--encrypt", "--trust-model", "always", "-r", string(k))
	kill := exec.Command("gpgconf", "--kill", "all")
	kill.Env = g.Env
	if out, err := kill.CombinedOutput(); err != nil {
		t.Fatalf("end agent: %v: %s", err, out)
	}
	agent, script := filepath.Join(g.Home, "gpg-agent"), filepath.Join(g.Home, "script")
	for name, text := range map[string]string{agent: "exit 2", script: "exec gpg --agent-program " + agent + ` "$@"`} {
		if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Program{Path: script, Home: g.Home, Env: g.Env}.Decrypt(context.Background(), message, nil)
	wantError(t, err, ErrAgent, "agent")
	if _, err := g.Decrypt(context.Background(), message, nil); err != nil {
		t.Errorf("with its agent: %v", err)
	}
}

func TestGnuPGContext(t *testing.T) {
	g := newGnuPG(t)
	script := filepath.Join(g.Home, "slow")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := Program{Path: script, Env: g.Env}.Decrypt(ctx, nil, []byte("pass"))
	wantError(t, err, context.DeadlineExceeded, "")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec yes\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Program{Path: script, Env: g.Env}.ExportPublic(context.Background(), crypto.Fingerprint(fmt.Sprintf("%040d", 0)))
	wantError(t, err, nil, string(script))
}

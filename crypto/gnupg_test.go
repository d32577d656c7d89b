package crypto

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGnuPGReadsOurs has the real gpg decrypt and verify what we write.
func TestGnuPGReadsOurs(t *testing.T) {
	g := newGnuPG(t)
	curve, rsa := generated(t, "our curve key"), rsaKey()
	for i, k := range []*Key{curve, rsa} {
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
			plain := random(t, n)
			got, report := g.must(sealed(t, k, k, plain).Object, decrypt...)
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
		signed, err := Sign(k, []byte("keys"), theBox, noon)
		if err != nil {
			t.Fatal(err)
		}
		if got, report := g.must(signed, "--decrypt"); string(got) != "keys" || !strings.Contains(report, "GOODSIG") {
			t.Errorf("signed: %q\n%s", got, report)
		}
		small, err := EncryptTo([]*Key{curve, rsa}, []byte("small"), nil, noon)
		if err != nil {
			t.Fatal(err)
		}
		if got, report := g.must(small, decrypt...); string(got) != "small" || !strings.Contains(report, "DECRYPTION_OKAY") {
			t.Errorf("small: %q\n%s", got, report)
		}
	}
	damaged := sealed(t, curve, curve, []byte("plain")).Object
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
	export := func(fpr Fingerprint) *Key {
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
	use := func(t *testing.T, k *Key) {
		t.Helper()
		s, err := NewSealer(k, k, theBox, nil, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Seal([]byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		if got, report := g.must(o.Object, "--pinentry-mode", "loopback", "--passphrase", "pass", "--decrypt"); string(got) != "plain" || !strings.Contains(report, "GOODSIG") {
			t.Errorf("gpg read %q\n%s", got, report)
		}
		opened, err := NewOpener(k).Open(o.Object, by(k), theBox, time.Now())
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
			wantError(t, err, ErrPassphrase, string(fpr))
			k, err := g.ExportSecret(ctx, fpr, []byte("pass"))
			if err != nil {
				t.Fatal(err)
			}
			if k.Locked() || k.Name() != name {
				t.Errorf("locked %t, name %q", k.Locked(), k.Name())
			}
			use(t, k)

			message, err := EncryptTo([]*Key{public}, []byte("secrets"), nil, now)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := g.Decrypt(ctx, message, []byte("pass")); err != nil || string(got) != "secrets" {
				t.Errorf("gpg decrypts %q, %v", got, err)
			}
			g.forget()
			_, err = g.Decrypt(ctx, message, []byte("wrong"))
			wantError(t, err, ErrPassphrase, "decrypt with gpg")
		})
	}

	t.Run("signing subkey and offline primary", func(t *testing.T) {
		fpr := g.key("subkeys", "ed25519", "cert", "never", "")
		for _, add := range [][]string{{"ed25519", "sign"}, {"cv25519", "encr"}} {
			g.must(nil, "--pinentry-mode", "loopback", "--passphrase", "", "--quick-add-key", string(fpr), add[0], add[1], "never")
		}
		k, err := g.ExportSecret(ctx, fpr, nil)
		if err != nil {
			t.Fatal(err)
		}
		if k.primary.sign {
			t.Error("a primary that only certifies may sign")
		}
		use(t, k)
		data, _ := g.must(nil, "--pinentry-mode", "loopback", "--passphrase", "", "--export-secret-subkeys", string(fpr))
		offline, err := ReadKey(data)
		if err != nil {
			t.Fatal(err)
		}
		if !offline.HasSecret() || offline.Locked() || offline.primary.hasSecret() {
			t.Errorf("offline primary: secret %t, locked %t", offline.HasSecret(), offline.Locked())
		}
		use(t, offline)
		armor, err := offline.armorSecret([]byte("new"), 65536)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadKey(armor)
		if err != nil || again.Unlock([]byte("new")) != nil {
			t.Fatalf("write it and read it again: %v", err)
		}
		use(t, again)
	})

	t.Run("offline signing primary", func(t *testing.T) {
		fpr := g.key("offline", "future-default", "default", "never", "")
		data, _ := g.must(nil, "--pinentry-mode", "loopback", "--passphrase", "", "--export-secret-subkeys", string(fpr))
		k, err := ReadKey(data)
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewSealer(k, k, theBox, nil, time.Now)
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
		none := Fingerprint(strings.Repeat("AB", 20))
		_, err := g.ExportPublic(ctx, none)
		wantError(t, err, ErrNoKey, string(none))
		_, err = g.ExportSecret(ctx, none, nil)
		wantError(t, err, nil, string(none))
		_, err = g.ExportPublic(ctx, "--version")
		wantError(t, err, nil, "not 40 hexadecimal digits")
		message, err := EncryptTo([]*Key{generated(t, "elsewhere")}, []byte("x"), nil, now)
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Decrypt(ctx, message, nil)
		wantError(t, err, ErrNoKey, "decrypt with gpg")
		wantError(t, err, ErrKeyring, "directory: "+g.Home)
		nowhere := filepath.Join(g.Home, "nowhere")
		_, err = GnuPG{Home: nowhere, Env: g.Env}.Decrypt(ctx, message, nil)
		wantError(t, err, ErrKeyring, "open "+nowhere)
		_, err = GnuPG{Env: append(slices.Clone(g.Env), "GNUPGHOME="+nowhere)}.Decrypt(ctx, message, nil)
		wantError(t, err, ErrKeyring, "open "+nowhere)
		_, err = GnuPG{Path: "gpg-of-nowhere", Env: g.Env}.Decrypt(ctx, message, nil)
		wantError(t, err, ErrNoGnuPG, "gpg-of-nowhere")
		_, err = g.Decrypt(ctx, []byte("rubbish"), nil)
		wantError(t, err, nil, "decrypt with gpg")
		_, err = GnuPG{Path: filepath.Join(g.Home, "none")}.ExportPublic(ctx, none)
		wantError(t, err, os.ErrNotExist, "")
		public := export(g.key("onlypublic", "future-default", "default", "never", ""))
		g.must(nil, "--delete-secret-keys", string(public.Fingerprint()))
		_, err = g.ExportSecret(ctx, public.Fingerprint(), nil)
		wantError(t, err, ErrNoKey, "")
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
	_, err := GnuPG{Path: script, Home: g.Home, Env: g.Env}.Decrypt(context.Background(), message, nil)
	wantError(t, err, ErrAgent, "agent")
	if _, err := g.Decrypt(context.Background(), message, nil); err != nil {
		t.Errorf("with its agent: %v", err)
	}
}

// forget has the agent forget its passphrases.
func (g gnupg) forget() {
	g.t.Helper()
	if out, err := g.connect("reloadagent", "/bye"); err != nil {
		g.t.Fatalf("reload agent: %v: %s", err, out)
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
	_, err := GnuPG{Path: script, Env: g.Env}.Decrypt(ctx, nil, []byte("pass"))
	wantError(t, err, context.DeadlineExceeded, "")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec yes\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = GnuPG{Path: script, Env: g.Env}.ExportPublic(context.Background(), Fingerprint(fmt.Sprintf("%040d", 0)))
	wantError(t, err, nil, string(script))
}

// A passphrase that gpg takes for another one never protects a key; of the longest, gpg opens it.
func TestUnfitPassphrase(t *testing.T) {
	k, err := Generate("unfit", time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]string{"two lines": "a\nb", "a line's end": "a\n", "a return": "a\r", "zero": "a\x00b", "long": strings.Repeat("x", 256)} {
		if _, err := k.ArmorSecret([]byte(p)); !errors.Is(err, ErrUnfit) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, p := range map[string]string{"none": "", "a space at its end": "a ", "the longest": strings.Repeat("x", 255)} {
		if err := fit([]byte(p)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

package keyring

import (
	"bytes"
	"strings"
	"testing"

	"nightjar/crypto"
)

func kitPage(t testing.TB, p *place, secret []byte) []byte {
	t.Helper()
	k, err := p.keys.Kit(t.Context(), p.memory, "/srv/backup", secret, false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKit(t *testing.T) {
	p := newPlace(t)
	secret, err := recoveryKey().ArmorSecret(nil)
	if err != nil {
		t.Fatal(err)
	}
	text := kitPage(t, p, secret)
	for name, text := range map[string][]byte{
		"as written":      text,
		"without secret":  kitPage(t, p, nil),
		"lines of DOS":    bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
		"no last newline": bytes.TrimSpace(text),
	} {
		t.Run(name, func(t *testing.T) {
			id, root, ok := KitRoot(text)
			if !ok || id != p.keys.ID() || root != p.keys.Pin().Root {
				t.Errorf("%q, %q, %t", id, root, ok)
			}
			if url := KitURL(text); url != "/srv/backup" {
				t.Errorf("it is reached at %q", url)
			}
			for _, object := range []string{"config", "keys/000001"} {
				got, err := KitObject(text, object)
				if err != nil || !bytes.Equal(got, p.get(object)) {
					t.Errorf("%s: %d bytes, %v", object, len(got), err)
				}
			}
			for _, object := range []string{"keys/000002", "", "keys", "PGP PUBLIC KEY BLOCK"} {
				if got, err := KitObject(text, object); err == nil {
					t.Errorf("%q is %d bytes", object, len(got))
				}
			}
			if !strings.Contains(string(text), "nightjar mysql restore") {
				t.Error("it does not say how a database comes back")
			}
			if !strings.Contains(string(text), "/srv/backup") || strings.Contains(string(text), "{{") {
				t.Error("text is not filled in")
			}
		})
	}
	if got := KitSecret(text); !bytes.Equal(got, bytes.TrimSpace(secret)) {
		t.Errorf("its key is %d bytes", len(got))
	}
	if got := KitSecret(kitPage(t, p, nil)); got != nil {
		t.Errorf("a kit without a key holds one of %d bytes", len(got))
	}
	// The kit alone opens the repository's secrets, when its own keys are lost.
	keys, err := crypto.ReadKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	object, err := KitObject(text, "keys/000001")
	if err != nil {
		t.Fatal(err)
	}
	k, err := Read(object, noPin)
	if err != nil {
		t.Fatal(err)
	}
	if secrets, err := k.OpenSecrets(t.Context(), Held(keys...)); err != nil || len(secrets) != 3 {
		t.Errorf("%d secrets, %v", len(secrets), err)
	}
	p.delete("config")
	_, err = p.keys.Kit(t.Context(), p.memory, "", nil, false)
	wantError(t, err, nil, "config")
}

func TestHostileKits(t *testing.T) {
	good := strings.Repeat("A", 40)
	for text, want := range map[string]bool{
		"": false, "repository id: x\n": false, "root fingerprint: " + good: false, "repository id:\nroot fingerprint: " + good: false,
		"repository id: x\nroot fingerprint: y": false, "repository id: " + repoA + "\nroot fingerprint: " + good: true, "\tROOT": false,
	} {
		if _, _, ok := KitRoot([]byte(text)); ok != want {
			t.Errorf("%q: %t", text, ok)
		}
	}
	for _, text := range []string{
		"", "-----BEGIN config-----", "-----BEGIN config-----\n", "-----BEGIN config-----\nAA", "-----BEGIN config-----\n-----END config-----", "-----BEGIN config-----\n!!!!\n-----END config-----",
		"-----END config-----\n-----BEGIN config-----\n", "-----BEGIN config-----\nAAAA\n-----END keys/000001-----",
	} {
		_, err := KitObject([]byte(text), "config")
		wantError(t, err, nil, "recovery kit")
	}
}

func FuzzKit(f *testing.F) {
	p := newPlace(f)
	f.Add(kitPage(f, p, nil), "config")
	f.Add([]byte("repository id: x\nroot fingerprint: y\n-----BEGIN x-----\nAA==\n-----END x-----"), "x")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		id, root, ok := KitRoot(text)
		if _, err := crypto.ParseFingerprint(string(root)); ok && (err != nil || id == "") {
			t.Errorf("%q, %q", id, root)
		}
		if s := KitSecret(text); len(s) > len(text) {
			t.Errorf("a key of %d bytes", len(s))
		}
		if b, err := KitObject(text, name); (err == nil) != (len(b) > 0) || len(b) > len(text) {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	})
}

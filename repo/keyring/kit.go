package keyring

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"nightjar/crypto"
	"nightjar/repo/store"
)

const (
	configName = "config"
	configMax  = 1 << 20
)

//go:embed kit.txt
var kitText string

// A Kit is what the operator keeps off the host: the page from which a repository is opened when the host is gone.
type Kit struct {
	URL        string
	Repository string
	Root       crypto.Fingerprint
	Recovery   []crypto.Fingerprint
	Secret     string // a generated recovery key, armored; empty if the operator has the keys elsewhere
	Protected  bool   // the secret has a passphrase
	RootKey    string // the root's certificate, armored
	Config64   string
	Keys64     string
	KeysName   string
}

// Kit makes the recovery kit. secret is the armored recovery key, or nil if the operator has it already.
func (k *Keyring) Kit(ctx context.Context, s store.Store, url string, secret []byte, protected bool) (*Kit, error) {
	config, err := store.ReadAll(ctx, s, configName, configMax)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	root, err := k.Root().ArmorPublic()
	if err != nil {
		return nil, fmt.Errorf("write recovery kit: %w", err)
	}
	return &Kit{
		URL: url, Repository: k.ID(), Root: k.Root().Fingerprint(), Recovery: k.Recovery(),
		Secret: strings.TrimSpace(string(secret)), Protected: protected,
		RootKey: strings.TrimSpace(string(root)), Config64: wrap64(config), Keys64: wrap64(k.object), KeysName: Name(k.contents.Number),
	}, nil
}

// Text returns the page.
func (k *Kit) Text() ([]byte, error) {
	t, err := template.New("kit").Parse(kitText)
	if err != nil {
		return nil, fmt.Errorf("write recovery kit: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, k); err != nil {
		return nil, fmt.Errorf("write recovery kit: %w", err)
	}
	return b.Bytes(), nil
}

// KitRoot returns the repository's id and root fingerprint that a recovery kit names. ok is false if text is none.
func KitRoot(text []byte) (repository string, root crypto.Fingerprint, ok bool) {
	root, err := crypto.ParseFingerprint(kitLine(text, "root fingerprint"))
	repository = kitLine(text, "repository id")
	if err != nil || repository == "" {
		return "", "", false
	}
	return repository, root, true
}

// KitURL returns how a recovery kit says that the repository is reached, "" if it does not.
func KitURL(text []byte) string { return kitLine(text, "repository") }

// kitLine returns the value of the last line "name: value", "" if there is none.
func kitLine(text []byte, name string) (value string) {
	for line := range strings.Lines(string(text)) {
		if n, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && n == name {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

// KitSecret returns the recovery key that a recovery kit holds, armored as it stands there; nil if it holds none.
func KitSecret(text []byte) []byte {
	const begin, end = "-----BEGIN PGP PRIVATE KEY BLOCK-----", "-----END PGP PRIVATE KEY BLOCK-----"
	_, rest, ok := bytes.Cut(text, []byte(begin))
	body, _, ended := bytes.Cut(rest, []byte(end))
	if !ok || !ended {
		return nil
	}
	return slices.Concat([]byte(begin), body, []byte(end))
}

// KitObject returns an object that a recovery kit holds: "config" or "keys/NNNNNN".
func KitObject(text []byte, name string) ([]byte, error) {
	begin, end := "-----BEGIN "+name+"-----\n", "-----END "+name+"-----"
	// The page may have been through a mail or an editor that ends lines otherwise.
	_, rest, ok := strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), begin)
	body, _, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return nil, fmt.Errorf("read recovery kit: no %s in it", name)
	}
	object, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil {
		return nil, fmt.Errorf("read recovery kit: %s: %w", name, err)
	}
	if len(object) == 0 {
		return nil, errors.New("read recovery kit: empty object")
	}
	return object, nil
}

func wrap64(b []byte) string {
	s := base64.StdEncoding.EncodeToString(b)
	var lines []string
	for len(s) > 76 {
		lines = append(lines, s[:76])
		s = s[76:]
	}
	return strings.Join(append(lines, s), "\n")
}

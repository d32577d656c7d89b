// Package userkeys finds the keys that a command line names. A KEY is the fingerprint of one in the user's GnuPG keyring, smartcards among it, or else a file.
package userkeys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/passphrase"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/crypto"
	"nightjar/crypto/gnupg"
	"nightjar/internal/child"
	"nightjar/repo/keyring"
)

// maxSize is the size in bytes of the largest file that is looked at for keys.
const maxSize = 32 << 20

// ErrGnuPG is in every error in gpg's own words.
var ErrGnuPG = errors.New("gpg did not give the key or open the message")

var (
	// ErrNone says that a KEY names nothing that is there.
	ErrNone = errors.New("there is no such key")
	// ErrFile says that a KEY names a file that is of no use as one.
	ErrFile = errors.New("the file does not hold one key")
)

// A Finder finds keys, and unlocks them.
type Finder struct {
	Passphrases *passphrase.Source
	Environ     func() ([]string, error) // the environment of gpg
}

// gpg opens messages with the user's GnuPG, and so with its smartcard.
type gpg struct {
	gnupg.Program
	passphrase []byte // nil: the agent asks
}

func (g gpg) Decrypt(ctx context.Context, armored []byte) ([]byte, error) {
	plain, err := g.Program.Decrypt(ctx, armored, g.passphrase)
	return plain, gnupgError(ctx, err)
}

// gnupgError makes of an error in gpg's own words one that is ErrGnuPG.
func gnupgError(ctx context.Context, err error) error {
	if ctx.Err() != nil || !errors.Is(err, child.ErrFailed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrGnuPG, err)
}

// gnupg returns the user's GnuPG.
func (f *Finder) gnupg() (gnupg.Program, error) {
	env, err := f.Environ()
	return gnupg.Program{Env: env}, err
}

// Read returns the content of the file that a KEY names. ok is false if KEY is a fingerprint.
func Read(key string) (content []byte, fingerprint crypto.Fingerprint, ok bool, err error) {
	if named, err := crypto.ParseFingerprint(key); err == nil {
		return nil, named, false, nil
	}
	content, err = ReadFile(key)
	if errors.Is(err, fs.ErrNotExist) {
		err = usage.Hinted{
			Err:  fmt.Errorf("read key %s: %w: it is neither a file nor a fingerprint of 40 digits", key, ErrNone),
			Hint: "gpg --fingerprint NAME prints the fingerprint of a key in your GnuPG keyring",
		}
	} else if err != nil {
		err = fmt.Errorf("read key: %w", err)
	}
	return content, "", true, err
}

// ReadFile reads a file that may hold keys.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(b) > maxSize {
		err = fmt.Errorf("%s: too large for a key", path)
	}
	return b, err
}

// Certificate returns the public half of what a KEY names: a file, or a fingerprint in the user's GnuPG keyring.
func (f *Finder) Certificate(ctx context.Context, key string) (*crypto.Key, error) {
	content, fingerprint, isFile, err := Read(key)
	if err != nil {
		return nil, err
	}
	if isFile {
		k, err := crypto.ReadKey(content)
		if err != nil {
			return nil, notOneKey(key, err)
		}
		return k.Public(), nil
	}
	g, err := f.gnupg()
	if err != nil {
		return nil, err
	}
	k, err := g.ExportPublic(ctx, fingerprint)
	return k, gnupgError(ctx, err)
}

// notOneKey is the error of a file that is there, and not the one key that is wanted.
func notOneKey(name string, err error) error {
	var key *crypto.KeyError
	if errors.As(err, &key) { // it says more
		return fmt.Errorf("%s: %w", name, err)
	}
	return usage.Hinted{
		Err:  fmt.Errorf("read key %s: %w: %w", name, ErrFile, err),
		Hint: "gpg --armor --export FINGERPRINT prints one key, for a file to name; --export-secret-keys the secret one. Or name the fingerprint, and gpg is asked",
	}
}

// ReadCertificate reads the public half of the one key that r holds.
func ReadCertificate(r io.Reader) (*crypto.Key, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxSize))
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	k, err := crypto.ReadKey(content)
	if err != nil {
		return nil, err
	}
	return k.Public(), nil
}

// Signing returns what a --sign-key names, unlocked.
func (f *Finder) Signing(ctx context.Context, key string) (*crypto.Key, error) {
	content, fingerprint, isFile, err := Read(key)
	if err != nil {
		return nil, err
	}
	var k *crypto.Key
	if isFile {
		if k, err = crypto.ReadKey(content); err != nil {
			return nil, notOneKey(key, err)
		}
	} else {
		secret, err := f.Passphrases.Configured(ctx, passphrase.Host)
		if err != nil {
			return nil, err
		}
		g, err := f.gnupg()
		if err != nil {
			return nil, err
		}
		if k, err = g.ExportSecret(ctx, fingerprint, secret); err != nil {
			return nil, gnupgError(ctx, err)
		}
	}
	if !k.HasSecret() {
		if err := k.CanSign(time.Time{}); err != nil { // of a kind of which no secret half is read
			return nil, fmt.Errorf("use key to sign: %w", err)
		}
		return nil, usage.Hinted{
			Err:  fmt.Errorf("use key %s to sign: its secret half is not there: %w", k.Fingerprint(), crypto.ErrNoKey),
			Hint: fmt.Sprintf("gpg --export-secret-keys %s prints it, for a file to name; or name the fingerprint, and gpg is asked", k.Fingerprint()),
		}
	}
	return k, f.Unlock(ctx, k, passphrase.Host)
}

// Unlock takes the passphrase off a key, if it has one.
func (f *Finder) Unlock(ctx context.Context, k *crypto.Key, r passphrase.Role) error {
	if !k.Locked() {
		return nil
	}
	what := "recovery key"
	if r == passphrase.Host {
		what = "host key"
	}
	secret, err := f.Passphrases.Get(ctx, r, fmt.Sprintf("Passphrase of %s %s", what, k.Fingerprint()))
	if err != nil {
		return fmt.Errorf("unlock %s %s: %w", what, k.Fingerprint(), err)
	}
	return k.Unlock(secret)
}

// Recovery returns what opens the secrets of a repository with these recovery keys: what a KEY names, or else a secret in the recovery kit that is this file;
// nil if neither is given.
func (f *Finder) Recovery(ctx context.Context, name, kit string, known []crypto.Fingerprint) (keyring.Decrypter, error) {
	if name == "" && kit != "" {
		content, err := ReadFile(kit)
		if err != nil {
			return nil, fmt.Errorf("read recovery kit: %w", err)
		}
		all, err := crypto.ReadKeys(content)
		if err != nil || !slices.ContainsFunc(all, (*crypto.Key).HasSecret) {
			return nil, nil // its owner has the key elsewhere
		}
		name = kit
	}
	if name == "" {
		return nil, nil
	}
	content, fingerprint, isFile, err := Read(name)
	if err != nil {
		return nil, err
	}
	if !isFile {
		if !slices.Contains(known, fingerprint) {
			return nil, notRecovery(name, known)
		}
		g, err := f.gnupg()
		if err != nil {
			return nil, err
		}
		secret, err := f.Passphrases.Configured(ctx, passphrase.Recovery)
		return gpg{Program: g, passphrase: secret}, err
	}
	all, err := crypto.ReadKeys(content)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w: %w", name, err, crypto.ErrNoKey)
	}
	usable := slices.DeleteFunc(all, func(k *crypto.Key) bool { return !k.HasSecret() || !slices.Contains(known, k.Fingerprint()) })
	if len(usable) == 0 {
		return nil, notRecovery(name, known)
	}
	for _, k := range usable {
		if err := f.Unlock(ctx, k, passphrase.Recovery); err != nil {
			return nil, err
		}
	}
	return keyring.Held(usable...), nil
}

func notRecovery(name string, known []crypto.Fingerprint) error {
	return usage.Hinted{
		Err:  fmt.Errorf("use key %s: it holds no secret recovery key of this repository: %w", name, crypto.ErrNoKey),
		Hint: NameRecovery(known),
	}
}

// NameRecovery is the advice to name one of these recovery keys.
func NameRecovery(known []crypto.Fingerprint) string {
	var names []string
	for _, f := range known {
		names = append(names, string(f))
	}
	return "name a recovery key with --key: its file, the recovery kit, or its fingerprint in your GnuPG keyring. This repository's: " +
		strings.Join(names, ", ")
}

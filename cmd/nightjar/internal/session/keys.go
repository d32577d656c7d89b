package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/crypto"
	"nightjar/repo/keyring"
)

// keyFileMax is the size in bytes of the largest file that is looked at for keys.
const keyFileMax = 32 << 20

// gpg opens messages with the user's GnuPG, and so with its smartcard.
type gpg struct {
	crypto.GnuPG
	passphrase []byte // nil: the agent asks
}

func (g gpg) Decrypt(ctx context.Context, armored []byte) ([]byte, error) {
	plain, err := g.GnuPG.Decrypt(ctx, armored, g.passphrase)
	return plain, gnupgError(ctx, err)
}

// gnupgError makes of an error in gpg's own words one that is ErrGnuPG.
func gnupgError(ctx context.Context, err error) error {
	var exit *exec.ExitError
	if ctx.Err() != nil || !errors.As(err, &exit) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrGnuPG, err)
}

// gnupg returns the user's GnuPG.
func (set *Settings) gnupg() (crypto.GnuPG, error) {
	env, err := set.Environ()
	return crypto.GnuPG{Env: env}, err
}

// readKeyFile returns the content of the file that a KEY names. ok is false if KEY is a fingerprint.
func readKeyFile(key string) (content []byte, fingerprint crypto.Fingerprint, ok bool, err error) {
	if f, err := crypto.ParseFingerprint(key); err == nil {
		return nil, f, false, nil
	}
	content, err = readSmallFile(key)
	if errors.Is(err, fs.ErrNotExist) {
		err = usage.Hinted{
			Err:  fmt.Errorf("read key %s: neither a file nor a fingerprint of 40 digits: %w", key, crypto.ErrNoKey),
			Hint: "gpg --fingerprint NAME prints the fingerprint of a key in your GnuPG keyring",
		}
	} else if err != nil {
		err = fmt.Errorf("read key: %w", err)
	}
	return content, "", true, err
}

func readSmallFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, keyFileMax+1))
	if err == nil && len(b) > keyFileMax {
		err = fmt.Errorf("%s: too large for a key", path)
	}
	return b, err
}

// Certificate returns the public half of what a KEY names: a file, or a fingerprint in the user's GnuPG keyring.
func (set *Settings) Certificate(ctx context.Context, key string) (*crypto.Key, error) {
	content, fingerprint, isFile, err := readKeyFile(key)
	if err != nil {
		return nil, err
	}
	if isFile {
		k, err := crypto.ReadKey(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		return k.Public(), nil
	}
	g, err := set.gnupg()
	if err != nil {
		return nil, err
	}
	k, err := g.ExportPublic(ctx, fingerprint)
	return k, gnupgError(ctx, err)
}

// ReadCertificate reads the public half of the one key that r holds.
func ReadCertificate(r io.Reader) (*crypto.Key, error) {
	content, err := io.ReadAll(io.LimitReader(r, keyFileMax))
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	k, err := crypto.ReadKey(content)
	if err != nil {
		return nil, err
	}
	return k.Public(), nil
}

// signingKey returns what a --sign-key names, unlocked.
func (set *Settings) signingKey(ctx context.Context, key string) (*crypto.Key, error) {
	content, fingerprint, isFile, err := readKeyFile(key)
	if err != nil {
		return nil, err
	}
	var k *crypto.Key
	if isFile {
		if k, err = crypto.ReadKey(content); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	} else {
		passphrase, err := set.configuredPassphrase(ctx, hostRole)
		if err != nil {
			return nil, err
		}
		g, err := set.gnupg()
		if err != nil {
			return nil, err
		}
		if k, err = g.ExportSecret(ctx, fingerprint, passphrase); err != nil {
			return nil, gnupgError(ctx, err)
		}
	}
	if !k.HasSecret() {
		return nil, fmt.Errorf("use key %s to sign: its secret half is not there: %w", k.Fingerprint(), crypto.ErrNoKey)
	}
	return k, set.unlock(ctx, k, hostRole)
}

// unlock takes the passphrase off a key, if it has one.
func (set *Settings) unlock(ctx context.Context, k *crypto.Key, r role) error {
	if !k.Locked() {
		return nil
	}
	what := "recovery key"
	if r == hostRole {
		what = "host key"
	}
	passphrase, err := set.passphrase(ctx, r, fmt.Sprintf("Passphrase of %s %s", what, k.Fingerprint()))
	if err != nil {
		return fmt.Errorf("unlock %s %s: %w", what, k.Fingerprint(), err)
	}
	return k.Unlock(passphrase)
}

// recoveryKey returns what opens the repository's secrets: what --key names, or else a secret in the --kit; nil if neither is given.
func (set *Settings) recoveryKey(ctx context.Context, keys *keyring.Keyring) (keyring.Decrypter, error) {
	known := keys.Recovery()
	name := set.Key
	if name == "" && set.Kit != "" {
		content, err := readSmallFile(set.Kit)
		if err != nil {
			return nil, fmt.Errorf("read recovery kit: %w", err)
		}
		all, err := crypto.ReadKeys(content)
		if err != nil || !slices.ContainsFunc(all, (*crypto.Key).HasSecret) {
			return nil, nil // its owner has the key elsewhere
		}
		name = set.Kit
	}
	if name == "" {
		return nil, nil
	}
	content, fingerprint, isFile, err := readKeyFile(name)
	if err != nil {
		return nil, err
	}
	if !isFile {
		if !slices.Contains(known, fingerprint) {
			return nil, notRecovery(name, known)
		}
		g, err := set.gnupg()
		if err != nil {
			return nil, err
		}
		passphrase, err := set.configuredPassphrase(ctx, recoveryRole)
		return gpg{GnuPG: g, passphrase: passphrase}, err
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
		if err := set.unlock(ctx, k, recoveryRole); err != nil {
			return nil, err
		}
	}
	return keyring.Held(usable...), nil
}

func notRecovery(name string, known []crypto.Fingerprint) error {
	return usage.Hinted{
		Err:  fmt.Errorf("use key %s: it holds no secret recovery key of this repository: %w", name, crypto.ErrNoKey),
		Hint: needsRecovery(known),
	}
}

func needsRecovery(known []crypto.Fingerprint) string {
	var names []string
	for _, f := range known {
		names = append(names, string(f))
	}
	return "name a recovery key with --key: its file, the recovery kit, or its fingerprint in your GnuPG keyring. This repository's: " +
		strings.Join(names, ", ")
}

package keyring

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"nightjar/crypto"
	"nightjar/internal/versioned"
)

const graceAtFirst = 7 * 24 * time.Hour

// Owners say whose repository it becomes.
type Owners struct {
	HostName string        // of the first host, which gets both roles
	Host     *crypto.Key   // its key, with the secret half, unlocked
	Recovery []*crypto.Key // at least one; certificates suffice
}

// New makes the keyring of a new repository. It stores nothing. root and metadata are new keys with their secret halves, for the rest of the repository to
// be signed and sealed with.
func New(o Owners, random io.Reader, now time.Time) (k *Keyring, root, metadata *crypto.Key, err error) {
	if err := o.check(now); err != nil {
		return nil, nil, nil, err
	}
	id := make([]byte, 16)
	if _, err := io.ReadFull(random, id); err != nil {
		return nil, nil, nil, fmt.Errorf("choose repository id: %w", err)
	}
	repository := hex.EncodeToString(id)
	var secrets [3]*crypto.Key
	for i, name := range []string{"root", "content", "metadata"} {
		if secrets[i], err = crypto.Generate(fmt.Sprintf("nightjar %s %s", name, repository[:8]), now, random); err != nil {
			return nil, nil, nil, fmt.Errorf("make %s key: %w", name, err)
		}
	}
	r := recordJSON{Version: versioned.Version, Number: 1, Repository: repository, Features: []string{}, Grace: int64(graceAtFirst / time.Second)}
	if err := r.fill(o, secrets[0], secrets[1], secrets[2], random, now); err != nil {
		return nil, nil, nil, err
	}
	object, err := r.sign(secrets[0], now)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("sign keys: %w", err)
	}
	k, err = Read(object, func(string) (Pin, error) { return Pin{Root: secrets[0].Fingerprint()}, nil })
	return k, secrets[0], secrets[2], err
}

func (o Owners) check(now time.Time) error {
	if o.HostName == "" {
		return errors.New("the host has no name")
	}
	if len(o.Recovery) == 0 || len(o.Recovery) > recoveryMax {
		return fmt.Errorf("%d recovery keys", len(o.Recovery))
	}
	if err := o.Host.CanSign(now); err != nil {
		return fmt.Errorf("use host key: %w", err)
	}
	if err := o.Host.CanEncrypt(now); err != nil {
		return fmt.Errorf("use host key: %w", err)
	}
	if !o.Host.HasSecret() || o.Host.Locked() {
		return fmt.Errorf("use host key %s: its secret half is missing or locked: %w", o.Host.Fingerprint(), crypto.ErrNoKey)
	}
	if err := o.Host.Signs(now); err != nil {
		return fmt.Errorf("use host key: %w", err)
	}
	for _, k := range o.Recovery {
		if err := k.CanEncrypt(now); err != nil {
			return fmt.Errorf("use recovery key: %w", err)
		}
	}
	return nil
}

func (r *recordJSON) fill(o Owners, root, content, metadata *crypto.Key, random io.Reader, now time.Time) error {
	host, err := armor(o.Host)
	if err != nil {
		return err
	}
	r.Hosts = []hostJSON{{Name: o.HostName, Roles: []Role{Backup, Prune}, Certificates: []certificateJSON{{Certificate: host}}}}
	if r.Root, err = armor(root); err != nil {
		return err
	}
	r.Content, r.Metadata = make([]sealJSON, 1), make([]sealJSON, 1)
	if r.Content[0].Certificate, err = armor(content); err != nil {
		return err
	}
	if r.Metadata[0].Certificate, err = armor(metadata); err != nil {
		return err
	}
	for _, key := range o.Recovery {
		recovery, err := armor(key)
		if err != nil {
			return err
		}
		r.Recovery = append(r.Recovery, recovery)
	}
	if r.Secrets, err = sealSecrets(o.Recovery, random, now, root, content, metadata); err != nil {
		return err
	}
	if r.MetadataSecret, err = sealSecrets(append([]*crypto.Key{o.Host}, o.Recovery...), random, now, metadata); err != nil {
		return err
	}
	// A host whose decryption key is on a smartcard or offline would find out at night.
	if _, err := crypto.NewOpener(o.Host).Decrypt([]byte(r.MetadataSecret)); err != nil {
		return fmt.Errorf("use host key %s: %w", o.Host.Fingerprint(), err)
	}
	return nil
}

// armor returns a key's certificate as it stands in a record.
func armor(key *crypto.Key) (string, error) {
	b, err := key.Public().ArmorPublic()
	if err != nil {
		return "", fmt.Errorf("export certificate %s: %w", key.Fingerprint(), err)
	}
	return string(b), nil
}

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
	d := &Draft{now: now, random: random} // at no time: what is there from the beginning counts from ever
	d.contents = contents{Version: versioned.Version, Repository: hex.EncodeToString(id), Features: []string{}, Grace: int64(graceAtFirst / time.Second)}
	if root, err = d.generate("root"); err != nil {
		return nil, nil, nil, err
	}
	d.contents.Root = certificate{root.Public()}
	if err := d.RotateContent(); err != nil {
		return nil, nil, nil, err
	}
	if err := d.RotateMetadata(); err != nil {
		return nil, nil, nil, err
	}
	for _, key := range o.Recovery {
		if err := d.AddRecovery(key); err != nil && !errors.Is(err, ErrUnchanged) { // who is named twice is one
			return nil, nil, nil, err
		}
	}
	if err := d.AddHost(o.HostName, o.Host, Backup, Prune); err != nil {
		return nil, nil, nil, err
	}
	if k, err = d.finish(1); err != nil {
		return nil, nil, nil, err
	}
	// A host whose decryption key is on a smartcard or offline would find out at night.
	if _, err := crypto.NewOpener(o.Host).Decrypt([]byte(k.contents.MetadataSecret)); err != nil {
		return nil, nil, nil, fmt.Errorf("use host key %s: %w", o.Host.Fingerprint(), err)
	}
	metadata, err = d.secret(k.contents.Metadata[0].Key.Fingerprint())
	return k, root, metadata, err
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
	if !o.Host.HasSecret() || o.Host.Locked() {
		return fmt.Errorf("use host key %s: its secret half is missing or locked: %w", o.Host.Fingerprint(), crypto.ErrNoKey)
	}
	if err := o.Host.Signs(now); err != nil {
		return fmt.Errorf("use host key: %w", err)
	}
	return nil
}

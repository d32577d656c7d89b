// Package setup makes a repository with its keys and its recovery kit, and enrols a host in one that exists.
//
// The invariant: all that can fail is tried before a place is touched, and what this machine must not lose is kept before there is anything to lose it for.
package setup

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"nightjar/cmd/nightjar/internal/passphrase"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/crypto"
	"nightjar/internal/durable"
	"nightjar/internal/quote"
	"nightjar/internal/where"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// MakeOptions say whose a new repository is, with keys as the command line names them. Zero fields are for defaults.
type MakeOptions struct {
	EncryptKeys []string // none: a recovery key is made
	SignKey     string   // empty: one is made, or is the recovery key
	Host        string   // name; empty: HostName
	KitFile     string   // empty: in the state folder
	Unattended  bool     // nobody is asked for a passphrase: a nightly job could not answer

	CreateBucket bool // make the bucket if it is missing
}

// Made tells what Make made.
type Made struct {
	Repository string               `json:"repository"`
	Place      string               `json:"place"`
	Root       crypto.Fingerprint   `json:"root"`
	Host       string               `json:"host"`
	HostKey    crypto.Fingerprint   `json:"host_key"`
	Recovery   []crypto.Fingerprint `json:"recovery_keys"`
	Kit        string               `json:"recovery_kit"`
	KitHasKey  bool                 `json:"recovery_kit_has_key"`
	Protected  bool                 `json:"recovery_kit_protected"`
}

// Advice says what to do with the recovery kit.
func (n *Made) Advice() string {
	switch {
	case !n.KitHasKey:
		return "Move the recovery kit off this machine. Restoring takes it and your own recovery key."
	case n.Protected:
		return "Move the recovery kit off this machine: it and its passphrase restore everything, and nothing else does when this machine is gone."
	}
	return "Move the recovery kit off this machine: whoever has it can restore everything, and nothing else does when this machine is gone."
}

// Make makes a repository. It does all that can fail before it touches the place, and undoes what it did if it fails after all.
func Make(ctx context.Context, set *session.Settings, at store.Location, o MakeOptions) (_ *Made, err error) {
	o.Host = cmp.Or(o.Host, set.HostName)
	if o.Host == "" {
		return nil, usage.Errorf("this host has no name: set --host")
	}
	stateDir, _, err := set.Folders()
	if err != nil {
		return nil, err
	}
	state := keyring.State(stateDir)
	if err := set.Reach().CheckEmpty(ctx, at, o.CreateBucket); err != nil {
		if kit := kitAt(state, set.Reach().Name(ctx, at)); errors.Is(err, repo.ErrExists) && kit != "" {
			return nil, usage.Hinted{Err: err, Hint: "nothing was changed; go on using it. Until you move that off this machine, a recovery kit of it is " + quote.Display(kit)}
		}
		return nil, err
	}
	if err := durable.MkdirAll(stateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	if err := durable.Probe(stateDir); err != nil {
		return nil, fmt.Errorf("use state directory: %w", err)
	}
	if o.KitFile != "" {
		if o.KitFile, err = where.Absolute(o.KitFile); err != nil {
			return nil, fmt.Errorf("write recovery kit: %w", err)
		}
		stopped, err := readBegun(stateDir, set.Reach().Name(ctx, at))
		if err != nil {
			return nil, err
		}
		if _, err := os.Lstat(o.KitFile); err == nil && !stopped.wrote(o.KitFile) {
			return nil, fmt.Errorf("write recovery kit %s: %w", o.KitFile, fs.ErrExist)
		}
		if err := durable.Probe(filepath.Dir(o.KitFile)); err != nil {
			return nil, fmt.Errorf("write recovery kit: %w", err)
		}
	}
	keys, err := makeKeys(ctx, set, o)
	if err != nil {
		return nil, err
	}

	unlock, err := lockState(ctx, stateDir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	stopped, err := readBegun(stateDir, set.Reach().Name(ctx, at))
	if err != nil {
		return nil, err
	}
	stored, undo, err := set.Reach().Begin(ctx, at, o.CreateBucket)
	defer func() {
		if err != nil && !errors.Is(err, repo.ErrExists) {
			undo()
		}
	}()
	if err != nil {
		return nil, err
	}
	defer func() { place.Close(stored) }()
	var run begun
	begin := func(k *keyring.Keyring, config []byte) error {
		if err := stopped.clear(state); err != nil {
			return err
		}
		run = begun{URL: set.Reach().Name(ctx, at), Repository: k.ID(), Config: sha256.Sum256(config), Kit: cmp.Or(o.KitFile, session.KitPath(state, k.ID()))}
		return run.write(stateDir)
	}
	wait := func(ctx context.Context, first bool) error {
		if first {
			set.Warn(errors.New("somebody else is making a repository there, or was stopped: this takes up to a minute to know"))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
			return nil
		}
	}
	// What this machine must not lose is kept before there is anything to lose it for.
	var kit *keyring.Kit
	ready := func(k *keyring.Keyring) error {
		if err := state.SaveHostKey(k.ID(), keys.hostArmored); err != nil {
			return err
		}
		if err := state.Remember(k.ID(), set.Reach().Name(ctx, at), k.Pin()); err != nil {
			return err
		}
		var err error
		if kit, err = k.Kit(ctx, stored, set.Reach().Address(ctx, at), keys.kitSecret, keys.protected); err != nil {
			return err
		}
		page, err := kit.Text()
		if err != nil {
			return err
		}
		if err := durable.CreateFile(run.Kit, page, 0o600); err != nil {
			return fmt.Errorf("write recovery kit: %w", err)
		}
		return nil
	}
	keyring, err := repo.Init(ctx, stored, repo.InitOptions{HostName: o.Host, Host: keys.host, Recovery: keys.recovery, Now: set.Now, Begin: begin, Stopped: stopped.stored, Wait: wait, Ready: ready})
	if err != nil {
		return nil, err
	}
	if err := run.end(stateDir); err != nil {
		return nil, fmt.Errorf("write state: %w", err)
	}
	return &Made{
		Repository: keyring.ID(), Place: place.Shown(at), Root: kit.Root, Host: o.Host, HostKey: keys.host.Fingerprint(),
		Recovery: kit.Recovery, Kit: run.Kit, KitHasKey: keys.kitSecret != nil, Protected: keys.protected,
	}, nil
}

type newKeys struct {
	host        *crypto.Key
	hostArmored []byte // under its passphrase
	recovery    []*crypto.Key
	kitSecret   []byte // a recovery key that we made, under its passphrase; else nil
	protected   bool
}

func makeKeys(ctx context.Context, set *session.Settings, o MakeOptions) (k newKeys, err error) {
	for _, name := range o.EncryptKeys {
		key, err := set.UserKeys().Certificate(ctx, name)
		if err != nil {
			return k, err
		}
		k.recovery = append(k.recovery, key)
	}
	var made *crypto.Key // the recovery key
	if k.recovery == nil {
		if made, err = crypto.Generate("nightjar recovery "+o.Host, set.Now(), nil); err != nil {
			return k, err
		}
		k.recovery = []*crypto.Key{made}
	}
	switch {
	case o.SignKey != "":
		k.host, err = set.UserKeys().Signing(ctx, o.SignKey)
	case made != nil:
		k.host = made
	default:
		k.host, err = crypto.Generate("nightjar host "+o.Host, set.Now(), nil)
	}
	if err != nil {
		return k, err
	}

	newPassphrase := set.Passphrases().New
	if o.Unattended {
		newPassphrase = func(ctx context.Context, r passphrase.Role, _ string) ([]byte, error) {
			return set.Passphrases().Configured(ctx, r)
		}
	}
	var secret []byte
	if made != nil {
		if secret, err = newPassphrase(ctx, passphrase.Recovery, "Passphrase for the new recovery key"); err != nil {
			return k, err
		}
		if k.kitSecret, err = made.ArmorSecret(secret); err != nil {
			return k, err
		}
		k.protected = len(secret) > 0
	}
	hostSecret, err := set.Passphrases().Configured(ctx, passphrase.Host)
	if err == nil && hostSecret == nil {
		if made == k.host {
			hostSecret = secret // what was typed for the one key
		} else {
			hostSecret, err = newPassphrase(ctx, passphrase.Host, "Passphrase for the host key on this machine")
		}
	}
	if err != nil {
		return k, err
	}
	k.hostArmored, err = k.host.ArmorSecret(hostSecret)
	return k, err
}

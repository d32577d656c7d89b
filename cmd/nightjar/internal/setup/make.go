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
	"nightjar/repo/statedir"
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
	HostLocked bool                 `json:"host_key_protected"` // every backup takes a passphrase, too
}

// Advice says what to do with the recovery kit, and with a host key that has a passphrase.
func (n *Made) Advice() string {
	advice := n.kitAdvice()
	if n.HostLocked {
		advice += "\nThe host key has a passphrase: each backup takes it, those at night too. Have [keys] passphrase-file or passphrase-command of the job file say it."
	}
	return advice
}

func (n *Made) kitAdvice() string {
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
	m := making{set: set, at: at, name: set.Reach().Name(ctx, at), o: o}
	if err := m.prepare(ctx); err != nil {
		return nil, err
	}
	unlock, err := lockState(ctx, m.stateDir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if m.stopped, err = readBegun(m.stateDir, m.name); err != nil {
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
	keyring, err := repo.Init(ctx, stored, repo.InitOptions{
		HostName: m.o.Host, Host: m.keys.host, Recovery: m.keys.recovery, Now: set.Now, Begin: m.begin, Stopped: m.stopped.stored, Wait: m.wait,
		Ready: func(k *keyring.Keyring) error { return m.keep(ctx, k, stored) },
	})
	if err != nil {
		return nil, err
	}
	if err := m.run.end(m.stateDir); err != nil {
		return nil, fmt.Errorf("write state: %w", err)
	}
	return &Made{
		Repository: keyring.ID(), Place: place.Shown(at), Root: m.kit.Root, Host: m.o.Host, HostKey: m.keys.host.Fingerprint(),
		Recovery: m.kit.Recovery, Kit: m.run.Kit, KitHasKey: m.keys.kitSecret != nil, Protected: m.keys.protected, HostLocked: m.keys.hostLocked,
	}, nil
}

// A making is a repository in the making.
type making struct {
	set      *session.Settings
	at       store.Location
	name     string // what this machine calls the place
	o        MakeOptions
	stateDir string
	keys     newKeys
	stopped  begun // what an earlier one has left
	run      begun // what this one would leave
	kit      *keyring.Kit
}

func (m *making) state() statedir.Dir { return statedir.Dir(m.stateDir) }

// prepare does what can fail before anything is made: it looks at the place, at the state directory and where the kit goes, and makes the keys.
func (m *making) prepare(ctx context.Context) (err error) {
	m.o.Host = cmp.Or(m.o.Host, m.set.HostName)
	if m.o.Host == "" {
		return usage.Errorf("this host has no name: set --host")
	}
	if m.stateDir, err = m.set.StateFolder(); err != nil {
		return err
	}
	if err := m.set.Reach().CheckEmpty(ctx, m.at, m.o.CreateBucket); err != nil {
		if kit := kitAt(m.state(), m.name); errors.Is(err, repo.ErrExists) && kit != "" {
			return usage.Hinted{Err: err, Hint: "nothing was changed; go on using it. Until you move that off this machine, a recovery kit of it is " + quote.Display(kit)}
		}
		return err
	}
	if err := durable.MkdirAll(m.stateDir, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	if err := durable.Probe(m.stateDir); err != nil {
		return fmt.Errorf("use state directory: %w", err)
	}
	if m.o.KitFile != "" {
		if err := m.prepareKit(); err != nil {
			return err
		}
	}
	m.keys, err = makeKeys(ctx, m.set, m.o)
	return err
}

// prepareKit sees to it that the kit can be written where it is wanted.
func (m *making) prepareKit() (err error) {
	if m.o.KitFile, err = where.Absolute(m.o.KitFile); err != nil {
		return fmt.Errorf("write recovery kit: %w", err)
	}
	stopped, err := readBegun(m.stateDir, m.name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(m.o.KitFile); err == nil && !stopped.wrote(m.o.KitFile) {
		return fmt.Errorf("write recovery kit %s: %w", m.o.KitFile, fs.ErrExist)
	}
	if err := durable.Probe(filepath.Dir(m.o.KitFile)); err != nil {
		return fmt.Errorf("write recovery kit: %w", err)
	}
	return nil
}

// begin notes what is about to be stored, in the place of what an earlier one has left.
func (m *making) begin(k *keyring.Keyring, config []byte) error {
	if err := m.stopped.clear(m.state()); err != nil {
		return err
	}
	m.run = begun{URL: m.name, Repository: k.ID(), Config: sha256.Sum256(config), Kit: cmp.Or(m.o.KitFile, session.KitPath(m.state(), k.ID()))}
	return m.run.write(m.stateDir)
}

func (m *making) wait(ctx context.Context, first bool) error {
	if first {
		m.set.Warn(errors.New("somebody else is making a repository there, or was stopped: this takes up to a minute to know"))
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
		return nil
	}
}

// keep keeps what this machine must not lose, before there is anything to lose it for.
func (m *making) keep(ctx context.Context, k *keyring.Keyring, stored store.Store) (err error) {
	if err := m.state().SaveHostKey(k.ID(), m.keys.hostArmored); err != nil {
		return err
	}
	if err := m.state().Remember(k.ID(), m.name, k.Pin()); err != nil {
		return err
	}
	if m.kit, err = k.Kit(ctx, stored, m.set.Reach().Address(ctx, m.at), m.keys.kitSecret, m.keys.protected); err != nil {
		return err
	}
	page, err := m.kit.Text()
	if err != nil {
		return err
	}
	if err := durable.CreateFile(m.run.Kit, page, 0o600); err != nil {
		return fmt.Errorf("write recovery kit: %w", err)
	}
	return nil
}

type newKeys struct {
	host        *crypto.Key
	hostArmored []byte // under its passphrase
	recovery    []*crypto.Key
	kitSecret   []byte // a recovery key that we made, under its passphrase; else nil
	protected   bool
	hostLocked  bool
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
	k.hostLocked = len(hostSecret) > 0
	k.hostArmored, err = k.host.ArmorSecret(hostSecret)
	return k, err
}

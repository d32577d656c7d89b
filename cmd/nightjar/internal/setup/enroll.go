package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/cmd/nightjar/internal/passphrase"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/crypto"
	"nightjar/internal/durable"
	"nightjar/repo/keyring"
	"nightjar/repo/statedir"
)

// EnrollOptions say which key this machine gets.
type EnrollOptions struct {
	SignKey string // as the command line names one; empty: it is made
	Renew   bool   // another one, though it has one that is enrolled
}

// Enrolled is this machine's part of an enrolment.
type Enrolled struct {
	Repository  string             `json:"repository"`
	Root        crypto.Fingerprint `json:"root"`
	Key         crypto.Fingerprint `json:"host_key"`
	Certificate string             `json:"certificate"`
	Host        string             `json:"host,omitempty"` // the name, if the key is enrolled already

	Newer bool      `json:"newer,omitempty"` // the certificate says more than the one that is enrolled
	Ends  time.Time `json:"ends,omitzero"`   // when it expires, as it is enrolled
	Over  bool      `json:"over,omitempty"`  // it has expired, as it is enrolled
}

// Enroll makes or takes this machine's key for a repository that exists, and remembers whom to believe. Whoever holds a recovery key then adds the certificate to the keys.
func Enroll(ctx context.Context, set *session.Settings, o EnrollOptions) (*Enrolled, error) {
	keys, state, err := keysToEnroll(ctx, set)
	if err != nil {
		return nil, err
	}
	id := keys.ID()
	key, save, err := waitingKey(keys, state)
	if err != nil {
		return nil, err
	}
	name, live := "", false
	if key != nil {
		name, live = keys.Live(key.Fingerprint())
	}
	if key == nil || o.SignKey != "" || o.Renew && live {
		if key, err = makeHostKey(ctx, set, o.SignKey, func(armored []byte) error { return save(id, armored) }); err != nil {
			return nil, err
		}
		name, _ = keys.Live(key.Fingerprint()) // one that was made elsewhere may be enrolled already
	}
	certificate, err := key.ArmorPublic()
	if err != nil {
		return nil, err
	}
	done := &Enrolled{Repository: id, Root: keys.Pin().Root, Key: key.Fingerprint(), Certificate: string(certificate), Host: name}
	if name == "" {
		return done, nil
	}
	enrolled, err := keys.HostCertificate(key.Fingerprint())
	if err != nil {
		return nil, err
	}
	merged, err := enrolled.Merge(key)
	if err != nil {
		return nil, err
	}
	done.Newer = !bytes.Equal(merged.Certificate(), enrolled.Certificate())
	done.Ends, _ = enrolled.Ends(set.Now())
	done.Over = enrolled.CanSign(set.Now()) != nil
	return done, nil
}

// waitingKey returns the key of this machine that is enrolled or is to be enrolled, nil if there is none, and what saves the one that follows.
func waitingKey(keys *keyring.Keyring, state statedir.Dir) (key *crypto.Key, save func(string, []byte) error, err error) {
	id := keys.ID()
	next, err := state.NextHostKey(id)
	if err == nil {
		if _, live := keys.Live(next.Fingerprint()); live {
			next, err = nil, state.AdoptHostKey(id)
		}
	}
	if err != nil && !errors.Is(err, crypto.ErrNoKey) {
		return nil, nil, err
	}
	present, err := state.HostKey(id)
	if errors.Is(err, crypto.ErrNoKey) {
		return nil, state.SaveHostKey, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, k := range []*crypto.Key{next, present} {
		if k == nil {
			continue
		}
		// One whose time is over is not enrolled again.
		if _, live := keys.Live(k.Fingerprint()); live || !keys.Names(k.Fingerprint()) {
			return k, state.SaveNextHostKey, nil
		}
	}
	return nil, state.SaveNextHostKey, nil
}

// keysToEnroll reads the keys of the configured repository, which this machine must be able to tell from another.
func keysToEnroll(ctx context.Context, set *session.Settings) (*keyring.Keyring, statedir.Dir, error) {
	s, err := set.Site(ctx)
	if err != nil {
		return nil, "", err
	}
	defer s.Close()
	_, root, err := set.NamedRoot()
	if err != nil {
		return nil, "", err
	}
	known, err := s.State.At(s.Name)
	if err != nil {
		return nil, "", err
	}
	if root == "" && known == "" {
		return nil, "", usage.Errorf("name the root key that this machine is to believe: --root FINGERPRINT; the recovery kit and nightjar key list say it")
	}
	if err := durable.MkdirAll(string(s.State), 0o700); err != nil {
		return nil, "", fmt.Errorf("make state directory: %w", err)
	}
	keys, err := s.Keys(ctx, session.Write)
	return keys, s.State, err
}

// NewHostKey makes a key for a host and writes it to a new file, under its passphrase.
func NewHostKey(ctx context.Context, set *session.Settings, host, file string) (*crypto.Key, error) {
	key, err := crypto.Generate("nightjar host "+host, set.Now(), nil)
	if err != nil {
		return nil, err
	}
	return key, saveHostKey(ctx, set, key, func(armored []byte) error { return durable.CreateFile(file, armored, 0o600) })
}

// makeHostKey takes the key that is named, or makes one, and has it saved under its passphrase.
func makeHostKey(ctx context.Context, set *session.Settings, named string, save func(armored []byte) error) (key *crypto.Key, err error) {
	if named != "" {
		key, err = set.UserKeys().Signing(ctx, named)
	} else {
		key, err = crypto.Generate("nightjar host "+set.HostName, set.Now(), nil)
	}
	if err != nil {
		return nil, err
	}
	if err := key.Signs(set.Now()); err != nil {
		return nil, fmt.Errorf("use host key: %w", err)
	}
	return key, saveHostKey(ctx, set, key, save)
}

func saveHostKey(ctx context.Context, set *session.Settings, key *crypto.Key, save func(armored []byte) error) error {
	passphrase, err := set.Passphrases().New(ctx, passphrase.Host, "Passphrase for the host key")
	if err != nil {
		return err
	}
	armored, err := key.ArmorSecret(passphrase)
	if err != nil {
		return err
	}
	return save(armored)
}

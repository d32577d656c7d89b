package repo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"nightjar/crypto"
	"nightjar/repo/store"
)

// InitOptions say whose repository it becomes.
type InitOptions struct {
	HostName string        // of the first host
	Host     *crypto.Key   // its key, with the secret half, unlocked
	Recovery []*crypto.Key // at least one; certificates suffice
	Now      func() time.Time
	Random   io.Reader
	// Ready is called when everything but the keys object is stored: an error leaves no repository. It is where the host keeps its key and its kit. May be nil.
	Ready func(k *Keyring) error
}

// abandoned is how old a config without keys must be before it is taken for the rest of an Init that died, rather than of one that is at work.
const abandoned = time.Minute

// Init makes a repository in an empty store and returns its keyring. The first host gets both roles. Where there is a repository, or a part of one, the error is
// ErrExists and nothing is changed. But a config that is the only object there, and a minute old by the store's clock, is what an Init left that died before it stored the
// keys: nothing can ever have been sealed to it, so it is replaced.
func Init(ctx context.Context, s store.Store, o InitOptions) (*Keyring, error) {
	options := Options{Now: o.Now, Random: o.Random}
	options.fill()
	now := options.Now().UTC()
	if err := checkInit(o, now); err != nil {
		return nil, err
	}
	if err := refuseExisting(ctx, s, options); err != nil {
		return nil, err
	}
	id := make([]byte, 16)
	if _, err := io.ReadFull(options.Random, id); err != nil {
		return nil, fmt.Errorf("choose repository id: %w", err)
	}
	repository := hex.EncodeToString(id)
	var secrets [3]*crypto.Key
	for i, name := range []string{"root", "content", "metadata"} {
		var err error
		if secrets[i], err = crypto.Generate(fmt.Sprintf("nightjar %s %s", name, repository[:8]), now, options.Random); err != nil {
			return nil, fmt.Errorf("make %s key: %w", name, err)
		}
	}
	record := keysRecord{Version: FormatVersion, Number: 1, Repository: repository, Features: []string{}, Grace: int64(graceAtFirst / time.Second)}
	if err := record.fill(o, secrets[0], secrets[1], secrets[2], options); err != nil {
		return nil, err
	}
	keys, err := signKeys(record, secrets[0], now)
	if err != nil {
		return nil, fmt.Errorf("sign keys: %w", err)
	}
	plain, err := newConfig(repository, options.Random)
	if err != nil {
		return nil, err
	}
	b := crypto.Binding{Repository: repository, Kind: configName, Version: FormatVersion}
	config, err := sealRecord(secrets[2].Public(), secrets[0], b, plain, options)
	if err != nil {
		return nil, fmt.Errorf("seal config: %w", err)
	}
	// config first: keys make the repository, so a run that dies in between leaves none.
	put := func(name string, data []byte) error {
		_, err := s.Put(ctx, name, data)
		if errors.Is(err, store.ErrExists) {
			err = ErrExists
		}
		if err != nil {
			return fmt.Errorf("store %s: %w", name, err)
		}
		return nil
	}
	if err := put(configName, config); err != nil {
		return nil, err
	}
	keyring, err := ReadKeyring(keys, func(string) (Pin, error) { return Pin{Root: secrets[0].Fingerprint()}, nil })
	if err != nil {
		return nil, err
	}
	if o.Ready != nil {
		if err := o.Ready(keyring); err != nil {
			return nil, err
		}
	}
	return keyring, put(keysName(1), keys)
}

func checkInit(o InitOptions, now time.Time) error {
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
	if err := signs(o.Host, now); err != nil {
		return fmt.Errorf("use host key: %w", err)
	}
	for _, k := range o.Recovery {
		if err := k.CanEncrypt(now); err != nil {
			return fmt.Errorf("use recovery key: %w", err)
		}
	}
	return nil
}

// signs reports whether the secret half that signs is at hand: of a key with subkeys it may be offline while others are not.
func signs(key *crypto.Key, now time.Time) error {
	_, err := crypto.Sign(key, nil, crypto.Binding{Repository: "none", Kind: "none"}, now)
	return err
}

// refuseExisting returns ErrExists if there is a repository, or something like one, and removes what Init replaces.
func refuseExisting(ctx context.Context, s store.Store, o Options) error {
	found := errors.New("found")
	look := func(prefix string) error {
		err := s.List(ctx, prefix, func(i store.Info) error {
			if i.Name == configName {
				return nil
			}
			return found
		})
		if errors.Is(err, found) {
			return ErrExists
		}
		if err != nil {
			return fmt.Errorf("look for a repository: %w", err)
		}
		return nil
	}
	if err := look(keysPrefix); err != nil {
		return err
	}
	config, err := s.Stat(ctx, configName)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a repository: %w", err)
	}
	if err := look(""); err != nil {
		return err
	}
	now, err := storeTime(ctx, s, o)
	if err != nil {
		return fmt.Errorf("look for a repository: %w", err)
	}
	if now.Sub(config.Time) < abandoned {
		return fmt.Errorf("%w, or is being made: if that was stopped, try again in a minute", ErrExists)
	}
	if err := s.Delete(ctx, configName); err != nil {
		return fmt.Errorf("remove what a stopped run left: %w", err)
	}
	return nil
}

func (k *keysRecord) fill(o InitOptions, root, content, metadata *crypto.Key, options Options) error {
	armor := func(key *crypto.Key) (string, error) {
		b, err := key.Public().ArmorPublic()
		if err != nil {
			return "", fmt.Errorf("export certificate %s: %w", key.Fingerprint(), err)
		}
		return string(b), nil
	}
	var err error
	if k.Root, err = armor(root); err != nil {
		return err
	}
	certificates := make([]string, 2)
	for i, key := range []*crypto.Key{content, metadata} {
		if certificates[i], err = armor(key); err != nil {
			return err
		}
	}
	k.Content, k.Metadata = []sealKey{{Certificate: certificates[0]}}, []sealKey{{Certificate: certificates[1]}}
	host, err := armor(o.Host)
	if err != nil {
		return err
	}
	k.Hosts = []hostRecord{{Name: o.HostName, Roles: []string{roleBackup, rolePrune}, Certificates: []certificateRecord{{Certificate: host}}}}
	for _, key := range o.Recovery {
		recovery, err := armor(key)
		if err != nil {
			return err
		}
		k.Recovery = append(k.Recovery, recovery)
	}
	if k.Secrets, err = encryptSecrets(o.Recovery, options, root, content, metadata); err != nil {
		return err
	}
	if k.MetadataSecret, err = encryptSecrets(append([]*crypto.Key{o.Host}, o.Recovery...), options, metadata); err != nil {
		return err
	}
	// A host whose decryption key is on a smartcard or offline would find out at night.
	if _, err := crypto.NewOpener(o.Host).Decrypt([]byte(k.MetadataSecret)); err != nil {
		return fmt.Errorf("use host key %s: %w", o.Host.Fingerprint(), err)
	}
	return nil
}

// encryptSecrets seals secret keys, armored one after another, to recipients; a key that is named twice counts once.
func encryptSecrets(recipients []*crypto.Key, o Options, secrets ...*crypto.Key) (string, error) {
	var plain []byte
	for _, s := range secrets {
		armored, err := s.ArmorSecret(nil)
		if err != nil {
			return "", fmt.Errorf("export secret key %s: %w", s.Fingerprint(), err)
		}
		plain = append(append(plain, armored...), '\n')
	}
	seen := map[crypto.Fingerprint]bool{}
	var unique []*crypto.Key
	for _, r := range recipients {
		if !seen[r.Fingerprint()] {
			seen[r.Fingerprint()] = true
			unique = append(unique, r.Public())
		}
	}
	sealed, err := crypto.EncryptTo(unique, plain, o.Random, o.Now())
	if err != nil {
		return "", fmt.Errorf("seal secret keys: %w", err)
	}
	return string(sealed), nil
}

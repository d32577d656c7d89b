package statedir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nightjar/crypto"
	"nightjar/internal/durable"
	"nightjar/repo/keyring"
)

// keysFile is where a host keeps the newest keys that it has seen of a repository: a copy may lag behind them.
const keysFile = "keys"

// SaveKeys keeps keys, unless newer ones are kept.
func (d Dir) SaveKeys(k *keyring.Keyring) error {
	folder, err := d.folder(k.ID())
	if err != nil {
		return err
	}
	_, object := k.Object()
	if kept, err := os.ReadFile(filepath.Join(folder, keysFile)); err == nil && bytes.Equal(kept, object) {
		return nil
	}
	if kept, err := d.Keys(k.ID()); err == nil && kept.Number() >= k.Number() {
		return nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(folder, keysFile), object, 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// Keys returns the newest keys that this host has seen of a repository. Without any, the error is fs.ErrNotExist.
func (d Dir) Keys(repository string) (*keyring.Keyring, error) {
	folder, err := d.folder(repository)
	if err != nil {
		return nil, err
	}
	record, err := d.readPin(repository)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, keysFile)
	info, err := os.Stat(path)
	if err == nil && info.Size() > keyring.MaxObject {
		err = errors.New("it is too large")
	}
	var object []byte
	if err == nil {
		object, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	k, err := keyring.Read(object, func(string) (keyring.Pin, error) { return keyring.Pin{Root: record.Root}, nil })
	if err == nil && k.ID() != repository {
		err = fmt.Errorf("it is of repository %s: %w", k.ID(), crypto.ErrIntegrity)
	}
	if err == nil && k.Number() < record.Number {
		err = fmt.Errorf("%s was seen since: %w", keyring.Name(record.Number), fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	return k, nil
}

// SeenAt returns where a repository was seen last, "" if it was not.
func (d Dir) SeenAt(repository string) (url string, err error) {
	record, err := d.readPin(repository)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return record.URL, err
}

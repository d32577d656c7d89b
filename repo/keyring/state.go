package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nightjar/crypto"
	"nightjar/internal/durable"
)

// State is the folder with all that a host must not lose: for each repository its host key and what it remembers. Everything else on a host is a cache.
// The empty State is none, and an error of all that is asked of it.
type State string

const pinFile = "pin.json"

type pinRecord struct {
	Pin
	URL string `json:"url"` // where the repository was seen last
}

var errNoState = errors.New("no state directory is named") // and the working directory is none

func (s State) folder(repository string) (string, error) {
	if s == "" {
		return "", errNoState
	}
	if err := checkID(repository); err != nil {
		return "", err
	}
	return filepath.Join(string(s), repository), nil
}

// Pin returns what is remembered of a repository, the zero Pin if nothing is. It is an ErrRollback if another repository was seen at url before.
func (s State) Pin(repository, url string) (Pin, error) {
	if _, err := s.folder(repository); err != nil {
		return Pin{}, err
	}
	record, err := s.readPin(repository)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return record.Pin, err
	}
	other, err := s.At(url)
	if other != "" {
		err = fmt.Errorf("repository %s was here before, now it is %s: %w", other, repository, ErrRollback)
	}
	return Pin{}, err
}

// At returns which repository was seen at url last, "" if none was.
func (s State) At(url string) (repository string, err error) {
	if s == "" {
		return "", errNoState
	}
	entries, err := os.ReadDir(string(s))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read state: %w", err)
	}
	for _, e := range entries {
		if checkID(e.Name()) != nil || !e.IsDir() {
			continue
		}
		switch record, err := s.readPin(e.Name()); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case record.URL == url:
			return e.Name(), nil
		}
	}
	return "", nil
}

func (s State) readPin(repository string) (pinRecord, error) {
	var p pinRecord
	path := filepath.Join(string(s), repository, pinFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return p, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("read state %s: %w", path, err)
	}
	return p, nil
}

// Remember keeps a pin, if there is anything new to keep.
func (s State) Remember(repository, url string, p Pin) error {
	folder, err := s.folder(repository)
	if err != nil {
		return err
	}
	record := pinRecord{Pin: p, URL: url}
	if old, err := s.readPin(repository); err == nil {
		if old.Number > p.Number { // another process has seen more meanwhile
			record.Pin = old.Pin
		}
		if old == record {
			return nil
		}
	}
	return s.save(folder, pinFile, record)
}

// stoppedSuffix ends the name of a folder that is nobody's any more.
const stoppedSuffix = ".stopped"

// Stopped forgets a repository that was never made. What was to be its keys stays, in a folder of another name.
func (s State) Stopped(repository string) error {
	folder, err := s.folder(repository)
	if err != nil {
		return err
	}
	err = os.Rename(folder, folder+stoppedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(string(s))
	}
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// save writes a file of a repository's folder, which is made when it is missing.
func (s State) save(folder, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(folder, name), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// The files of host keys.
const (
	hostKeyFile = "host.asc"
	nextKeyFile = "host-next.asc"
)

// HostKey returns this host's key for a repository, still locked if it has a passphrase. Without one, the error is crypto.ErrNoKey.
func (s State) HostKey(repository string) (*crypto.Key, error) {
	return s.readKey(repository, hostKeyFile)
}

// ArmoredHostKey returns this host's key as it is kept: armored, under its passphrase.
func (s State) ArmoredHostKey(repository string) ([]byte, error) {
	return s.readArmored(repository, hostKeyFile)
}

// NextHostKey returns the key that takes the place of this host's as soon as it is enrolled. Without one, the error is crypto.ErrNoKey.
func (s State) NextHostKey(repository string) (*crypto.Key, error) {
	return s.readKey(repository, nextKeyFile)
}

// SaveHostKey keeps a host's armored secret key.
func (s State) SaveHostKey(repository string, armored []byte) error {
	return s.saveKey(repository, hostKeyFile, armored)
}

// SaveNextHostKey keeps the armored secret key that is to follow.
func (s State) SaveNextHostKey(repository string, armored []byte) error {
	return s.saveKey(repository, nextKeyFile, armored)
}

// AdoptHostKey puts the next host key in the place of the present one, which is kept as host-FINGERPRINT.asc: it may be a recovery key, too.
func (s State) AdoptHostKey(repository string) error {
	folder, err := s.folder(repository)
	if err != nil {
		return fmt.Errorf("adopt host key: %w", err)
	}
	present, err := s.HostKey(repository)
	switch {
	case err == nil:
		err = os.Rename(filepath.Join(folder, hostKeyFile), filepath.Join(folder, "host-"+string(present.Fingerprint())+".asc"))
	case errors.Is(err, crypto.ErrNoKey): // an adoption that was stopped
		err = nil
	}
	if err == nil {
		err = os.Rename(filepath.Join(folder, nextKeyFile), filepath.Join(folder, hostKeyFile))
	}
	if err == nil {
		err = durable.SyncDir(folder)
	}
	if err != nil {
		return fmt.Errorf("adopt host key: %w", err)
	}
	return nil
}

func (s State) readKey(repository, name string) (*crypto.Key, error) {
	b, err := s.readArmored(repository, name)
	if err != nil {
		return nil, err
	}
	key, err := crypto.ReadKey(b)
	if err != nil {
		return nil, fmt.Errorf("read host key %s: %w", filepath.Join(string(s), repository, name), err)
	}
	return key, nil
}

func (s State) readArmored(repository, name string) ([]byte, error) {
	folder, err := s.folder(repository)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read host key %s: %w", path, crypto.ErrNoKey)
	}
	if err != nil {
		return nil, fmt.Errorf("read host key: %w", err)
	}
	return b, nil
}

func (s State) saveKey(repository, name string, armored []byte) error {
	folder, err := s.folder(repository)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("write host key: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(folder, name), armored, 0o600); err != nil {
		return fmt.Errorf("write host key: %w", err)
	}
	return nil
}

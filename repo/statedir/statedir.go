// Package statedir is the folder with all that a host must not lose: for each repository its host key, and what it remembers of
// the repository, so that nobody can show it an older one or another. Everything else on a host is a cache.
//
// Invariants: a file is replaced as a whole; what is remembered never goes back, whichever process began first; and what a store
// says becomes no path. Keys that are kept are believed only by the root that is remembered.
//
// The package asks no repository: what is shown there, others compare.
package statedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"nightjar/crypto"
	"nightjar/internal/durable"
	"nightjar/repo/keyring"
)

// A Dir is the path of the folder. The empty Dir is none, and an error of all that is asked of it.
type Dir string

const pinFile = "pin.json"

type pinRecord struct {
	keyring.Pin
	URL string `json:"url"` // where the repository was seen last
}

// ErrPin and ErrHostKey say that a file of this machine's is not as it was written.
var (
	ErrPin     = errors.New("what this machine remembers of the repository is spoilt")
	ErrHostKey = errors.New("the file of the host key is spoilt")
)

var errNoState = errors.New("no state directory is named") // and the working directory is none

func (d Dir) folder(repository string) (string, error) {
	if d == "" {
		return "", errNoState
	}
	if err := keyring.CheckID(repository); err != nil {
		return "", err
	}
	return filepath.Join(string(d), repository), nil
}

// Pin returns what is remembered of a repository, the zero Pin if nothing is. It is an ErrRollback if another repository was seen at url before,
// and an ErrPin if the file is spoilt.
func (d Dir) Pin(repository, url string) (keyring.Pin, error) {
	if _, err := d.folder(repository); err != nil {
		return keyring.Pin{}, err
	}
	record, err := d.readPin(repository)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return record.Pin, err
	}
	other, err := d.At(url)
	if other != "" {
		err = fmt.Errorf("repository %s was here before, now it is %s: %w", other, repository, keyring.ErrRollback)
	}
	return keyring.Pin{}, err
}

// At returns which repository was seen at url last, "" if none was.
func (d Dir) At(url string) (repository string, err error) {
	if d == "" {
		return "", errNoState
	}
	entries, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read state: %w", err)
	}
	for _, e := range entries {
		if keyring.CheckID(e.Name()) != nil || !e.IsDir() {
			continue
		}
		switch record, err := d.readPin(e.Name()); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		case record.URL == url:
			return e.Name(), nil
		}
	}
	return "", nil
}

func (d Dir) readPin(repository string) (pinRecord, error) {
	var p pinRecord
	path := filepath.Join(string(d), repository, pinFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return p, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return pinRecord{}, fmt.Errorf("read %s: %w: %w", path, ErrPin, err)
	}
	if _, err := crypto.ParseFingerprint(string(p.Root)); err != nil || p.Number < 1 {
		return pinRecord{}, fmt.Errorf("read %s: %w: no root key, or no number", path, ErrPin)
	}
	return p, nil
}

// Remember keeps a pin, if there is anything new to keep.
func (d Dir) Remember(repository, url string, p keyring.Pin) error {
	folder, err := d.folder(repository)
	if err != nil {
		return err
	}
	record := pinRecord{Pin: p, URL: url}
	if old, err := d.readPin(repository); err == nil {
		if old.Number > p.Number { // another process has seen more meanwhile
			record.Pin = old.Pin
		}
		if old == record {
			return nil
		}
	}
	return d.save(folder, pinFile, record)
}

// stoppedSuffix ends the name of a folder that is nobody's any more.
const stoppedSuffix = ".stopped"

// Stopped forgets a repository that was never made. What was to be its keys stays, in a folder of another name.
func (d Dir) Stopped(repository string) error {
	folder, err := d.folder(repository)
	if err != nil {
		return err
	}
	err = os.Rename(folder, folder+stoppedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(string(d))
	}
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// save writes a file of a repository's folder, which is made when it is missing.
func (d Dir) save(folder, name string, v any) error {
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
func (d Dir) HostKey(repository string) (*crypto.Key, error) {
	return d.readKey(repository, hostKeyFile)
}

// ArmoredHostKey returns this host's key as it is kept: armored, under its passphrase.
func (d Dir) ArmoredHostKey(repository string) ([]byte, error) {
	return d.readArmored(repository, hostKeyFile)
}

// NextHostKey returns the key that takes the place of this host's as soon as it is enrolled. Without one, the error is crypto.ErrNoKey.
func (d Dir) NextHostKey(repository string) (*crypto.Key, error) {
	return d.readKey(repository, nextKeyFile)
}

// SaveHostKey keeps a host's armored secret key.
func (d Dir) SaveHostKey(repository string, armored []byte) error {
	return d.saveKey(repository, hostKeyFile, armored)
}

// SaveNextHostKey keeps the armored secret key that is to follow.
func (d Dir) SaveNextHostKey(repository string, armored []byte) error {
	return d.saveKey(repository, nextKeyFile, armored)
}

// AdoptHostKey puts the next host key in the place of the present one, which is kept as host-FINGERPRINT.asc: it may be a recovery key, too.
func (d Dir) AdoptHostKey(repository string) error {
	folder, err := d.folder(repository)
	if err != nil {
		return fmt.Errorf("adopt host key: %w", err)
	}
	present, err := d.HostKey(repository)
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

func (d Dir) readKey(repository, name string) (*crypto.Key, error) {
	b, err := d.readArmored(repository, name)
	if err != nil {
		return nil, err
	}
	key, err := crypto.ReadKey(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", filepath.Join(string(d), repository, name), ErrHostKey, err)
	}
	return key, nil
}

func (d Dir) readArmored(repository, name string) ([]byte, error) {
	folder, err := d.folder(repository)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, crypto.Absent(fmt.Errorf("there is no %s", path))
	}
	if err != nil {
		return nil, fmt.Errorf("read host key: %w", err)
	}
	return b, nil
}

func (d Dir) saveKey(repository, name string, armored []byte) error {
	folder, err := d.folder(repository)
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

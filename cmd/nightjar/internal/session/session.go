// Package session opens repositories for a command line: it finds the folders, the place and the keys, and remembers whom to believe and what it has seen.
//
// The invariant: keys are believed only if what this machine remembers, the recovery kit or the command line says so; those of a repository that is new here are
// told of aloud. The package neither reads the environment nor prints results.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"nightjar/cmd/nightjar/internal/passphrase"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/userkeys"
	"nightjar/crypto"
	"nightjar/internal/tempdir"
	"nightjar/internal/where"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// Settings are what a command line and its environment say. Empty fields were not given.
type Settings struct {
	Repo               string // URL
	StateDir, CacheDir string
	TempDir            string
	Key, Kit, Root     string // a recovery key, a recovery kit's file, the root key's fingerprint

	Bucket      place.Bucket
	Connections int // objects sent or read at the same time; 0: as many as suit the place
	Compression pack.Level

	PassphraseFile, PassphraseCommand string
	Passphrase, SignPassphrase        string

	// Unattended has nobody asked for a passphrase, and no repository believed that is new to this machine: both fail.
	Unattended bool

	// CheckOnly has whatever would open a repository, a server or a region look at what the command line says of it, and return ErrChecked.
	CheckOnly bool

	HostName string                   // of this machine
	Children []string                 // the environment for programs that are started
	Getenv   func(name string) string // what a store's own tools go by; nil: an environment that is empty
	Now      func() time.Time         // never nil
	Warn     func(error)              // told of what is wrong but stops nothing; never nil
	Stderr   io.Writer                // for programs that are started
	// Interrupted is called, and does not return, when a signal comes while the terminal is asked; nothing has been done by then.
	Interrupted func()
}

// ErrOtherKit says that the recovery kit is of another repository.
var ErrOtherKit = fmt.Errorf("it is of another repository: %w", crypto.ErrIntegrity)

// ErrNotConfigured says that no repository is named, and that there is none on this machine itself.
var ErrNotConfigured = fmt.Errorf("no repository is configured: %w", store.ErrNoStore)

// ErrChecked says that nothing is wrong with what a command line says, as far as can be told without doing it.
var ErrChecked = errors.New("nothing was done: the command line was only looked at")

// StateFolder returns the absolute folder of what this machine must not forget.
func (set *Settings) StateFolder() (string, error) {
	if set.StateDir == "" {
		return "", usage.Errorf("no state directory: set --state-dir (or HOME)")
	}
	state, err := where.Absolute(set.StateDir)
	if err != nil {
		return "", fmt.Errorf("find state directory %s: %w", set.StateDir, err)
	}
	return state, nil
}

// CacheFolder returns the absolute folder of caches.
func (set *Settings) CacheFolder() (string, error) {
	if set.CacheDir == "" {
		return "", usage.Errorf("no cache directory: set --cache-dir (or HOME)")
	}
	cache, err := where.Absolute(set.CacheDir)
	if err != nil {
		return "", fmt.Errorf("find cache directory %s: %w", set.CacheDir, err)
	}
	return cache, nil
}

// Access says what a command needs of a repository.
type Access int

const (
	ReadNothing  Access = iota // no key: there is no Repository in the Session
	ReadIfAble                 // no key must be there: there is a Repository if this machine has a host key that takes no passphrase
	ReadMetadata               // the host key or a recovery key
	ReadContent                // a recovery key
	ReadMost                   // the host key or a recovery key, which is made use of if it is there
	Write                      // the host key
	Maintain                   // the host key, or a recovery key that is named and stands for the root
)

// Embedded returns where the repository lies that a backup makes when none is named.
func (set *Settings) Embedded() (store.Location, error) {
	state, err := set.StateFolder()
	return place.Directory(filepath.Join(state, "repository")), err
}

// configured returns where the configured repository is, or else the embedded one.
func (set *Settings) configured() (store.Location, error) {
	if set.Repo != "" {
		return place.Parse(set.Repo)
	}
	at, err := set.Embedded()
	if err != nil {
		return at, err
	}
	if _, err := os.Stat(at.Path); err != nil {
		return at, ErrNotConfigured
	}
	return at, nil
}

// checkPlace looks at what the command line says of a place.
func (set *Settings) checkPlace(at store.Location) error {
	if err := set.Reach().Check(at); err != nil {
		return err
	}
	return ErrChecked
}

// CheckCopy looks at what is said of the place of a copy, whose bucket is as b says, before anything is opened.
func (set *Settings) CheckCopy(ctx context.Context, url string, b place.Bucket) error {
	at, there, err := set.besides(ctx, url, b)
	if err != nil {
		return err
	}
	return there.Check(at)
}

// Reach says how places are reached.
func (set *Settings) Reach() *place.Options {
	state, _ := set.StateFolder() // without one, nothing is remembered
	return &place.Options{Bucket: set.Bucket, Servers: place.ServersIn(state), Connections: set.Connections, Now: set.Now, Getenv: set.Getenv, Warn: set.Warn}
}

// Passphrases says where passphrases come from.
func (set *Settings) Passphrases() *passphrase.Source {
	return &passphrase.Source{
		File: set.PassphraseFile, Command: set.PassphraseCommand, Any: set.Passphrase, Host: set.SignPassphrase,
		Environ: set.Environ, Stderr: set.Stderr, Interrupted: set.Interrupted, Unattended: set.Unattended,
	}
}

// UserKeys finds the keys that the command line names.
func (set *Settings) UserKeys() *userkeys.Finder {
	return &userkeys.Finder{Passphrases: set.Passphrases(), Environ: set.Environ}
}

// temp returns the folder for our own scratch files. Few runs need any, so one that cannot be used is a warning, if it was chosen.
func (set *Settings) temp() tempdir.Dir {
	dir, err := tempdir.New(cmp.Or(set.TempDir, "/tmp"))
	if err != nil && set.TempDir != "" {
		set.Warn(err)
	}
	return dir
}

// Environ returns the environment of a program that is started, with the temp directory if one was chosen.
func (set *Settings) Environ() ([]string, error) {
	if set.TempDir == "" {
		return set.Children, nil
	}
	dir, err := tempdir.New(set.TempDir)
	if err != nil {
		return nil, err
	}
	return dir.Environ(set.Children), nil
}

// Package passphrase finds the passphrases of keys: in what was given in advance, or else by asking at the terminal.
//
// What package secret promises of secrets holds for them.
package passphrase

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"nightjar/crypto"
	"nightjar/internal/secret"
)

// ErrNone says that nobody gives a passphrase that is needed.
var ErrNone = fmt.Errorf("no passphrase is given and there is no terminal to ask: %w", crypto.ErrLocked)

// ErrSource says that a file or command gives no passphrase.
var ErrSource = errors.New("no passphrase comes from where it is said to be")

// A Role says what a key whose passphrase is wanted is for.
type Role int

const (
	Recovery Role = iota
	Host
)

// A Source says where passphrases come from. Empty fields were not given. For a host key Host goes before all others; then File goes before Command, and that before Any.
type Source struct {
	File, Command string // a file whose first line is it, a shell command that prints it
	Any, Host     string // as such, for every key or for host keys

	Environ     func() ([]string, error) // the environment of Command
	Stderr      io.Writer                // of Command, as in secret.Source
	Interrupted func()                   // called, and does not return, when a signal comes while the terminal is asked
	Unattended  bool                     // the terminal is not asked
	terminal    string                   // empty: /dev/tty
}

// Configured returns the passphrase that was given in advance; nil: none was.
func (s *Source) Configured(ctx context.Context, r Role) ([]byte, error) {
	if r == Host && s.Host != "" {
		return []byte(s.Host), nil
	}
	p, err := secret.Source{Name: "passphrase", File: s.File, Command: s.Command, Value: s.Any, Environ: s.Environ, Stderr: s.Stderr}.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSource, err)
	}
	return p, nil
}

// Get returns the passphrase for a key that has one, asking for it if there is a terminal; else ErrNone.
func (s *Source) Get(ctx context.Context, r Role, prompt string) ([]byte, error) {
	p, err := s.Configured(ctx, r)
	if p != nil || err != nil {
		return p, err
	}
	return s.ask(ctx, prompt)
}

// New returns what protects a new key; empty: nothing does.
func (s *Source) New(ctx context.Context, r Role, prompt string) ([]byte, error) {
	p, err := s.Configured(ctx, r)
	if p != nil || err != nil {
		return p, err
	}
	first, err := s.ask(ctx, prompt+" (empty: none)")
	if errors.Is(err, ErrNone) {
		return nil, nil
	}
	if err != nil || len(first) == 0 {
		return nil, err
	}
	second, err := s.ask(ctx, "The same again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("read passphrase: the two are not the same")
	}
	return first, nil
}

// ask reads a passphrase from the terminal.
func (s *Source) ask(ctx context.Context, prompt string) ([]byte, error) {
	if s.Unattended {
		return nil, ErrNone
	}
	tty, err := os.OpenFile(cmp.Or(s.terminal, "/dev/tty"), os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNone
	}
	defer tty.Close()
	if before, err := term.GetState(int(tty.Fd())); err == nil {
		// The read below cannot be interrupted, and nothing has been done yet; but the terminal must show again what is typed.
		defer context.AfterFunc(ctx, func() {
			_ = term.Restore(int(tty.Fd()), before)
			s.Interrupted()
		})()
	}
	fmt.Fprintf(tty, "%s: ", prompt)
	b, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	if err != nil {
		return nil, fmt.Errorf("read passphrase from the terminal: %w", err)
	}
	return b, nil
}

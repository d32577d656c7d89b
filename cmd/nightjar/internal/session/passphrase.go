package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/term"
)

const passphraseMax = 64 << 10

// role says what a key whose passphrase is wanted is for.
type role int

const (
	recoveryRole role = iota
	hostRole
)

// configuredPassphrase returns the passphrase that was given in advance; nil: none was.
func (set *Settings) configuredPassphrase(ctx context.Context, r role) ([]byte, error) {
	switch {
	case r == hostRole && set.SignPassphrase != "":
		return []byte(set.SignPassphrase), nil
	case set.PassphraseFile != "":
		return readPassphraseFile(set.PassphraseFile)
	case set.PassphraseCommand != "":
		return set.runPassphraseCommand(ctx)
	case set.Passphrase != "":
		return []byte(set.Passphrase), nil
	}
	return nil, nil
}

// passphrase returns the passphrase for a key that has one, asking for it if there is a terminal; else ErrNoPassphrase.
func (set *Settings) passphrase(ctx context.Context, r role, prompt string) ([]byte, error) {
	p, err := set.configuredPassphrase(ctx, r)
	if p != nil || err != nil {
		return p, err
	}
	return set.ask(ctx, prompt)
}

// newPassphrase returns what protects a new key; empty: nothing does.
func (set *Settings) newPassphrase(ctx context.Context, r role, prompt string) ([]byte, error) {
	p, err := set.configuredPassphrase(ctx, r)
	if p != nil || err != nil {
		return p, err
	}
	first, err := set.ask(ctx, prompt+" (empty: none)")
	if errors.Is(err, ErrNoPassphrase) {
		return nil, nil
	}
	if err != nil || len(first) == 0 {
		return nil, err
	}
	second, err := set.ask(ctx, "The same again")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("read passphrase: the two are not the same")
	}
	return first, nil
}

func readPassphraseFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, passphraseMax))
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	return firstLine(b, "file")
}

func (set *Settings) runPassphraseCommand(ctx context.Context) ([]byte, error) {
	env, err := set.Environ()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", set.PassphraseCommand)
	cmd.Env, cmd.Stderr = env, set.Stderr
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run passphrase command: %w", err)
	}
	return firstLine(b, "command")
}

// firstLine returns the first line of b. An empty one is an error: it must not silently leave a new key without protection.
func firstLine(b []byte, from string) ([]byte, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return nil, fmt.Errorf("read passphrase: the %s gives an empty one", from)
	}
	return line, nil
}

// ask reads a passphrase from the terminal.
func (set *Settings) ask(ctx context.Context, prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNoPassphrase
	}
	defer tty.Close()
	if before, err := term.GetState(int(tty.Fd())); err == nil {
		// The read below cannot be interrupted, and nothing has been done yet; but the terminal must show again what is typed.
		defer context.AfterFunc(ctx, func() {
			_ = term.Restore(int(tty.Fd()), before)
			set.Interrupted()
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

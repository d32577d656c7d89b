// Package gnupg has the user's gpg program export keys and open messages, so that keys in its keyring, behind its agent and on a smartcard can be used.
//
// The invariant: what gpg gives is bounded, and of a key no more is believed than that it is the one asked for. The package reads
// no keyring itself, and asks for no passphrase.
package gnupg

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nightjar/crypto"
	"nightjar/internal/child"
)

// Program runs the user's gpg program, which finds keys in a keyring, behind an agent or on a smartcard.
type Program struct {
	Path string   // the program; empty: gpg, from the search path
	Home string   // its home directory; empty: as Env says
	Env  []string // its whole environment, TMPDIR included; nil: empty
}

// ExportPublic returns a key's public half from the keyring. crypto.ErrNoKey when it is not there.
func (g Program) ExportPublic(ctx context.Context, fpr crypto.Fingerprint) (*crypto.Key, error) {
	k, err := g.export(ctx, fpr, "--export", nil)
	if err != nil {
		return nil, fmt.Errorf("export key %s: %w", fpr, err)
	}
	return k, nil
}

// ExportSecret returns a key with its secret half, unlocked when passphrase is not
// nil. With a nil passphrase the agent asks for one where it can. crypto.ErrNoKey when
// the secret is not there or is on a smartcard.
func (g Program) ExportSecret(ctx context.Context, fpr crypto.Fingerprint, passphrase []byte) (*crypto.Key, error) {
	k, err := g.export(ctx, fpr, "--export-secret-keys", passphrase)
	if err == nil && !k.HasSecret() {
		err = fmt.Errorf("%w: gpg cannot export its secret half (on a smartcard?)", crypto.ErrNoKey)
	}
	if err == nil && passphrase != nil && k.Locked() {
		err = k.Unlock(passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("export secret key %s: %w", fpr, err)
	}
	return k, nil
}

// Decrypt has gpg decrypt a small message, at most 1 MiB. With a nil passphrase the
// agent asks for one, or for the smartcard's PIN, where it needs it. The error is crypto.ErrNoKey, crypto.ErrPassphrase or gpg's own.
func (g Program) Decrypt(ctx context.Context, armored, passphrase []byte) ([]byte, error) {
	plain, status, err := g.run(ctx, armored, passphrase, "--decrypt")
	if err == nil && !status.has("DECRYPTION_OKAY") {
		err = crypto.ErrIntegrity
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt with gpg: %w", err)
	}
	return plain, nil
}

func (g Program) export(ctx context.Context, fpr crypto.Fingerprint, command string, passphrase []byte) (*crypto.Key, error) {
	// The fingerprint becomes an argument, so it must be one.
	fpr, err := crypto.ParseFingerprint(string(fpr))
	if err != nil {
		return nil, err
	}
	data, _, err := g.run(ctx, nil, passphrase, command, "--", string(fpr))
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, g.absent()
	}
	k, err := crypto.ReadKey(data)
	if err != nil {
		return nil, err
	}
	if k.Fingerprint() != fpr {
		return nil, fmt.Errorf("gpg gave key %s instead; name the primary key", k.Fingerprint())
	}
	return k, nil
}

// ErrKeyring says that gpg does not have a key, or only the name of one that is on a smartcard elsewhere. It comes with crypto.ErrNoKey.
var ErrKeyring = errors.New("gpg has it neither in its keyring nor on a smartcard that is there")

// absent is the error of a key that gpg does not have.
func (g Program) absent() error {
	home := g.Home
	for _, v := range g.Env {
		name, value, _ := strings.Cut(v, "=")
		switch {
		case home != "" && name != "GNUPGHOME" || g.Home != "" || value == "":
		case name == "GNUPGHOME":
			home = value
		case name == "HOME":
			home = filepath.Join(value, ".gnupg")
		}
	}
	if _, err := os.ReadDir(home); home != "" && err != nil {
		return crypto.Absent(fmt.Errorf("%w: %w", ErrKeyring, err))
	}
	return crypto.Absent(fmt.Errorf("%w (its home directory: %s)", ErrKeyring, home))
}

// outputMax is how much gpg may print: a key, or a small message.
const outputMax = 1 << 20

// gpgStatus is what gpg reports for machines.
type gpgStatus string

func (s gpgStatus) has(keyword string) bool {
	for line := range strings.Lines(string(s)) {
		if f := strings.Fields(line); len(f) >= 2 && f[1] == keyword {
			return true
		}
	}
	return false
}

// ErrAgent says that gpg has no agent, without which it reaches no secret key.
var ErrAgent = errors.New("gpg's agent does not start")

// badPassphrase is libgpg-error's GPG_ERR_BAD_PASSPHRASE, in the low 16 bits of an error.
const badPassphrase = 11

func (s gpgStatus) badPassphrase() bool {
	for line := range strings.Lines(string(s)) {
		f := strings.Fields(line)
		if len(f) < 4 || f[1] != "ERROR" {
			continue
		}
		if code, err := strconv.ParseUint(f[3], 10, 32); err == nil && code&0xFFFF == badPassphrase {
			return true
		}
	}
	return false
}

// ErrNoProgram says that there is no gpg.
var ErrNoProgram = errors.New("there is no gpg here")

// run runs gpg with a passphrase through a pipe. Its output is bounded.
func (g Program) run(ctx context.Context, stdin, passphrase []byte, args ...string) ([]byte, gpgStatus, error) {
	const statusFD, passphraseFD = 3, 4
	path := cmp.Or(g.Path, "gpg")
	options := []string{path, "--batch", "--no-verbose", "--status-fd", strconv.Itoa(statusFD)}
	if g.Home != "" {
		options = append(options, "--homedir", g.Home)
	}
	if passphrase != nil {
		options = append(options, "--pinentry-mode", "loopback", "--passphrase-fd", strconv.Itoa(passphraseFD))
	}
	status, statusW, err := os.Pipe()
	if err != nil {
		return nil, "", fmt.Errorf("run %s: %w", path, err)
	}
	defer status.Close()
	pass, passW, err := os.Pipe()
	if err != nil {
		statusW.Close()
		return nil, "", fmt.Errorf("run %s: %w", path, err)
	}
	p, err := child.Start(ctx, child.Command{
		Args: append(options, args...), Env: g.Env, Stdin: bytes.NewReader(stdin), Files: []*os.File{statusW, pass},
	})
	statusW.Close()
	pass.Close()
	if errors.Is(err, child.ErrNotFound) {
		err = fmt.Errorf("%w: %w", ErrNoProgram, err)
	}
	if err != nil {
		passW.Close()
		return nil, "", err
	}
	go func() {
		defer passW.Close()
		// A gpg that does not read it fails, and says why.
		_, _ = passW.Write(append(bytes.Clone(passphrase), '\n'))
	}()
	report := make(chan gpgStatus, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(status, 1<<20)) // until gpg ends: an agent that it starts does not inherit the pipe
		report <- gpgStatus(b)
	}()
	out, err := p.All(outputMax)
	_ = status.SetReadDeadline(time.Now().Add(time.Second)) // should somebody else hold it
	s := <-report
	switch {
	case err == nil:
		return out, s, nil
	case s.badPassphrase():
		return nil, s, crypto.ErrPassphrase
	case s.has("NO_SECKEY") && strings.Contains(err.Error(), "gpg-agent"): // which it names in each language
		return nil, s, fmt.Errorf("%w: %w", ErrAgent, err)
	case s.has("NO_SECKEY"):
		return nil, s, g.absent()
	}
	return nil, s, err
}

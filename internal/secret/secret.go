// Package secret reads passphrases and passwords from where somebody put them: a file, a command, or as such.
//
// The invariants: no secret, nor any part of the standard output of a command, is in an error, an argument or the environment of a program that is started; an empty one
// is never returned where one was meant, nor the beginning of one that is too long.
package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"nightjar/internal/child"
)

// MaxSize is how long a secret may be, and how much a command may print, in bytes.
const MaxSize = 64 << 10

// drain is how long after its end what a command has left behind is listened to.
const drain = 250 * time.Millisecond

// A Source says where one secret is. The first that is set of File, Command and Value counts; with none there is no secret.
type Source struct {
	Name    string // what it is, in errors: "passphrase"
	File    string // a file, or a pipe, whose first line it is, without the line's end
	Command string // a shell command that prints it, likewise; what it leaves in the background is not waited for
	Value   string // the secret itself

	Environ func() ([]string, error) // returns the environment of Command, which should have a temp directory; nil: empty
	Stderr  io.Writer                // gets the first and the last 4 KiB of what Command says there; nil: the last are in the error
}

// Get returns the secret; nil without an error: none is set.
func (s Source) Get(ctx context.Context) ([]byte, error) {
	switch {
	case s.File != "":
		return s.read()
	case s.Command != "":
		return s.run(ctx)
	case s.Value != "":
		return []byte(s.Value), nil
	}
	return nil, nil
}

func (s Source) read() ([]byte, error) {
	f, err := os.Open(s.File)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.Name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+2)) // with the end of a line
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.Name, err)
	}
	return s.firstLine(b, "file")
}

func (s Source) run(ctx context.Context) ([]byte, error) {
	c := child.Command{Name: s.Name + " command", Args: []string{"/bin/sh", "-c", s.Command}, Drain: drain}
	if s.Environ != nil {
		env, err := s.Environ()
		if err != nil {
			return nil, err
		}
		c.Env = env
	}
	if s.Stderr != nil {
		said := child.NewExcerpt(s.Stderr)
		defer said.Close()
		c.Stderr = said
	}
	b, err := child.Output(ctx, c, MaxSize)
	if err != nil {
		return nil, err
	}
	return s.firstLine(b, "command")
}

// firstLine returns the first line of b. An empty one is an error: it must not silently leave a new key without protection.
func (s Source) firstLine(b []byte, from string) ([]byte, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	var err error
	switch {
	case len(line) == 0:
		err = errors.New("an empty one")
	case len(line) > MaxSize:
		err = fmt.Errorf("one of more than %d bytes", MaxSize)
	default:
		return line, nil
	}
	return nil, fmt.Errorf("read %s: the %s gives %w", s.Name, from, err)
}

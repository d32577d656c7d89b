package setup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/internal/durable"
	"nightjar/repo/keyring"
	"nightjar/repo/statedir"
)

// begun is the making of a repository that is at work on this machine, or was stopped there. It is kept in the state folder until it has ended well.
type begun struct {
	URL        string            `json:"url"`
	Repository string            `json:"repository"`
	Config     [sha256.Size]byte `json:"config"` // the hash of what it stores first
	Kit        string            `json:"kit"`    // where its recovery kit is to lie
}

const begunFile = "init.json"

// lockState waits until no other program makes a repository with this state folder: what begun says there is of one that was stopped.
func lockState(ctx context.Context, dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock state directory %s: %w", dir, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// readBegun returns what was begun at a place and never ended, the zero value if nothing was.
func readBegun(dir, url string) (begun, error) {
	var b begun
	text, err := os.ReadFile(filepath.Join(dir, begunFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(text, &b); err != nil || b.URL != url {
		return begun{}, nil // it can be waited for
	}
	if _, err := statedir.Dir(dir).Keys(b.Repository); err == nil {
		return begun{}, nil // it has opened since: it was made, and may lie elsewhere by now
	}
	return b, nil
}

func (b *begun) write(dir string) error {
	text, err := json.Marshal(b)
	if err == nil {
		err = durable.WriteFile(filepath.Join(dir, begunFile), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func (b *begun) end(dir string) error { return os.Remove(filepath.Join(dir, begunFile)) }

func (b *begun) stored(config []byte) bool { return sha256.Sum256(config) == b.Config }

// wrote reports whether a recovery kit is that of this run.
func (b *begun) wrote(kit string) bool {
	if b.Repository == "" || b.Kit != kit {
		return false
	}
	page, err := os.ReadFile(kit)
	if err != nil {
		return false
	}
	id, _, ok := keyring.KitRoot(page)
	return ok && id == b.Repository
}

// kitAt returns where the recovery kit of what this machine has made at a place lies, "" if it has none. An init that was stopped may have told nobody.
func kitAt(state statedir.Dir, url string) string {
	if b, _ := readBegun(string(state), url); b.wrote(b.Kit) {
		return b.Kit
	}
	repository, err := state.At(url)
	if err != nil || repository == "" {
		return ""
	}
	kit := session.KitPath(state, repository)
	if _, err := os.Stat(kit); err != nil {
		return ""
	}
	return kit
}

// clear has this machine forget a repository that was never made. Its recovery kit moves to where its key stays: whoever moved the place meanwhile may look for them.
func (b *begun) clear(state statedir.Dir) error {
	if b.Repository == "" {
		return nil
	}
	if b.wrote(b.Kit) {
		beside := session.KitPath(state, b.Repository)
		page, err := os.ReadFile(b.Kit)
		if err == nil && beside != b.Kit {
			if err = durable.WriteFile(beside, page, 0o600); err == nil {
				err = os.Remove(b.Kit)
			}
		}
		if err != nil {
			return fmt.Errorf("move the recovery kit of a stopped run: %w", err)
		}
	}
	return state.Stopped(b.Repository)
}

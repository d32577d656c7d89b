package server

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nightjar/mysqldump"
)

// A Paused is a replica's SQL thread that somebody stops for a moment, and starts again. A note of it in a folder outlives whom
// is killed in between, so that the next one finds it and starts the thread.
type Paused struct {
	Hostname string // as Identity has it, with what follows
	Port     uint16
	ServerID uint32
	UUID     mysqldump.UUID
	Channel  string
	// From is how far the thread had come when it was stopped: file and offset of its source's binary log, and GTIDs.
	From mysqldump.Position `json:",omitzero"`
	// Until is how far it was let go before it was stopped again; zero: not at all.
	Until mysqldump.Position `json:",omitzero"`
}

// Of reports whether it is of a server.
func (p Paused) Of(id Identity) bool {
	return p.Hostname == id.Hostname && p.Port == id.Port && p.ServerID == id.ServerID && p.UUID == id.ServerUUID
}

// Left reports whether a thread that has come so far may be as it was left, or has been moved since.
func (p Paused) Left(executed mysqldump.Position) bool {
	if p.From.File == "" || executed.File == "" {
		until := p.Until.GTIDs
		return executed.GTIDs.Equal(p.From.GTIDs) || executed.GTIDs.Contains(p.From.GTIDs) && until.Contains(executed.GTIDs)
	}
	from, err := p.From.CompareFiles(executed)
	if err != nil || from == 0 || p.Until.File == "" {
		return err == nil && from == 0
	}
	until, err := executed.CompareFiles(p.Until)
	return err == nil && from < 0 && until <= 0
}

// A PauseNote is the note of a Paused. It is held by whom made it until it is removed or its process ends.
type PauseNote struct {
	file *os.File // nil: no note is taken
	path string
}

const (
	pausedPattern = "mysql-*.paused"
	maxNote       = 16 << 10
)

func pausedName(p Paused) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %d %s %q", p.Hostname, p.Port, p.ServerID, p.UUID, p.Channel))
	return fmt.Sprintf("mysql-%x.paused", sum[:8])
}

// NotePaused takes a note before a thread is stopped, in place of an older one that nobody holds. An empty folder is for none.
func NotePaused(folder string, p Paused) (*PauseNote, error) {
	if folder == "" {
		return &PauseNote{}, nil
	}
	n := &PauseNote{path: filepath.Join(folder, pausedName(p))}
	err := os.MkdirAll(folder, 0o700)
	if err == nil {
		n.file, err = os.OpenFile(n.path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	}
	if err == nil {
		if err = n.write(p); err != nil {
			n.file.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("note that a replica is stopped for a moment: %w", err)
	}
	return n, nil
}

// ErrPausing says that another process has stopped the thread for a moment.
var ErrPausing = errors.New("another process has stopped it for a moment")

func (n *PauseNote) write(p Paused) error {
	if err := unix.Flock(int(n.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
		return ErrPausing
	} else if err != nil {
		return err
	}
	return n.Change(p)
}

// Change writes the note anew.
func (n *PauseNote) Change(p Paused) error {
	if n.file == nil {
		return nil
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = n.file.Truncate(0)
	}
	if err == nil {
		_, err = n.file.WriteAt(text, 0)
	}
	if err == nil {
		err = n.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", n.path, err)
	}
	return nil
}

// Remove removes the note, after the thread runs again.
func (n *PauseNote) Remove() error {
	if n.file == nil {
		return nil
	}
	err := os.Remove(n.path)
	return errors.Join(err, n.file.Close())
}

// Close lets go of the note and leaves it, so that the thread is found.
func (n *PauseNote) Close() error {
	if n.file == nil {
		return nil
	}
	return n.file.Close()
}

// LeftPaused returns the notes in a folder whose processes have ended. Who has started their threads removes them.
func LeftPaused(folder string) (left []Paused, notes []*PauseNote, err error) {
	if folder == "" {
		return nil, nil, nil
	}
	paths, err := filepath.Glob(filepath.Join(escapeGlob(folder), pausedPattern))
	if err != nil {
		return nil, nil, fmt.Errorf("look for replicas that were left stopped: %w", err)
	}
	for _, path := range paths {
		p, n, err := readPaused(path)
		switch {
		case errors.Is(err, ErrPausing), errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return left, notes, fmt.Errorf("read %s: %w", path, err)
		default:
			left, notes = append(left, p), append(notes, n)
		}
	}
	return left, notes, nil
}

func escapeGlob(folder string) string {
	var b []byte
	for i := range len(folder) {
		switch folder[i] {
		case '*', '?', '[', '\\':
			b = append(b, '\\')
		}
		b = append(b, folder[i])
	}
	return string(b)
}

func readPaused(path string) (p Paused, n *PauseNote, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return p, nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
		return p, nil, ErrPausing
	} else if err != nil {
		return p, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxNote))
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	return p, &PauseNote{f, path}, err
}

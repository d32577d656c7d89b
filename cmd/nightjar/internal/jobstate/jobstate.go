// Package jobstate keeps in the state folder what a machine remembers of its jobs: how each ran last, and records that could not be written to the repository yet.
//
// The invariant: what cannot be read is said, and counts as nothing, so that no file there keeps a job from running. Each file is written as a whole or not at all,
// but for a state on a full disk: it is written over the one before, which has room there, and counts as none if that is broken off.
package jobstate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/bounded"
	"nightjar/internal/durable"
	"nightjar/internal/versioned"
	"nightjar/job"
	"nightjar/job/record"
)

// A State is what is remembered of a job. The zero value: it was never run.
type State struct {
	Version   int               `json:"version"`
	job.State                   // without an outcome while it runs
	Job       string            `json:"job,omitempty"`
	File      string            `json:"file,omitempty"` // the job file that it was run from last
	Gone      time.Time         `json:"gone,omitzero"`  // when it was found that the file has it no more; zero: it has it
	Kind      string            `json:"kind,omitempty"`
	Exit      int               `json:"exit"`
	Error     string            `json:"error,omitempty"` // the last one, in words; empty: none
	Hint      string            `json:"hint,omitempty"`  // what to do about it
	Archive   string            `json:"archive,omitempty"`
	Overdue   time.Time         `json:"overdue,omitzero"` // when it is, or was, unless it succeeds again
	Figures   map[string]uint64 `json:"figures,omitempty"`
	Notes     map[string]string `json:"notes,omitempty"`
	Result    string            `json:"result,omitempty"`  // what --json printed; empty: nothing, or more than MaxResult bytes
	Recorded  time.Time         `json:"recorded,omitzero"` // when the last run was recorded, and how it ended
	As        record.Outcome    `json:"recorded_as,omitempty"`
}

// MaxResult is how many bytes of a result are kept.
const MaxResult = 64 << 10

// maxState is how many bytes a state has at most: a result is escaped in it.
const maxState = 1 << 20

var bounds = versioned.Bounds{Bytes: maxState, Objects: 8, Values: 4096}

// A Folder is where states are kept: jobs below the state folder.
type Folder string

// In returns the Folder below a state folder.
func In(state string) Folder { return Folder(filepath.Join(state, "jobs")) }

var plain = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// path returns the file of a job, whatever its name is.
func (f Folder) path(name, extension string) string {
	if !plain.MatchString(name) {
		name = fmt.Sprintf("~%x", sha256.Sum256([]byte(name)))
	}
	return filepath.Join(string(f), name+extension)
}

// Read returns what is remembered of a job. With an error there is a State, too, which is empty.
func (f Folder) Read(name string) (State, error) {
	path := f.path(name, ".json")
	s, err := f.parse(path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("read state of job %s: %s: %w", name, path, err)
	}
	return s, nil
}

func (f Folder) parse(path string) (s State, err error) {
	content, err := bounded.ReadFile(path, maxState)
	if err == nil {
		err = versioned.Parse(content, &s, bounds)
	}
	if err == nil && s.Outcome != "" && s.Outcome != record.Done && s.Outcome != record.Problems && s.Outcome != record.Failed {
		err = fmt.Errorf("outcome %q is none", s.Outcome)
	}
	if err != nil {
		return State{}, err
	}
	return s, nil
}

// maxJobs is how many jobs are looked at that a file may have no more.
const maxJobs = 10_000

// All returns what is remembered of all jobs, but for what cannot be read.
func (f Folder) All() ([]State, error) {
	names, err := bounded.Names(string(f), maxJobs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for states of jobs: %w", err)
	}
	var all []State
	for _, name := range names {
		if !strings.HasSuffix(name, ".json") || strings.HasPrefix(name, waits) {
			continue
		}
		if s, err := f.parse(filepath.Join(string(f), name)); err == nil && f.path(s.Job, ".json") == filepath.Join(string(f), name) {
			all = append(all, s)
		}
	}
	return all, nil
}

// Write remembers a job. On a full disk it does so in the room of what was remembered before, and leaves out what has none.
func (f Folder) Write(name string, s State) error {
	s.Version, s.Job = versioned.Version, name
	for _, words := range []*string{&s.Error, &s.Hint, &s.Result} {
		*words = strings.ToValidUTF8(*words, "\uFFFD") // JSON has no other bytes
	}
	if len(s.Result) > MaxResult {
		s.Result = ""
	}
	path := f.path(name, ".json")
	content, err := versioned.EncodeIndented(&s, bounds)
	if err == nil {
		err = f.write(path, content)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		if overwrite(path, content) == nil {
			return nil
		}
		s.Result, s.Figures, s.Notes = "", nil, nil
		if less, failed := versioned.EncodeIndented(&s, bounds); failed == nil && overwrite(path, less) == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("write state of job %s: %w", name, err)
	}
	return nil
}

// overwrite writes a file in the blocks that it has, since a full disk gives no others.
func overwrite(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var s unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &s); err != nil {
		return err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFREG || int64(len(content)) > s.Blocks*512 {
		return unix.ENOSPC
	}
	if _, err := file.WriteAt(content, 0); err != nil {
		return err
	}
	if err := file.Truncate(int64(len(content))); err != nil {
		return err
	}
	return file.Sync()
}

func (f Folder) write(path string, content []byte) error {
	if err := durable.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, content, 0o600)
}

// Lock keeps other runs of a job out until the file is closed, or this process ends. It is nil if there is one.
func (f Folder) Lock(name string) (*os.File, error) { return f.lock(f.path(name, ".lock")) }

func (f Folder) lock(path string) (*os.File, error) {
	if err := durable.MkdirAll(string(f), 0o700); err != nil {
		return nil, fmt.Errorf("keep other runs out: %w", err)
	}
	l, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EROFS) { // where the lock was made before
		l, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("keep other runs out: %w", err)
	}
	err = unix.Flock(int(l.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return l, nil
	}
	l.Close()
	if err == unix.EWOULDBLOCK {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/save"
	"nightjar/repo/store/directory"
)

const hostName = "host"

// nightjarLimit is the memory limit that the nightjar command sets itself.
const nightjarLimit = 180 << 20

// A step is one start of a backup, in a process of its own: peaks of memory do not mix.
type step struct {
	name string
	more func(entries int) int // how many chunks are indexed before it, by somebody else; nil: none
	cold bool
}

var steps = []step{
	{name: "first sync"},
	{name: "nothing new"},
	{name: "nothing new, cold", cold: true},
	{name: "one more object", more: func(entries int) int { return min(entries, objectChunks) }},
	{name: "a third more", more: func(entries int) int { return entries / 3 }}, // so that all of the local index is merged
	{name: "nothing new again"},
}

// A cost is what a step took.
type cost struct {
	Start          time.Duration // from opening the repository until the first file could be read
	Known, Unknown time.Duration // one lookup
	Peak           int64         // bytes
}

// site is where everything lies: the repository, the local index and the one key there is.
type site struct{ dir string }

func (s site) store() string { return filepath.Join(s.dir, "repository") }
func (s site) cache() string { return filepath.Join(s.dir, "cache") }
func (s site) key() string   { return filepath.Join(s.dir, "host.asc") }

// create makes an empty repository.
func (s site) create(ctx context.Context) error {
	key, err := crypto.Generate("host", time.Now(), nil)
	if err != nil {
		return err
	}
	armored, err := key.ArmorSecret(nil)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.key(), armored, 0o600); err != nil {
		return err
	}
	d, err := directory.Create(s.store())
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = repo.Init(ctx, d, repo.InitOptions{HostName: hostName, Host: key, Recovery: []*crypto.Key{key}})
	return err
}

// open opens the repository as the host, which holds a recovery key too.
func (s site) open(ctx context.Context) (*repo.Repository, error) {
	armored, err := os.ReadFile(s.key())
	if err != nil {
		return nil, err
	}
	key, err := crypto.ReadKey(armored)
	if err != nil {
		return nil, err
	}
	d, err := directory.Open(s.store())
	if err != nil {
		return nil, err
	}
	keys, err := keyring.Load(ctx, d, func(string) (keyring.Pin, error) { return keyring.Pin{}, nil }, func(error) {})
	if err != nil {
		return nil, err
	}
	var r *repo.Repository
	warn := func(err error) { fmt.Fprintln(os.Stderr, "warning:", err) }
	r, err = repo.OpenContent(ctx, d, keys, keyring.Held(key), repo.Options{IndexDir: s.cache(), Warn: warn})
	if err != nil {
		return nil, err
	}
	return r, r.SetHost(key)
}

// measure begins a backup, looks up a number of chunks that are known and as many that are not, and commits.
func (s site) measure(ctx context.Context, known, count int) (c cost, err error) {
	debug.SetMemoryLimit(nightjarLimit)
	began := time.Now()
	r, err := s.open(ctx)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	_, err = save.Write(ctx, r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		c.Start = time.Since(began)
		if c.Known, err = lookups(w, 0, known, count, true); err != nil {
			return nil, err
		}
		if c.Unknown, err = lookups(w, 1<<40, known, count, false); err != nil {
			return nil, err
		}
		return &repo.Record{Host: "host", Job: "bench", Root: repo.Root{ID: chunkID(0), Length: 1}}, nil
	})
	if err != nil {
		return c, err
	}
	c.Peak, err = peak()
	return c, err
}

// lookups asks for chunks from all over a range of n, all of which must be known or not, and returns what one took.
func lookups(w *save.Writer, first, n, count int, known bool) (time.Duration, error) {
	began := time.Now()
	for i := range count {
		id := chunkID(first + i*7919%n)
		if ok, err := w.Has(id); err != nil || ok != known {
			return 0, errors.Join(fmt.Errorf("chunk %v: known is %v", id, ok), err)
		}
	}
	return time.Since(began) / time.Duration(count), nil
}

// forget drops the local index from the page cache.
func (s site) forget() error {
	unix.Sync()
	entries, err := os.ReadDir(s.cache())
	for _, e := range entries {
		f, openErr := os.Open(filepath.Join(s.cache(), e.Name()))
		if openErr != nil {
			return openErr
		}
		err = errors.Join(err, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
	}
	return err
}

// peak returns the most memory that this process has had, in bytes.
func peak() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	line, _, _ := bytes.Cut(after, []byte("kB"))
	kilobytes, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
	return kilobytes << 10, err
}

package torture

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a command may take on trees this small before it counts as hung.
const patience = 10 * time.Minute

// A machine is a host with something to save, and what it must get back.
type machine struct {
	t      testing.TB
	dir    string
	src    string
	env    []string
	random *rand.Rand
	saved  map[string]state // by archive
	order  []string         // of archives, as they were seen
	nights int

	host   string   // whose archives are meant; empty: there is one host
	opener []string // flags that name the recovery key; nil: this machine has it
}

// A state says of a tree what each path is.
type state map[string]entry

type entry struct {
	content    string // kind, and what is in it
	attributes string // mode, and the mtime of a file
}

// newMachine makes a machine with some files, and no repository yet.
func newMachine(t testing.TB, r *rand.Rand, repository string, env ...string) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), random: r, saved: map[string]state{}}
	m.src = m.path("src")
	if repository == "" {
		repository = m.path("repo")
	}
	m.env = append(os.Environ(), "NIGHTJAR_REPO="+repository, "NIGHTJAR_STATE_DIR="+m.path("state"), "NIGHTJAR_CACHE_DIR="+m.path("cache"),
		"TMPDIR="+m.path("temp"), "TZ=UTC", "PASSPHRASE=", "SIGN_PASSPHRASE=")
	m.env = append(m.env, env...)
	must(t, os.MkdirAll(m.path("temp"), 0o700))
	m.fill()
	return m
}

// fill makes a source with a bit of everything.
func (m *machine) fill() {
	m.t.Helper()
	for _, f := range []struct {
		name string
		size int
	}{{"database", 700_000}, {"log", 90_000}, {"etc/a", 10}, {"etc/b", 3000}, {"etc/c", 0}, {"old/file", 20_000}} {
		m.write(f.name, m.bytes(f.size))
	}
	must(m.t, os.Symlink("etc/a", filepath.Join(m.src, "link")))
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.random.Uint32())
	}
	return b
}

func (m *machine) write(name string, data []byte) {
	m.t.Helper()
	name = filepath.Join(m.src, name)
	must(m.t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(m.t, os.WriteFile(name, data, 0o644))
}

// night changes what a day changes: pages of a database, the end of a log, small files that come and go.
func (m *machine) night() {
	m.t.Helper()
	m.nights++
	database, err := os.ReadFile(filepath.Join(m.src, "database"))
	must(m.t, err)
	for range 8 {
		copy(database[m.random.IntN(len(database)-512):], m.bytes(512))
	}
	m.write("database", database)
	log, err := os.ReadFile(filepath.Join(m.src, "log"))
	must(m.t, err)
	m.write("log", append(log, m.bytes(2000)...))
	m.write("etc/b", m.bytes(m.random.IntN(5000)))
	m.write(fmt.Sprintf("new/%d", m.nights%7), m.bytes(m.random.IntN(30_000)))
	for _, gone := range []string{"old", fmt.Sprintf("new/%d", (m.nights+3)%7)} {
		must(m.t, os.RemoveAll(filepath.Join(m.src, gone)))
	}
}

// A result is what came of a command.
type result struct {
	code           int // -1: it was killed, by SIGKILL
	stdout, stderr string
}

// command is nightjar with arguments, or behind another program: what it is started by goes before it.
func (m *machine) command(ctx context.Context, before []string, args ...string) *exec.Cmd {
	all := append(append(slices.Clone(before), program), args...)
	c := exec.CommandContext(ctx, all[0], all[1:]...)
	c.Env, c.Dir, c.WaitDelay = m.env, m.dir, 10*time.Second
	return c
}

// start runs a command to its end.
func (m *machine) start(before []string, args ...string) result {
	m.t.Helper()
	r, err := m.try(before, args...)
	must(m.t, err)
	return r
}

// try is start for a goroutine that is not the test's own. The error is for what no command may do, whatever befalls it.
func (m *machine) try(before []string, args ...string) (result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := m.command(ctx, before, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	r := result{stdout: out.String(), stderr: errs.String()}
	if c.ProcessState == nil {
		return r, err
	}
	r.code = c.ProcessState.ExitCode()
	if w, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || w.Signaled() && w.Signal() != syscall.SIGKILL {
		return r, fmt.Errorf("nightjar %s: %v", strings.Join(args, " "), c.ProcessState)
	}
	if ctx.Err() != nil {
		return r, fmt.Errorf("nightjar %s: no end in %v\n%s%s", strings.Join(args, " "), patience, r.stdout, r.stderr)
	}
	if strings.Contains(r.stderr, "panic:") || strings.Contains(r.stderr, "goroutine ") {
		return r, fmt.Errorf("nightjar %s: panicked\n%s", strings.Join(args, " "), r.stderr)
	}
	return r, nil
}

func (m *machine) run(args ...string) result { m.t.Helper(); return m.start(nil, args...) }

// want runs a command, which must end with the code and say on standard error what the pattern asks for; nothing if it is empty.
func (m *machine) want(code int, pattern string, args ...string) result {
	m.t.Helper()
	r := m.run(args...)
	if r.code != code || pattern == "" && r.stderr != "" || !regexp.MustCompile(pattern).MatchString(r.stderr) {
		m.t.Fatalf("nightjar %s: exit code %d, want %d and %q:\n%s%s", strings.Join(args, " "), r.code, code, pattern, r.stdout, r.stderr)
	}
	return r
}

// archives returns those that the repository has, oldest first.
func (m *machine) archives() (ids []string) {
	m.t.Helper()
	var all []struct{ ID string }
	args := []string{"list", "--json"}
	if m.host != "" {
		args = append(args, "--host", m.host)
	}
	must(m.t, json.Unmarshal([]byte(m.want(0, "", args...).stdout), &all))
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	return ids
}

// learn notes of every archive that is new that it holds what the source holds now.
func (m *machine) learn() (committed int) {
	m.t.Helper()
	now := stateOf(m.t, m.src)
	for _, id := range m.archives() {
		if m.saved[id] == nil {
			m.saved[id] = now
			m.order = append(m.order, id)
			committed++
		}
	}
	return committed
}

// backup saves the source; nothing may be wrong.
func (m *machine) backup() {
	m.t.Helper()
	m.want(0, "", "backup", m.src)
	if n := m.learn(); n != 1 {
		m.t.Fatalf("a backup made %d archives", n)
	}
}

// restore puts an archive back with a cache that is empty, and wants no difference.
func (m *machine) restore(id string, flags ...string) {
	m.t.Helper()
	target := m.path("restored")
	args := append([]string{"restore", id + ":" + m.src, "--target", target, "--cache-dir", m.path("cold")}, m.opener...)
	m.want(0, "", append(args, flags...)...)
	m.same(id, target)
	must(m.t, os.RemoveAll(target))
	must(m.t, os.RemoveAll(m.path("cold")))
}

// kept is how many of the newest archives no test forgets.
const kept = 6

// restoreAll wants every archive that was ever committed and that nobody could forget to be there, and all that are there to come back.
func (m *machine) restoreAll() {
	m.t.Helper()
	there := m.archives()
	for _, id := range m.order[max(0, len(m.order)-kept):] {
		if !slices.Contains(there, id) {
			m.t.Fatalf("LOST: archive %s is gone", id)
		}
	}
	for _, id := range there {
		m.restore(id)
	}
}

// whole wants a check of everything to find no fault.
func (m *machine) whole() {
	m.t.Helper()
	m.want(0, "", "check", "--read-data")
}

func (m *machine) same(id, target string) {
	m.t.Helper()
	if found := differences(stateOf(m.t, target), m.saved[id]); len(found) > 0 {
		m.t.Fatalf("LOST: archive %s:\n%s", id, strings.Join(found, "\n"))
	}
}

// differences says what is not as it should be.
func differences(got, want state) (found []string) {
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] {
			found = append(found, fmt.Sprintf("%s is %q, not %q", path, got[path], want[path]))
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			found = append(found, path+" should not be there")
		}
	}
	return found
}

// wrong says which entries hold what was never in them. What is not there is not wrong: it was damaged, and that was said.
func wrong(got, want state) (found []string) {
	for path, e := range got {
		if e.content != want[path].content {
			found = append(found, fmt.Sprintf("%s holds %q, not %q", path, e.content, want[path].content))
		}
	}
	return found
}

// stateOf reads a tree; nothing, if there is none.
func stateOf(t testing.TB, root string) state {
	t.Helper()
	s := state{}
	must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if path == root && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		is := entry{content: e.Type().String(), attributes: info.Mode().String()}
		switch {
		case e.Type().IsRegular():
			sum, err := sumOf(path)
			if err != nil {
				return err
			}
			is.content = fmt.Sprintf("%d bytes, sum %x", info.Size(), sum)
			is.attributes += info.ModTime().UTC().Format(" " + time.RFC3339Nano)
		case e.Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			is.content += " to " + to
		}
		rel, err := filepath.Rel(root, path)
		s[rel] = is
		return err
	}))
	return s
}

func sumOf(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

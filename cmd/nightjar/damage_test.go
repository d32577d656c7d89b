package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/internal/s3test"
)

// TestDamage spoils one object after another on a real server. A check names it, a restore writes no wrong byte and says what is
// wrong, a repair puts it back from another copy, and when the object is back all is as it was.
func TestDamage(t *testing.T) {
	t.Parallel()
	need(t, "diff")
	server := s3test.Versity(t, "eu-west-1")
	s := newSite(t, server, server.Endpoint, "s3://damaged/web1", 1<<20)
	s.write(1 << 20)
	s.wants(0, "", "backup", s.src)
	at := filepath.Join(server.Data, "damaged", "web1")
	good := s.path("copy")
	if out, err := exec.Command("cp", "-a", at, good).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := map[string][]string{} // by kind
	for key := range keysIn(server, "damaged/web1") {
		name := strings.TrimPrefix(key, "web1/")
		kind, _, _ := strings.Cut(name, "/")
		all[kind] = append(all[kind], name)
	}
	damage := []struct {
		how string
		f   func(object, other []byte) []byte // nil: it is deleted
	}{
		{"deleted", func([]byte, []byte) []byte { return nil }},
		{"emptied", func([]byte, []byte) []byte { return []byte{} }},
		{"truncated", func(object, _ []byte) []byte { return object[:len(object)*2/3] }},
		{"first bit", func(object, _ []byte) []byte { return flipped(object, 0) }},
		{"a bit inside", func(object, _ []byte) []byte { return flipped(object, len(object)/2) }},
		{"last bit", func(object, _ []byte) []byte { return flipped(object, len(object)-1) }},
		{"another's bytes", func(_, other []byte) []byte { return other }},
	}
	for i, kind := range []string{"config", "keys", "content", "metadata", "index", "archive"} {
		names := all[kind]
		if least := min(i, 2); len(names) < max(1, least) {
			t.Fatalf("%d objects of kind %s", len(names), kind)
		}
		for j, d := range damage {
			if how := d.how; !tried(i, j, 3) && how != "deleted" {
				continue
			}
			name, how, f := names[0], d.how, d.f
			var other []byte
			switch {
			case len(names) > 1:
				other = readFile(t, filepath.Join(at, names[1]))
			case how == "another's bytes":
				other = readFile(t, filepath.Join(at, all["index"][0]))
			}
			t.Run(kind+" "+how, func(t *testing.T) {
				s.t = t
				path := filepath.Join(at, name)
				was := readFile(t, path)
				if spoilt := f(was, other); spoilt == nil {
					moveAway(t, path)
				} else {
					overwrite(t, path, spoilt)
					t.Cleanup(func() { overwrite(t, path, was) })
				}
				s.damaged(kind, how, name)
				s.repairs(good, name, was)
				if got := readFile(t, path); !bytes.Equal(got, was) {
					t.Errorf("put back: %d bytes that are not those that were there", len(got))
				}
			})
		}
	}
	s.t = t
	s.restores()
	s.wants(0, "", "check", "--read-data")
}

// damaged looks at a repository in which an object is not what it was, from a machine that keeps nothing of it.
func (s *site) damaged(kind, how, name string) {
	s.t.Helper()
	code, stdout, stderr := s.run("check", "--read-data", "--cache-dir", s.t.TempDir())
	switch {
	case kind == "keys" && how == "deleted":
		if code != 10 {
			s.t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
		}
	case code != 12:
		s.t.Errorf("check: exit code %d\n%s%s", code, stdout, stderr)
	case (kind != "index" || how != "deleted") && !strings.Contains(stdout+stderr, name):
		s.t.Errorf("check does not name %s:\n%s%s", name, stdout, stderr)
	}
	target := s.t.TempDir()
	code, _, stderr = s.run("restore", "latest:"+s.dir, "--target", target, "--cache-dir", s.t.TempDir())
	t, ok := s.t.(*testing.T)
	if !ok {
		s.t.Fatal("not a test")
	}
	if kind == "archive" && code == 0 { // the one before came back, whole
		return
	}
	noWrongFiles(t, s.src, filepath.Join(target, "src"))
	switch {
	case code == 0:
		s.same(target)
	case code != 3 && code != 10 && code != 12:
		s.t.Errorf("restore: exit code %d\n%s", code, stderr)
	case stderr == "":
		s.t.Error("restore says nothing")
	}
}

// repairs puts an object back from another copy.
func (s *site) repairs(good, name string, was []byte) {
	s.t.Helper()
	if code, stdout, stderr := s.run("check", "--repair", "--read-data", "--from", good, "--cache-dir", s.t.TempDir()); code != 0 || !strings.Contains(stdout+stderr, name) {
		s.t.Errorf("repair: exit code %d\n%s%s", code, stdout, stderr)
	}
	s.wants(0, "", "check", "--read-data", "--cache-dir", s.t.TempDir())
	if got := readFile(s.t, filepath.Join(good, name)); !bytes.Equal(got, was) {
		s.t.Error("the other copy is not what it was")
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// overwrite keeps what the server notes beside the bytes, as a bad disk does.
func overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func moveAway(t *testing.T, path string) {
	t.Helper()
	hidden := filepath.Join(t.TempDir(), "hidden")
	if err := os.Rename(path, hidden); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Rename(hidden, path); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNothingReadable looks for what was saved in all that a server stored: bytes, names, and what it notes beside.
func TestNothingReadable(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t, "eu-west-1")
	s := newSite(t, server, server.Endpoint, "s3://scanned/web1", 1<<20)
	secrets := []string{"the-kings-content", "the-kings-file", "the-kings-folder", "the-kings-link", "the-kings-attribute",
		"the-kings-tag", "the-kings-label", "the-kings-job", "the-kings-stream", s.src}
	folder := filepath.Join(s.src, "the-kings-folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("the-kings-content\n", 3))
	for name, content := range map[string][]byte{"the-kings-file": text, "long": bytes.Repeat(text, 10_000)} {
		overwrite(t, filepath.Join(folder, name), content)
	}
	if err := os.Symlink("the-kings-link", filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(folder, "user.the-kings-attribute", text, 0); err != nil {
		t.Fatal(err)
	}
	s.wants(0, "", "backup", s.src, "--tag", "the-kings-tag", "--label", "the-kings-label=the-kings-label", "--job", "the-kings-job")
	s.wants(0, "", "backup", "--stdin", "the-kings-stream", "--", "echo", string(text))
	found := scan(t, filepath.Join(server.Data, "scanned"), secrets)
	if len(found) > 0 {
		t.Errorf("can be read: %q", found)
	}
	// The scan can find: bytes, names and attributes.
	planted := filepath.Join(server.Data, "scanned", "the-kings-file")
	overwrite(t, planted, text)
	if err := unix.Setxattr(planted, "user.note", []byte("the-kings-tag"), 0); err != nil {
		t.Fatal(err)
	}
	if found := scan(t, filepath.Join(server.Data, "scanned"), secrets); len(found) != 3 {
		t.Errorf("the scan finds %q of what was planted", found)
	}
}

// scan says where which of the secrets stand below a folder.
func scan(t *testing.T, dir string, secrets []string) (found []string) {
	t.Helper()
	files := 0
	look := func(where string, b []byte) {
		for _, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				found = append(found, fmt.Sprintf("%s: %s", where, secret))
			}
		}
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		look("name", []byte(e.Name()))
		attributes := make([]byte, 64<<10)
		n, err := unix.Listxattr(path, attributes)
		if err != nil {
			return err
		}
		look("attributes of "+path, attributes[:n])
		for _, name := range strings.Split(strings.Trim(string(attributes[:n]), "\x00"), "\x00") {
			value := make([]byte, 64<<10)
			if n, err := unix.Getxattr(path, name, value); err == nil {
				look("attribute of "+path, value[:n])
			}
		}
		if !e.Type().IsRegular() {
			return nil
		}
		files++
		look(path, readFile(t, path))
		return nil
	})
	if err != nil || files < 5 {
		t.Fatalf("%d files, %v", files, err)
	}
	return found
}

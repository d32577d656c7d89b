package recover_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScript(t *testing.T) {
	lines := strings.Count(readPage(t).script, "\n")
	if lines >= 150 {
		t.Errorf("the script has %d lines", lines)
	}
}

func TestRestore(t *testing.T) {
	for _, c := range []struct {
		name, passphrase string
		embedded         bool
	}{{"plain", "", true}, {"locked", "correct horse", false}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, c.embedded)
			write(t, filepath.Join(f.src, "etc/passwd"), []byte("root:x:0:0\nnightjar's needle\n"))
			if c.embedded { // the key makes no difference to the rest
				fill(t, f.src)
			}
			f.backup(t)
			want := look(t, f.src)
			s := newShell(t, f.dir, f.kit(t, c.passphrase))
			if c.passphrase != "" {
				s.enterPassphrase(c.passphrase)
			}
			s.open()
			s.says(" web1 " + f.src)
			if err := s.restore(s.page.steps[6], f.src); err != nil || strings.Contains(s.said, "PROBLEM") {
				t.Fatalf("%v\n%s", err, s.said)
			}
			if c.embedded && !(want["/var/sparse"].sparse && want["/var/hole"].sparse) {
				t.Error("the file system makes no holes: they are not tested")
			}
			compare(t, want, look(t, s.path("target")))

			s.must(s.environment(), `python3 "$WORK/recover.py" ls latest:`+f.src+`/etc`)
			s.says("             29 " + f.src + "/etc/passwd\n")
			s.must(s.environment(), `python3 "$WORK/recover.py" restore latest:`+f.src+`/etc/passwd "$WORK/one"`)
			if b, err := os.ReadFile(s.path("w/one")); err != nil || string(b) != want["/etc/passwd"].content {
				t.Errorf("one file: %q, %v", b, err)
			}
			s.must(s.environment(), s.page.others["hand"], `grep -c needle "$WORK/everything"`)
			s.says(`"host":"web1"`, "\n1\n")

			s.must(s.environment(), s.page.steps[7])
			if _, err := os.Stat(s.path("w")); err == nil {
				t.Error("step 8 leaves the secret keys behind")
			}
		})
	}
}

// Keys of the past open what was sealed to them, and a root of the past keeps its config.
func TestChangedKeys(t *testing.T) {
	f := newFixture(t, false)
	write(t, filepath.Join(f.src, "etc/passwd"), []byte("root:x:0:0\n"))
	f.backup(t)
	f.rekey(t)
	write(t, filepath.Join(f.src, "etc/new"), []byte("new\n"))
	f.backup(t)
	s := newShell(t, f.dir, f.kit(t, ""))
	s.openKeys("keys/000004 is genuine", "secret keys imported: 5")
	if err := s.restore(s.page.steps[6], f.src); err != nil || strings.Contains(s.said, "PROBLEM") {
		t.Fatalf("%v\n%s", err, s.said)
	}
	compare(t, look(t, f.src), look(t, s.path("target")))
	config := filepath.Join(f.dir, "config")
	flip(t, config)
	if err := s.run(s.environment(), s.page.steps[4]); err == nil || strings.Contains(s.said, "config is genuine") {
		t.Errorf("another config passes: %v\n%s", err, s.said)
	}
}

// enterPassphrase does what the page says for those who cannot type.
func (s *shell) enterPassphrase(passphrase string) {
	s.t.Helper()
	write(s.t, s.path("passphrase"), []byte(passphrase+"\n"))
	text, err := os.ReadFile(s.page.path)
	must(s.t, err)
	const command = `printf 'batch\npassphrase-file /path/to/it\n' >> "$GNUPGHOME/gpg.conf"`
	if !strings.Contains(string(text), "`"+command+"`") {
		s.t.Fatal("the page no longer says how to give a passphrase")
	}
	s.page.steps[1] += strings.Replace(command, "/path/to/it", s.path("passphrase"), 1) + "\n"
}

func TestWrongPassphrase(t *testing.T) {
	f := newFixture(t, false)
	s := newShell(t, f.dir, f.kit(t, "correct horse"))
	s.enterPassphrase("incorrect horse")
	if err := s.run(s.page.steps[:4]...); err == nil {
		t.Fatalf("the secrets opened:\n%s", s.said)
	}
	s.says("Bad passphrase")
}

// TestMissing takes away config, keys and index objects, and damages a pack.
func TestMissing(t *testing.T) {
	f := newFixture(t, true)
	fill(t, f.src)
	f.backup(t)
	want := look(t, f.src)
	s := newShell(t, f.dir, f.kit(t, ""))
	must(t, os.Remove(filepath.Join(f.dir, "config")))
	must(t, os.RemoveAll(filepath.Join(f.dir, "keys")))
	s.must(s.page.steps[0], s.page.others["missing"])
	s.says("put back config\nput back keys/000001\n")
	s.open()

	s.must(s.environment(), s.page.others["damaged"])
	if s.said != "" {
		t.Errorf("whole objects are said to be damaged: %s", s.said)
	}
	hidden := s.path("index")
	must(t, os.Rename(filepath.Join(f.dir, "index"), hidden))
	if err := s.restore(s.page.others["scan"], f.src); err != nil || strings.Contains(s.said, "PROBLEM") {
		t.Fatalf("without indexes: %v\n%s", err, s.said)
	}
	compare(t, want, look(t, s.path("target")))
	must(t, os.RemoveAll(s.path("target")))
	must(t, os.Rename(hidden, filepath.Join(f.dir, "index")))

	damaged := largest(t, filepath.Join(f.dir, "content"))
	flip(t, damaged)
	if err := s.run(s.environment(), s.page.others["damaged"]); err == nil {
		t.Error("sha256sum finds nothing")
	}
	s.says("content/", filepath.Base(damaged)+": FAILED")
	if err := s.restore(s.page.steps[6], f.src); err == nil {
		t.Error("a damaged repository was restored without a word")
	}
	s.says("PROBLEM with content/", filepath.Base(damaged), "BAD signature", "bytes are lost")
	got, lost := look(t, s.path("target")), 0
	for name, w := range want {
		if g, ok := got[name]; !ok {
			lost++
			if _, ok := got[name+".damaged"]; !ok {
				t.Errorf("%s is not there, not even in part", name)
			}
		} else if g.content != w.content {
			t.Errorf("%s is wrong", name)
		}
	}
	if lost == 0 || lost > len(want)-10 {
		t.Errorf("%d of %d entries are lost", lost, len(want))
	}
}

// largest returns the largest file in a tree.
func largest(t *testing.T, dir string) string {
	t.Helper()
	var path string
	var size int64
	for name, f := range look(t, dir) {
		if f.size > size {
			path, size = dir+name, f.size
		}
	}
	return path
}

// flip changes a bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.Chmod(path, 0o600))
	must(t, os.WriteFile(path, b, 0o600))
}

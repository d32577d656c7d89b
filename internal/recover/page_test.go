// Package recover_test does what doc/recover-by-hand.md says, with the real gpg, zstd and python3, and looks whether files come back.
//
// The page is the only source: its commands and its script are taken out of it and run as they stand, but for the paths of its first step.
// What the script must never do is tried here too. That nightjar itself restores is tested elsewhere.
package recover_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// page is doc/recover-by-hand.md taken apart.
type page struct {
	steps  []string          // the commands of its numbered steps
	others map[string]string // the commands under other headings, by the word behind "sh"
	script string
	path   string
}

var fence = regexp.MustCompile("(?ms)^```(\\w+) ?(\\w*)\n(.*?)^```$")

func readPage(t *testing.T) page {
	t.Helper()
	path, err := filepath.Abs("../../doc/recover-by-hand.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := page{others: map[string]string{}, path: path}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		switch {
		case m[1] == "python":
			p.script += m[3]
		case m[2] == "":
			p.steps = append(p.steps, m[3])
		default:
			p.others[m[2]] = m[3]
		}
	}
	if len(p.steps) != 8 || len(p.others) != 4 || p.script == "" {
		t.Fatalf("the page has %d steps and %d other blocks", len(p.steps), len(p.others))
	}
	return p
}

// shell is where somebody pastes what the page says.
type shell struct {
	t    *testing.T
	page page
	dir  string
	said string // by the last run, both outputs
}

// newShell stands in for the first step of the page. kit is the recovery kit's text.
func newShell(t *testing.T, repo string, kit []byte) *shell {
	t.Helper()
	for _, program := range []string{"gpg", "gpgconf", "zstd", "python3", "bash"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is needed: %v", program, err)
			}
			t.Skipf("SKIPPED, NOTHING TESTED: %s is needed: %v", program, err)
		}
	}
	s := &shell{t: t, page: readPage(t), dir: t.TempDir()}
	write(t, s.path("kit.txt"), kit)
	s.page.steps[0] = "export KIT=" + s.path("kit.txt") + " REPO=" + repo + " WORK=" + s.path("w") + " TARGET=" + s.path("target") + " DOC=" + s.page.path + "\n"
	t.Cleanup(func() {
		if _, err := os.Stat(s.path("w/gnupg")); err == nil {
			s.must("gpgconf --homedir " + s.path("w/gnupg") + " --kill all")
		}
	})
	return s
}

func (s *shell) path(name string) string { return filepath.Join(s.dir, name) }

// run runs commands in an environment of their own, so that they get by with what the page sets.
func (s *shell) run(commands ...string) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.Join(commands, "\n"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C.UTF-8"}
	cmd.Dir = s.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	s.said = out.String()
	return err
}

func (s *shell) must(commands ...string) {
	s.t.Helper()
	if err := s.run(commands...); err != nil {
		s.t.Fatalf("%v\n%s", err, s.said)
	}
}

// environment is what steps 1 and 2 leave in the shell, for commands that are run later.
func (s *shell) environment() string {
	return s.page.steps[0] + "export GNUPGHOME=\"$WORK/gnupg\" TMPDIR=\"$WORK\"\numask 077\n"
}

// open does steps 1 to 6.
func (s *shell) open() { s.t.Helper(); s.openKeys("keys/000001 is genuine", "secret keys imported: 3") }

// openKeys does the same, and expects gpg to say something else of the keys.
func (s *shell) openKeys(says ...string) {
	s.t.Helper()
	s.must(s.page.steps[:6]...)
	s.says(append(says, "config is genuine")...)
}

// restore does step 7 for one directory of the archive.
func (s *shell) restore(command, path string) error {
	s.t.Helper()
	changed := strings.Replace(command, "restore latest ", "restore latest:"+path+" ", 1)
	if changed == command {
		s.t.Fatalf("no restore in %q", command)
	}
	return s.run(s.environment(), changed)
}

// says checks what the last run printed.
func (s *shell) says(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if !strings.Contains(s.said, w) {
			s.t.Fatalf("it does not say %q:\n%s", w, s.said)
		}
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a new terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// atTerminal runs nightjar with a terminal of its own for everything, calls answer with it once it shows the prompt, and returns all that it showed.
func atTerminal(t *testing.T, env []string, prompt string, answer func(*os.File) error, args ...string) string {
	t.Helper()
	master, slave := openTerminal(t)
	defer master.Close()
	cmd := exec.Command("nightjar", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	buf := make([]byte, 4096)
	for asked := prompt == ""; ; {
		n, err := master.Read(buf)
		shown.Write(buf[:n])
		if err != nil { // EIO: nobody is left at the other end
			break
		}
		if !asked && strings.Contains(shown.String(), prompt) {
			asked = true
			if err := answer(master); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("nightjar %q: %v\n%s", args, err, shown.String())
	}
	return shown.String()
}

// typed returns an answer that is typed when the terminal does not show any more what is.
func typed(answer string) func(*os.File) error {
	return func(terminal *os.File) error {
		for {
			state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
			if err != nil {
				return err
			}
			if state.Lflag&unix.ECHO == 0 {
				_, err := terminal.WriteString(answer + "\n")
				return err
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	src := filepath.Join(work, "src")
	if err := os.MkdirAll(src, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"NIGHTJAR_REPO=", "NIGHTJAR_STATE_DIR=" + filepath.Join(work, "state"), "NIGHTJAR_CACHE_DIR=" + filepath.Join(work, "cache"), "TERM=xterm"}
	mustShow := func(shown string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(shown, want) {
				t.Errorf("%q is not in:\n%s", want, shown)
			}
		}
	}

	// With somebody there to read it, a backup needs no repository, and tells what it made, and how it went.
	protected := append(env, "PASSPHRASE=secret words")
	shown := atTerminal(t, protected, "", nil, "backup", src)
	mustShow(shown, "made a repository in", "on this same machine", "recovery kit is", "source files", "bytes stored")

	// Messages are broken at the terminal's width, between words.
	for line := range strings.SplitSeq(shown, "\n") {
		if strings.HasPrefix(line, "nightjar: note: its recovery kit") && strings.Contains(line, "Move the recovery kit off this machine") {
			t.Errorf("a message is longer than the terminal is wide: %q", line)
		}
	}
	mustShow(shown, "\r\n    ")

	// A passphrase is asked for, and not shown.
	shown = atTerminal(t, env, "Passphrase of host key", typed("secret words"), "backup", src)
	mustShow(shown, "unchanged files")
	if strings.Contains(shown, "secret words") {
		t.Errorf("the terminal shows the passphrase:\n%s", shown)
	}

	// Progress: something with a rate, that is gone at the end; none with --quiet.
	shown = atTerminal(t, protected, "/s", func(*os.File) error { return os.WriteFile(filepath.Join(work, "seen"), nil, 0o600) },
		"backup", "--stdin", "slow", "--", "sh", "-c", "echo begin; until test -e "+filepath.Join(work, "seen")+"; do sleep 0.05; done; echo end")
	mustShow(shown, "0 files")
	if shown = atTerminal(t, protected, "", nil, "backup", "--quiet", src); shown != "" {
		t.Errorf("--quiet shows:\n%s", shown)
	}
}

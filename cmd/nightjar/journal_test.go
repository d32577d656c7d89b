package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestJournal has journald's socket receive what is logged.
func TestJournal(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "unshare")
	dir := t.TempDir()
	journal, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	file := filepath.Join(dir, "nightjar.toml")
	text := fmt.Sprintf("[repository]\nurl = %q\n[log]\nto = \"journal\"\n[folders]\nstate = %q\n[files.x]\npaths = [\"/etc\"]\n", dir+"/none", dir+"/state")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const script = `mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal && exec nightjar run x --no-record --config "$1"`
	out, err := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", script, dir, file).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 10 {
		t.Fatalf("%v: %s", err, out)
	}
	if err := journal.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for _, want := range []string{"MESSAGE=job x begins\nPRIORITY=6\n", "MESSAGE=job x failed after "} {
		n, err := journal.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(buf[:n]); !strings.HasPrefix(got, want) || !strings.Contains(got, "\nNIGHTJAR_JOB=x\n") || strings.Contains(want, "failed") && !(strings.Contains(got, "\nPRIORITY=3\n") && strings.Contains(got, "\nNIGHTJAR_EXIT=10\n")) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

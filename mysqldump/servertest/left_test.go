package servertest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump/servertest"
)

// TestNothingIsLeft kills tests that have a server running, and one that is stopped.
func TestNothingIsLeft(t *testing.T) {
	if os.Getenv("SERVERTEST_HELPER") != "" {
		for _, k := range servertest.Kinds(t) {
			s := servertest.Start(t, k)
			if k == servertest.MySQL57 {
				s.Pause(t)
			}
			fmt.Printf("\nserver %d %s\n", s.Pid(), s.Dir)
		}
		fmt.Println("\nall")
		select {}
	}
	t.Parallel()
	tests := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingIsLeft$", "-test.timeout=15m")
	tests.Env = append(os.Environ(), "SERVERTEST_HELPER=1")
	out, err := tests.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tests.Start(); err != nil {
		t.Fatal(err)
	}
	servers, said := map[int]string{}, ""
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "all"; {
		said += lines.Text() + "\n"
		var pid int
		var dir string
		if _, err := fmt.Sscanf(lines.Text(), "server %d %s", &pid, &dir); err == nil && isServer(pid, dir) {
			servers[pid] = dir
		}
	}
	if len(servers) < 2 {
		t.Errorf("%d servers were started:\n%s", len(servers), said)
	}
	if err := tests.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = tests.Wait()
	for pid, dir := range servers {
		if !soon(func() bool { return !isServer(pid, dir) }) {
			t.Errorf("a server outlives its tests: %s", dir)
		}
	}
	servertest.Start(t, servertest.MariaDB1011) // which removes the folders, if another test does not
	for _, dir := range servers {
		if !soon(func() bool { return gone(dir) }) {
			t.Errorf("%s is left behind", dir)
		}
	}
}

// soon says whether something comes true in the end.
func soon(is func() bool) bool {
	for deadline := time.Now().Add(5 * time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// isServer says whether a process is the server of a folder.
func isServer(pid int, dir string) bool {
	command, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && strings.Contains(string(command), dir+"/")
}

func gone(dir string) bool {
	_, err := os.Stat(dir)
	return os.IsNotExist(err)
}

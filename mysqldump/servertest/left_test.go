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
	tests := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingIsLeft$", "-test.timeout=5m")
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
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		for pid, dir := range servers {
			if !isServer(pid, dir) {
				delete(servers, pid)
				defer gone(t, dir)
			}
		}
		if len(servers) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("servers outlive their tests: %v", servers)
		}
	}
	servertest.Start(t, servertest.MariaDB1011) // which removes the folders
}

// isServer says whether a process is the server of a folder.
func isServer(pid int, dir string) bool {
	command, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return err == nil && strings.Contains(string(command), dir+"/")
}

func gone(t *testing.T, dir string) {
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", dir, err)
	}
}

// A server, its folder and its port end with the test that has started it.
func TestEnd(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		var pid int
		var dir string
		t.Run("started", func(t *testing.T) {
			s := servertest.Start(t, k)
			pid, dir = s.Pid(), s.Dir
			if !isServer(pid, dir) {
				t.Fatal("its process is another")
			}
		})
		if isServer(pid, dir) {
			t.Error("it runs after its test")
		}
		gone(t, dir)
	})
}

// Programs of each kind run.
func TestProgram(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		s.Exec(t, "CREATE DATABASE a", "CREATE TABLE a.t (id INT PRIMARY KEY)", "INSERT INTO a.t VALUES (42)")
		for _, name := range []string{"mysqldump", "mariadb-dump"} {
			argv := append(s.Program(name), "--no-defaults", "--user=root", "--socket="+s.Socket, "a")
			out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "(42)") || !strings.Contains(string(out), "Dump completed") {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
		argv := append(s.Program("mysqlbinlog"), "--no-defaults", filepath.Join(s.Datadir, "bin.000001"))
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil || !strings.Contains(string(out), "CREATE DATABASE a") {
			t.Errorf("mysqlbinlog: %v\n%s", err, out)
		}
		backup := s.Program("mariadb-backup")
		if k.MariaDB() != (backup != nil) {
			t.Errorf("mariadb-backup: %v", backup)
		}
		if backup != nil {
			argv := append(backup, "--no-defaults", "--backup", "--user=root", "--socket="+s.Socket, "--target-dir="+filepath.Join(t.TempDir(), "copy"), "--datadir="+s.Datadir)
			if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil || !strings.Contains(string(out), "completed OK!") {
				t.Errorf("mariadb-backup: %v\n%s", err, out)
			}
		}
		if s.Program("no-such-program") != nil {
			t.Error("a program that is not there")
		}
	})
}

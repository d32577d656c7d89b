package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/cmd/nightjar/commands/ebs/take"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/snapshot/ec2test/disks"
	"nightjar/snapshot/freeze"
	"nightjar/snapshot/host"
)

// TestEBSThaw freezes with the program's own watchdog, and thaws what was left by hand and as a unit's ExecStopPost does.
func TestEBSThaw(t *testing.T) {
	needRoot(t)
	t.Parallel()
	dir := t.TempDir()
	image, mount, state := filepath.Join(dir, "image"), filepath.Join(dir, "a mount"), filepath.Join(dir, "state")
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("truncate", "-s", "16M", image)
	run("mkdir", mount, state)
	run("mkfs.ext4", "-q", image)
	device := disks.Loop(t, image)
	t.Cleanup(func() {
		freeze.ThawPath(mount)
		if exec.Command("umount", mount).Run() != nil {
			_ = exec.Command("umount", "-l", mount).Run()
		}
	})
	run("mount", device, mount)
	nightjar := func(args ...string) (string, int) {
		t.Helper()
		c := exec.Command("nightjar", append([]string{"--state-dir", state, "ebs", "thaw", "--json"}, args...)...)
		out, err := c.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(out)), ""), c.ProcessState.ExitCode()
	}
	want := func(out string, code int, args ...string) {
		t.Helper()
		if got, exit := nightjar(args...); exit != code || !strings.Contains(got, strings.Join(strings.Fields(out), "")) {
			t.Errorf("thaw %v: exit code %d: %s", args, exit, got)
		}
	}

	a := &app.App{Out: os.Stdout, Err: os.Stderr}
	a.StateDir, a.Children = state, os.Environ()
	o, err := take.FreezeOptions(a)
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("nightjar") // which os.Executable is not in a test
	if err != nil {
		t.Fatal(err)
	}
	o.Watchdog[0], o.Max = program, time.Minute
	mounts, err := host.Machine{}.Mounts()
	if err != nil {
		t.Fatal(err)
	}
	f, err := freeze.Prepare(t.Context(), slices.DeleteFunc(mounts, func(m host.Mount) bool { return m.Path != mount }), o)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(`"thawed":false,"held":true`, 0)
	if r, err := f.Thaw(); err != nil || r.Frozen <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	want("[]", 0)

	run("fsfreeze", "--freeze", mount)
	want(`"thawed":true`, 0, mount)
	want(`"thawed":false`, 0, mount)
	want(`"error"`, 1, filepath.Join(mount, "gone"))
	run("fsfreeze", "--freeze", mount)
	want(`"error"`, 3, filepath.Join(mount, "gone"), mount)
	want(`"thawed":false`, 0, mount)

	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	number, err := host.NumberOf(mount)
	if err != nil {
		t.Fatal(err)
	}
	type target struct {
		Path   string
		Number host.Number
	}
	record := func(boot string) string {
		b, err := json.Marshal(struct {
			Boot    string
			Targets []target
		}{boot, []target{{mount, number}}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(state, "frozen-of-a-run-that-was-killed")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run("fsfreeze", "--freeze", mount)
	record("another boot")
	want("[]", 0)
	path := record(strings.TrimSpace(string(boot)))
	want(`"thawed":true`, 0)
	want("[]", 0)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the record stays:", err)
	}
	want(`"thawed":false`, 0, mount)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(`"error"`, 1)
}

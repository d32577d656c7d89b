package jobs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/cmd/nightjar/internal/timer"
)

// TestInstall puts files of cron and systemd in their places and takes them away: those of others are left alone.
func TestInstall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >>" + dir + "/said\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	in := &installation{root: true, env: []string{"PATH=" + dir + ":/usr/bin:/bin"}, units: filepath.Join(dir, "units"), cron: filepath.Join(dir, "cron"), systemd: filepath.Join(dir, "systemctl")}
	said := func() string {
		b, _ := os.ReadFile(filepath.Join(dir, "said"))
		os.Remove(filepath.Join(dir, "said"))
		return string(b)
	}
	at := timer.Timer{Unit: "nightjar", Command: []string{"/bin/nightjar", "run", "--due"}, User: "root"}
	logs, old := timer.Forever("nightjar-job-logs", "x", at.Command, timer.Service{}), timer.Forever("nightjar-job-old", "x", at.Command, timer.Service{})
	want := func(err error, calls string, files ...string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got := said(); got != calls {
			t.Errorf("systemctl was called with %q, want %q", got, calls)
		}
		found, _ := filepath.Glob(filepath.Join(in.units, "*"))
		for i := range found {
			found[i] = filepath.Base(found[i])
		}
		if strings.Join(found, " ") != strings.Join(files, " ") {
			t.Errorf("there are %q, want %q", found, files)
		}
	}
	want(in.installUnits(append(at.Systemd(), old)), "daemon-reload\nenable nightjar.timer nightjar-job-old.service\nrestart nightjar.timer nightjar-job-old.service\n", "nightjar-job-old.service", "nightjar.service", "nightjar.timer")
	want(in.installUnits(append(at.Systemd(), logs)), "disable --now nightjar-job-old.service\ndaemon-reload\nenable nightjar.timer nightjar-job-logs.service\nrestart nightjar.timer nightjar-job-logs.service\n",
		"nightjar-job-logs.service", "nightjar.service", "nightjar.timer")
	want(in.removeUnits(), "disable --now nightjar.timer\ndisable --now nightjar-job-logs.service\ndaemon-reload\n")

	if err := os.WriteFile(filepath.Join(in.units, "nightjar.service"), []byte("[Unit]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := in.installUnits(at.Systemd()); err == nil || said() != "" {
		t.Errorf("somebody's unit was replaced: %v", err)
	}
	if err := in.installCron(at); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(in.cron); err != nil || !strings.HasSuffix(string(b), "59/10 * * * * root /bin/nightjar run --due\n") || !strings.Contains(string(b), "\nPATH=") {
		t.Errorf("%s, %v", b, err)
	}
	if err := in.removeCron(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(in.cron); err == nil {
		t.Error("it is still there")
	}
	if err := os.WriteFile(in.cron, []byte("0 3 * * * root other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if in.installCron(at) == nil || in.removeCron() == nil {
		t.Error("somebody's file of cron was replaced")
	}
}

// TestCrontab has a user's crontab keep what else is in it, however often lines of ours are put there.
func TestCrontab(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tab, program := filepath.Join(dir, "tab"), filepath.Join(dir, "crontab")
	script := "#!/bin/sh\ncase $1 in -l) test -e " + tab + " || { echo no crontab for you >&2; exit 1; }; cat " + tab + " ;; -) cat >" + tab + " ;; esac\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	in := &installation{crontab: program, env: os.Environ()}
	at := timer.Timer{Command: []string{"/bin/nightjar", "run", "--due"}}
	steps := []func() error{func() error { return in.installCron(at) }, func() error { return in.installCron(at) }, in.removeCron}
	for _, other := range []string{"", "1 2 * * * other\n", "1 2 * * * no end"} {
		if other != "" {
			if err := os.WriteFile(tab, []byte(other), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for i, step := range steps {
			if err := step(); err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(other, "\n") + "\n"
			if other == "" {
				want = ""
			}
			if i < 2 {
				want += made + at.Crontab() + crontabEnd
			}
			if b, err := os.ReadFile(tab); err != nil || string(b) != want {
				t.Errorf("after %q, step %d: %q, %v", other, i, b, err)
			}
		}
	}
}

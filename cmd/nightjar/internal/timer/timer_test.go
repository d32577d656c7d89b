package timer_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightjar/cmd/nightjar/internal/timer"
)

var hostile = []string{"/bin/echo", "plain", "", "two words", "it's", `a"b`, `back\slash`, "100%", "'%'", "$HOME", "`id`", "a;b|c&d", "ümläut", "*", "--at=30 2 * * *", "%H"}

// cronUnescapes does what cron does to a command: an escaped percent sign is one.
func cronUnescapes(line string) string { return strings.ReplaceAll(line, `\%`, "%") }

func TestCrontab(t *testing.T) {
	line := timer.Timer{Unit: "db", Command: append([]string{"printf", "%s\\n"}, hostile...)}.Crontab()
	fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 6)
	if len(fields) != 6 || strings.Contains(line[:len(line)-1], "\n") {
		t.Fatalf("%q is no line of a crontab", line)
	}
	for i, c := range fields[5] {
		if c == '%' && fields[5][i-1] != '\\' {
			t.Fatalf("%q has a bare percent sign", fields[5])
		}
	}
	out, err := exec.Command("/bin/sh", "-c", cronUnescapes(fields[5])).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"); !slices.Equal(got, hostile) {
		t.Errorf("got %q", got)
	}
}

func TestSystemd(t *testing.T) {
	if timer.UnitName("nightjar-job", "a.b") == timer.UnitName("nightjar-job", "a_b") {
		t.Error("two jobs have one unit")
	}
	name := timer.UnitName("nightjar", "web & db", "nightly")
	if name != "nightjar-web___db-nightly" {
		t.Fatalf("name %q", name)
	}
	plain := timer.Timer{Unit: name, Description: "100% " + name, Command: hostile}
	full := plain
	full.Service = timer.Service{Bounded: true, Sandbox: true, Low: true, Write: []string{"/var/lib/nightjar", "/srv/a b", "/srv/100%", `/srv/a"b\c`, "/srv/$x"}, After: [][]string{{"/bin/echo", "a b"}, {"/bin/true"}}}
	steady := full.Service
	steady.Sandbox, steady.Steady = false, true
	for _, files := range [][]timer.File{plain.Systemd(), full.Systemd(), {timer.Forever(name, "x", hostile, full.Service)}, {timer.Forever(name, "x", hostile, steady)}} {
		dir := t.TempDir()
		verify := []string{"verify", "--man=no"}
		for _, f := range files {
			file := filepath.Join(dir, f.Name)
			if err := os.WriteFile(file, []byte(f.Text), 0o644); err != nil {
				t.Fatal(err)
			}
			verify = append(verify, file)
		}
		out, err := exec.Command("systemd-analyze", verify...).CombinedOutput()
		if err != nil || strings.Contains(string(out), dir) {
			t.Errorf("systemd-analyze: %v\n%s\n%+v", err, out, files)
		}
	}
}

func TestUnfit(t *testing.T) {
	if slices.ContainsFunc(hostile, timer.Unfit) || !timer.Unfit("a\nb") || !timer.Unfit("a\x00") {
		t.Error("what fits is not known")
	}
}

// What runs on is started with the machine, and a user's with the user's own systemd, which has no multi-user.target.
func TestForever(t *testing.T) {
	for target, service := range map[string]timer.Service{"multi-user": {Bounded: true}, "default": {}} {
		if text := timer.Forever("x", "x", hostile, service).Text; !strings.HasSuffix(text, "\nWantedBy="+target+".target\n") {
			t.Errorf("not for %s.target:\n%s", target, text)
		}
	}
}

// Machines with one command begin in several minutes, and each always in the same.
func TestSpread(t *testing.T) {
	minutes := map[string]bool{}
	for i := range 100 {
		at := timer.Timer{Unit: "nightjar", Host: fmt.Sprintf("web%d", i), Command: hostile}
		line, _, _ := strings.Cut(at.Crontab(), "-59/10 ")
		if text := at.Systemd()[1].Text; !strings.Contains(text, "\nOnCalendar=*:"+line+"/10\n") {
			t.Fatalf("cron begins at minute %s, and systemd by\n%s", line, text)
		}
		minutes[line] = true
	}
	if len(minutes) != 10 {
		t.Errorf("100 machines begin in %d of the ten minutes", len(minutes))
	}
}

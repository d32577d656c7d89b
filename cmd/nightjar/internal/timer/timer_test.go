package timer_test

import (
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
	line := timer.Timer{Name: "db", Command: append([]string{"printf", "%s\\n"}, hostile...)}.Crontab()
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
	text := timer.Timer{Name: "web & db", Class: "nightly", Command: hostile}.Systemd()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var files []string
	for _, part := range strings.Split(text, "# /etc/systemd/system/")[1:] {
		name, unit, _ := strings.Cut(part, "\n")
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if len(files) != 2 || filepath.Base(files[1]) != "nightjar-ebs-web___db-nightly.timer" {
		t.Fatalf("files %q", files)
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze: %v\n%s\n%s", err, out, text)
	}
}

func TestUnfit(t *testing.T) {
	if slices.ContainsFunc(hostile, timer.Unfit) || !timer.Unfit("a\nb") || !timer.Unfit("a\x00") {
		t.Error("what fits is not known")
	}
}

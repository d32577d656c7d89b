// Package packaging_test makes the Debian package twice and installs it in a system of its own. The package is made by build.sh; there is nothing else here.
package packaging_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const version = "9.9.9"

var arch = flag.String("arch", "amd64", "architecture of the package that TestPackage makes")

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED, NOTHING TESTED: ", why)
}

// run runs a program that must succeed, and returns what it printed.
func run(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// TestPackage makes the package of two copies of the sources, in different surroundings, and wants the same bytes; then it is installed, used, removed and purged.
func TestPackage(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		skip(t, "must be root")
	}
	sources, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	nfpm := filepath.Join(sources, ".bin", "nfpm")
	if _, err := os.Stat(nfpm); err != nil {
		skip(t, "make nfpm: "+err.Error())
	}
	copied := filepath.Join(t.TempDir(), "sources")
	run(t, nil, "sh", "-c", `mkdir "$2" && cd "$1" && tar -c --exclude=./.git --exclude=./.bin --exclude=./dist --exclude=./nightjar . | tar -x --touch -C "$2"`, "sh", sources, copied)
	build := func(sources, umask string, env ...string) string {
		out := t.TempDir()
		env = append(env, "GO=go", "NFPM="+nfpm, "VERSION="+version, "SOURCE_DATE_EPOCH=1000000000", "NIGHTJAR_REPO=", "NIGHTJAR_CONFIG=none")
		run(t, env, "sh", "-c", `umask "$1"; exec "$2"/packaging/build.sh "$3" "$4"`, "sh", umask, sources, out, *arch)
		return filepath.Join(out, "nightjar_"+version+"-1_"+*arch+".deb")
	}
	first := build(sources, "022", "TZ=UTC")
	second := build(copied, "077", "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8", "GOFLAGS=-race", "NIGHTJAR_REPO=/elsewhere", "NIGHTJAR_STATE_DIR=/elsewhere")
	a, errA := os.ReadFile(first)
	b, errB := os.ReadFile(second)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		list := func(file string) string { return run(t, nil, "dpkg-deb", "--contents", file) }
		t.Errorf("two packages of %d and %d bytes (%v, %v):\n%s\n%s", len(a), len(b), errA, errB, list(first), list(second))
	}

	t.Run("install", func(t *testing.T) { install(t, sources, first) })
	if *arch == "amd64" { // whose systemd is the machine's own
		t.Run("systemd", func(t *testing.T) { underSystemd(t, sources, first) })
	}
}

// small copies the small system, with the package and a script; it is "" where that is missing.
func small(t *testing.T, sources, deb, script string) (root string) {
	t.Helper()
	system := filepath.Join(sources, ".bin", "roots", "bookworm")
	if *arch != "amd64" {
		system += "-" + *arch
	}
	for _, program := range []string{"apt-get", "systemctl"} {
		if _, err := os.Stat(filepath.Join(system, "usr", "bin", program)); err != nil {
			t.Log("NOT TESTED, since make test-servers could not bring it, or has brought one of earlier days: ", err)
			return ""
		}
	}
	root = filepath.Join(t.TempDir(), "root")
	run(t, nil, "cp", "-a", system, root)
	run(t, nil, "cp", deb, filepath.Join(root, "nightjar.deb"))
	run(t, nil, "cp", script, filepath.Join(root, "try.sh"))
	return root
}

// try is a service that runs the script when the system has come up, and switches it off.
const try = `[Unit]
After=multi-user.target systemd-user-sessions.service

[Service]
Type=oneshot
ExecStart=/bin/sh -eux /try.sh
ExecStopPost=systemctl --no-block start poweroff.target
StandardOutput=append:/said
StandardError=append:/said
`

// underSystemd boots the small system by its own systemd, twice, and has the package's jobs started by timers.
func underSystemd(t *testing.T, sources, deb string) {
	t.Parallel()
	root := small(t, sources, deb, "trysystemd.sh")
	if root == "" {
		return
	}
	units := filepath.Join(root, "etc", "systemd", "system")
	if err := os.WriteFile(filepath.Join(units, "try.service"), []byte(try), 0o644); err != nil {
		t.Fatal(err)
	}
	wants := filepath.Join(units, "graphical.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../try.service", filepath.Join(wants, "try.service")); err != nil {
		t.Fatal(err)
	}
	for boot := range 2 {
		out, err := exec.CommandContext(t.Context(), "timeout", "-s", "KILL", "120", "./boot.sh", root).CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 77 {
			t.Logf("NOT TESTED, since no systemd boots on this machine: %s", out)
			return
		}
		t.Logf("boot %d: %v\n%s", boot, err, out)
	}
	said, err := os.ReadFile(filepath.Join(root, "said"))
	if err != nil || !strings.HasSuffix(string(said), "\nall tried\n") && !strings.Contains(string(said), "\nall tried\n+ exit\n") {
		t.Errorf("not all was tried: %v\n%s", err, said)
	}
}

// install tries the package in a copy of a small system, with the rights that the service has.
func install(t *testing.T, sources, deb string) {
	t.Parallel()
	root := small(t, sources, deb, "try.sh")
	if root == "" {
		return
	}
	service, err := os.ReadFile("nightjar.service")
	if err != nil {
		t.Fatal(err)
	}
	bounds := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindSubmatch(service)
	if bounds == nil {
		t.Fatal("the service has no bounds")
	}
	capabilities := "-all"
	for name := range strings.FieldsSeq(string(bounds[1])) {
		capabilities += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	out := run(t, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TMPDIR=/tmp", "DEBIAN_FRONTEND=noninteractive", "CAPABILITIES=" + capabilities, "VERSION=" + version,
		"NIGHTJAR_REPO=", "NIGHTJAR_STATE_DIR=", "NIGHTJAR_CACHE_DIR=", "NIGHTJAR_CONFIG=", "PASSPHRASE=", "SIGN_PASSPHRASE="}, "unshare", "--mount", "--pid", "--fork", "chroot", root, "sh", "-eux", "/try.sh")
	if !strings.Contains(out, "\nall tried\n") {
		t.Errorf("not all was tried:\n%s", out)
	}
}

// TestUnits has systemd look at the units. Where the program is not installed, another stands in for it.
func TestUnits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		skip(t, err.Error())
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, name := range []string{"nightjar.service", "nightjar.timer"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), bytes.ReplaceAll(text, []byte("=/usr/bin/nightjar"), []byte("=/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("systemd-analyze", args...).CombinedOutput(); err != nil || bytes.Contains(out, []byte("nightjar")) {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
}

// TestChangelog wants a section for what is built: of the version that is tagged, or what is not released yet.
func TestChangelog(t *testing.T) {
	text, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "Unreleased"
	if tag, err := exec.Command("git", "describe", "--tags", "--match", "v[0-9]*", "--exact-match").Output(); err == nil {
		want = strings.TrimPrefix(strings.TrimSpace(string(tag)), "v")
	}
	sections := map[string]bool{}
	kinds := regexp.MustCompile(`^### (Added|Changed|Deprecated|Removed|Fixed|Security)$`)
	release := regexp.MustCompile(`^## \[(Unreleased|\d+\.\d+\.\d+)\]( - \d{4}-\d\d-\d\d)?$`)
	for n, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "##") {
			continue
		}
		found := release.FindStringSubmatch(line)
		switch {
		case found != nil && (found[1] == "Unreleased") == (found[2] == ""):
			sections[found[1]] = true
		case !kinds.MatchString(line):
			t.Errorf("CHANGELOG.md:%d: %s", n+1, line)
		}
	}
	if !sections[want] {
		t.Errorf("CHANGELOG.md says nothing of %s", want)
	}
}

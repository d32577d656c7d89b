package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/crypto"
	"nightjar/internal/s3test"
)

// TestConfined runs every command with everything but its own folders read-only, /tmp too, and under strace: neither nightjar nor a
// program that it starts makes, or tries to make, anything outside of repository, state, cache, target and temp directory.
func TestConfined(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, program := range []string{"strace", "unshare", "gpg", "gpgconf", "mktemp"} {
		need(t, program)
	}
	t.Run("directory", func(t *testing.T) { t.Parallel(); confine(t, "") })
	t.Run("bucket", func(t *testing.T) {
		t.Parallel()
		server := s3test.Versity(t, "eu-west-1")
		confine(t, "s3://confined/web1", append(server.Environ(), "AWS_ENDPOINT_URL="+server.Endpoint, "AWS_REGION="+server.Region)...)
	})
}

// confine runs every command on a repository: the one named, or one in a directory.
func confine(t *testing.T, repository string, more ...string) {
	work := t.TempDir()
	at := func(name string) string { return filepath.Join(work, name) }
	for _, dir := range []string{"scratch", "gnupg", "src/sub", "trace", "outside"} {
		if err := os.MkdirAll(at(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"src/a": "content", "src/sub/b": strings.Repeat("text ", 100_000), "gnupg/gpg-agent.conf": "allow-loopback-pinentry\n",
		"jobs.toml":     fmt.Sprintf("[files.src]\npaths = [%q]\nkeep.last = 3\nhooks.before = [[\"mktemp\"]]\n", at("src")),
		"nightjar.toml": "[files.src]\npaths = [\"" + at("src") + "\"]\n[hooks]\nbefore = [[\"mktemp\"]]\n",
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	initialize := []string{"init", "--host", "db1"}
	if repository == "" {
		repository = at("repo")
	} else {
		initialize = append(initialize, "--create-bucket")
	}
	env := append(os.Environ(), "GNUPGHOME="+at("gnupg"), "NIGHTJAR_REPO="+repository, "NIGHTJAR_STATE_DIR="+at("state"),
		"NIGHTJAR_CACHE_DIR="+at("cache"), "PASSPHRASE=", "SIGN_PASSPHRASE=")
	env = append(env, more...)
	fingerprint := string(gpgImport(t, env))

	flag := []string{"--tempdir", at("scratch")}
	var byVariable []string
	steps := []struct {
		tempdir []string
		args    []string
	}{
		{flag, append(initialize, "--encrypt-key", fingerprint)},
		{flag, []string{"backup", at("src"), "--verbose"}},
		{flag, []string{"backup", at("src"), "--rehash", "--json"}},
		{byVariable, []string{"backup", "--stdin", "x", "--", "sh", "-c", "echo $(mktemp)"}},
		{flag, []string{"backup", "--stdin", "x", "--", "sh", "-c", "echo $(mktemp)"}},
		{flag, []string{"list", "--passphrase-command", "mktemp", "--key", fingerprint}},
		{flag, []string{"ls", "latest"}},
		{flag, []string{"stats"}},
		{flag, []string{"status"}},
		{flag, []string{"metrics", "--output", at("state/nightjar.prom")}},
		{flag, []string{"version"}},
		{flag, []string{"completion", "bash"}},
		{flag, []string{"__complete", "ls", "latest:" + at("src") + "/"}},
		{flag, []string{"cat", "latest", "--key", fingerprint}},
		{byVariable, []string{"cat", "latest", "--key", fingerprint}},
		{flag, []string{"restore", "latest:" + at("src"), "--job", "files", "--key", fingerprint, "--target", at("target"), "--dry-run"}},
		{flag, []string{"restore", "latest", "--key", fingerprint, "--target", at("target"), "--verify"}},
		{flag, []string{"drill", "--full", "--key", fingerprint}},
		{byVariable, []string{"drill", "latest", "--sample", "1", "--key", fingerprint, "--no-record"}},
		{flag, []string{"find", "a", "--all"}},
		{flag, []string{"man", at("target/man")}},
		{flag, []string{"check", "--read-data", "--key", fingerprint}},
		{flag, []string{"check"}},
		{flag, []string{"check", "--repair", "--read-data", "--key", fingerprint, "--source", "/"}},
		{flag, []string{"salvage", "--all", "--key", fingerprint, "--target", at("target/salvaged")}},
		{flag, []string{"run", "src", "--config", at("jobs.toml")}},
		{flag, []string{"schedule", "--crontab", "--config", at("jobs.toml")}},
		{flag, []string{"report", "--output", at("target/report.html")}},
		{flag, []string{"remove-older-than", "1Y", "--force"}},
		{flag, []string{"remove-all-but-n-full", "1"}},
		{flag, []string{"forget", "--keep-last", "1"}},
		{flag, []string{"prune", "--repack", "--key", fingerprint}},
		{flag, []string{"index", "rebuild", "--all", "--key", fingerprint}},
		{flag, []string{"copy", "--to", at("target/copy"), "--create"}},
		{flag, []string{"copy", "--to", at("target/copy"), "--delete", "--key", fingerprint}},
		{flag, []string{"copy", "--to", at("target/some"), "--archive", "latest", "--create", "--key", fingerprint}},
		{flag, []string{"key", "list"}},
		{flag, []string{"key", "check", "--key", fingerprint}},
		{flag, []string{"key", "enroll", "--renew", "--certificate", at("state/new.crt")}},
		{flag, []string{"key", "rotate", "host", "db1", "--certificate", at("state/new.crt"), "--key", fingerprint}},
		{flag, []string{"key", "add-host", "db2", "--new-key", at("state/db2.asc"), "--key", fingerprint}},
		{flag, []string{"key", "root", "--key", fingerprint, "--kit-file", at("state/kit.txt")}},
		{byVariable, []string{"key", "rotate", "metadata", "--key", fingerprint, "--kit-file", at("state/kit.txt")}},
		{flag, []string{"backup", at("src")}},
		{flag, []string{"config", "check", "--connect", at("nightjar.toml")}},
		{flag, []string{"config", "show", "--config", at("nightjar.toml")}},
		{flag, []string{"config", "init", "--output", at("target/nightjar.toml")}},
		{flag, []string{"list", "--config", at("nightjar.toml")}},
		{flag, []string{"cache"}},
		{flag, []string{"cache", "clean", "--all"}},
		{flag, []string{"--state-dir", at("state2"), "backup", "--embedded", at("src")}},
	}
	steps[1].args = append(steps[1].args, "--job", "files")
	covered := map[string]bool{"mysql": true, "ebs": true} // TestMySQLConfined, TestEBSConfined
	for i, s := range steps {
		for _, a := range s.args {
			covered[a] = true
		}
		stepEnv := append(slices.Clone(env), "TMPDIR="+at("scratch"))
		if s.tempdir != nil {
			stepEnv = append(stepEnv, "TMPDIR=/tmp") // where nobody may write; the option goes before it
		}
		if slices.Contains(s.args, "--embedded") {
			stepEnv = append(stepEnv, "NIGHTJAR_REPO=")
		}
		prefix := at(fmt.Sprintf("trace/%02d", i))
		args := slices.Concat([]string{"nightjar"}, s.args[:len(s.args):len(s.args)])
		if j := slices.Index(args, "--"); j >= 0 {
			args = slices.Insert(args, j, s.tempdir...)
		} else {
			args = append(args, s.tempdir...)
		}
		if out, err := confined(work, prefix, stepEnv, args); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		for _, line := range offences(t, prefix, work) {
			t.Errorf("%q: %s", s.args, line)
		}
	}
	a := new(app.App)
	for _, c := range commandTree(a).Commands() {
		if !covered[c.Name()] {
			t.Errorf("command %s is not tested here", c.Name())
		}
	}

	// The test can fail.
	prefix := at("trace/bad")
	if out, err := confined(work, prefix, env, []string{"sh", "-c", "mktemp -p /tmp; touch " + at("outside/x") + "; ln -s scratch outside/l; mv gnupg/gpg-agent.conf outside/m; true"}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if found := offences(t, prefix, work); len(found) < 4 {
		t.Errorf("of four offences, only these were seen: %q", found)
	}
}

// gpgImport puts a key into gpg's keyring.
func gpgImport(t *testing.T, env []string) crypto.Fingerprint {
	t.Helper()
	k, err := crypto.Generate("operator", time.Now().Add(-time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	armored, err := k.ArmorSecret(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"gpg", "--batch", "--import"}, {"gpgconf", "--kill", "all"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env, cmd.Stdin = env, strings.NewReader(string(armored))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	return k.Fingerprint()
}

// confined runs a program with everything read-only but work, and traces what it, and whatever it starts, makes. The agent that
// gpg leaves behind would keep strace waiting.
func confined(work, prefix string, env, args []string) ([]byte, error) {
	const script = `
		work=$1 prefix=$2; shift 2
		mount --bind /tmp /tmp && mount --bind "$work" "$work" &&
		mount -o remount,ro,bind /tmp && mount -o remount,ro,bind / || exit 99
		exec strace -ff --seccomp-bpf -y -qq -s 4096 -e signal=none -o "$prefix" \
			-e trace=chdir,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,symlink,symlinkat,mknod,mknodat \
			sh -c '"$@"; code=$?; gpgconf --kill gpg-agent; exit $code' sh "$@"`
	cmd := exec.Command("unshare", append([]string{"-m", "--propagation", "private", "sh", "-c", script, "sh", work, prefix}, args...)...)
	cmd.Env, cmd.Dir = env, work
	return cmd.CombinedOutput()
}

var (
	traced  = regexp.MustCompile(`^(\w+)\((.*)$`)
	named   = regexp.MustCompile(`(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"`)
	writes  = regexp.MustCompile(`O_(CREAT|TMPFILE|WRONLY|RDWR|TRUNC)`)
	ignored = regexp.MustCompile(`^(\+\+\+|---|\?\?\?\()`) // ends of processes and threads
)

// offences returns the traced calls that make something, or try to, where nothing is to be made.
func offences(t *testing.T, prefix, work string) []string {
	t.Helper()
	files, err := filepath.Glob(prefix + ".*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no trace in %s: %v", prefix, err)
	}
	var found []string
	calls := 0
	worksIn := workingFolders(t, files)
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if ignored.MatchString(lines.Text()) {
				continue
			}
			call := traced.FindStringSubmatch(lines.Text())
			if call == nil {
				t.Errorf("cannot read trace: %s", lines.Text())
				continue
			}
			calls++
			if call[1] == "chdir" {
				continue
			}
			if strings.HasPrefix(call[1], "open") && !writes.MatchString(call[2]) {
				continue
			}
			paths := named.FindAllStringSubmatch(call[2], -1)
			if strings.HasPrefix(call[1], "symlink") {
				paths = paths[1:] // the first is what it says
			}
			for _, m := range paths {
				path := m[2]
				if call[1] == "unlink" && !filepath.IsAbs(path) { // of a program that is where it works: it makes nothing
					continue
				}
				if !filepath.IsAbs(path) {
					in := func(dir string) bool { return mayMake(filepath.Join(dir, path), work) }
					if m[1] == "" && len(worksIn) > 0 && !slices.ContainsFunc(worksIn, func(dir string) bool { return !in(dir) }) {
						continue // of a server, which is in its data directory
					}
					path = filepath.Join(m[1], path)
				}
				if !mayMake(path, work) {
					found = append(found, lines.Text())
				}
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if calls == 0 {
		t.Fatalf("nothing was traced in %s", prefix)
	}
	return found
}

// workingFolders returns the folders that programs went to.
func workingFolders(t *testing.T, files []string) (folders []string) {
	t.Helper()
	gone := regexp.MustCompile(`(?m)^chdir\("(/[^"]*)"\) += 0$`)
	for _, file := range files {
		trace, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range gone.FindAllStringSubmatch(string(trace), -1) {
			folders = append(folders, filepath.Clean(m[1]))
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

func mayMake(path, work string) bool {
	if strings.HasPrefix(path, "/sys/fs/cgroup") && strings.HasSuffix(path, "/memory.pressure") { // a server asks the kernel to be told
		return true
	}
	for _, dir := range []string{"repo", "state", "state2", "cache", "target", "scratch", "gnupg"} {
		if dir = filepath.Join(work, dir); path == dir || strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/")
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"nightjar/crypto"
)

// noRaceSleep lets programs that were built with the race detector end at once, not a second later.
const noRaceSleep = "atexit_sleep_ms=0"

// patient is set for a nightjar that may take its time to complete, on a machine that is busy.
const patient = "NIGHTJAR_TEST_PATIENT"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", noRaceSleep)
	if os.Getenv("NIGHTJAR_CONFIG") == "" { // which a script may have set for this program
		os.Setenv("NIGHTJAR_CONFIG", "none") // whatever this machine has
	}
	testscript.Main(m, map[string]func(){
		"nightjar": func() {
			// Away from the terminal of whoever runs the tests; a script that wants one has its own.
			_, _ = unix.Setsid()
			if os.Getenv(patient) != "" {
				completionTime = time.Minute
			}
			main()
		},
	})
}

// need returns the path of a program. Without it a test fails in CI and is skipped, aloud, elsewhere.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		skip(t, err.Error())
	}
	return path
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "must be root")
	}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED, NOTHING TESTED: ", why)
}

// TestScript runs the scripts in testdata, which specify the command line.
func TestScript(t *testing.T) {
	needRoot(t)
	for _, program := range []string{"gpg", "gpgconf", "promtool", "unshare", "setfattr", "strace"} {
		need(t, program)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: setUp,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"json":    validJSON,
			"makekey": makeKey,
			"gpgkey":  gpgKey,
			"flip":    flip,
			"until":   until,
			"setenv":  setEnvFromOutput,
			"resign":  resign,
			"forge":   forge,
			"thief":   thief,
			"ran":     ran,
		},
	})
}

func setUp(env *testscript.Env) error {
	for _, v := range []struct{ name, dir string }{
		{"NIGHTJAR_REPO", "repo"}, {"NIGHTJAR_STATE_DIR", "state"}, {"NIGHTJAR_CACHE_DIR", "cache"}, {"GNUPGHOME", "gnupg"},
	} {
		env.Setenv(v.name, filepath.Join(env.WorkDir, v.dir))
	}
	frozen, err := filepath.Abs("../../testdata")
	if err != nil {
		return err
	}
	env.Setenv("FROZEN", frozen)
	env.Setenv("TZ", "UTC")
	env.Setenv("NIGHTJAR_CONFIG", "none")
	env.Setenv("GORACE", noRaceSleep)
	home := filepath.Join(env.WorkDir, "gnupg")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	env.Defer(func() {
		kill := exec.Command("gpgconf", "--kill", "all")
		kill.Env = env.Vars
		_ = kill.Run() // mostly there is none
	})
	return os.WriteFile(filepath.Join(home, "gpg-agent.conf"), []byte("allow-loopback-pinentry\ns2k-count 65536\n"), 0o600)
}

// exits runs a program that must end with an exit code: exits CODE PROGRAM ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// validJSON wants exactly one JSON value in a file: json FILE
func validJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: json FILE")
	}
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	var v any
	ts.Check(d.Decode(&v))
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		ts.Fatalf("something follows the JSON value")
	}
}

// makeKey makes a key, which SECRET.bare holds without the passphrase: makekey SECRET CERTIFICATE [PASSPHRASE]
func makeKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: makekey SECRET CERTIFICATE [PASSPHRASE]")
	}
	k, err := crypto.Generate("test "+args[0], time.Now().Add(-time.Minute), nil)
	ts.Check(err)
	secret, err := k.ArmorSecret([]byte(strings.Join(args[2:], "")))
	ts.Check(err)
	bare, err := k.ArmorSecret(nil)
	ts.Check(err)
	public, err := k.ArmorPublic()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".bare"), bare, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), secret, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), public, 0o600))
}

// gpgKey has gpg make a key in its keyring and sets a variable to the fingerprint: gpgkey VARIABLE NAME PASSPHRASE [EXPIRES [ALGORITHM]]
func gpgKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: gpgkey VARIABLE NAME PASSPHRASE [EXPIRES [ALGORITHM]]")
	}
	expires, algorithm, usage, more := "never", "ed25519", "sign", []string(nil)
	if len(args) > 3 {
		expires = args[3]
	}
	if expires == "expired" {
		expires, more = "1d", []string{"--faked-system-time", "20200101T000000"}
	}
	if len(args) > 4 {
		algorithm, usage = args[4], "sign,encrypt"
	}
	common := append(more, "--batch", "--status-fd", "1", "--pinentry-mode", "loopback", "--passphrase", args[2])
	ts.Check(ts.Exec("gpg", append(common, "--quick-generate-key", args[1], algorithm, usage, expires)...))
	_, line, _ := strings.Cut(ts.ReadFile("stdout"), "KEY_CREATED ")
	fields := strings.Fields(line)
	if len(fields) < 2 {
		ts.Fatalf("gpg made no key")
	}
	if algorithm == "ed25519" {
		ts.Check(ts.Exec("gpg", append(common, "--quick-add-key", fields[1], "cv25519", "encrypt", expires)...))
	}
	ts.Setenv(args[0], fields[1])
}

// flip changes a bit in the middle of the one file that matches: flip PATTERN
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip PATTERN")
	}
	found, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d files match", len(found))
	}
	b, err := os.ReadFile(found[0])
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(found[0], b, 0o600))
}

// until waits for a file to hold a text: until FILE TEXT
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until FILE TEXT")
	}
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && bytes.Contains(b, []byte(args[1])) {
			return
		}
	}
	ts.Fatalf("%s never held %q", args[0], args[1])
}

// setEnvFromOutput sets a variable to what a program prints: setenv VARIABLE PROGRAM ARG...
func setEnvFromOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: setenv VARIABLE PROGRAM ARG...")
	}
	ts.Check(ts.Exec(args[1], args[2:]...))
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/help"
)

// bashCompletion is where Debian has it.
const bashCompletion = "/usr/share/bash-completion/bash_completion"

// inBash types lines into a bash that completes, each with a tab at its end, and returns what became of them: the words of each in angle brackets.
func inBash(t *testing.T, env []string, lines ...string) string {
	t.Helper()
	master, slave := openTerminal(t)
	defer master.Close()
	cmd := exec.Command(need(t, "bash"), "--norc", "--noprofile", "-i")
	cmd.Env = append(os.Environ(), append(env, "TERM=dumb", "HISTFILE=", "INPUTRC=/dev/null")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	typed := "bind 'set show-all-if-ambiguous on'; . " + bashCompletion + "; . <(nightjar completion bash)\n"
	for _, line := range lines {
		typed += line + "\t\x01printf '<%s>\\n' \n" // to the beginning, and print what is there
	}
	if _, err := master.WriteString(typed + "exit\n"); err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	_, _ = shown.ReadFrom(master) // EIO: nobody is left at the other end
	if err := cmd.Wait(); err != nil {
		t.Fatalf("bash: %v\n%s", err, shown.String())
	}
	return shown.String()
}

// TestCompletion completes in a real bash.
func TestCompletion(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(bashCompletion); err != nil {
		skip(t, err.Error())
	}
	work := t.TempDir()
	at := func(name string) string { return filepath.Join(work, name) }
	for _, dir := range []string{"src/sub", "src/a b"} {
		if err := os.MkdirAll(at(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"NIGHTJAR_CONFIG=" + at("jobs.toml"), "NIGHTJAR_REPO=", "NIGHTJAR_STATE_DIR=" + at("state"), "NIGHTJAR_CACHE_DIR=" + at("cache"), "PASSPHRASE=", "SIGN_PASSPHRASE=host"}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("nightjar", args...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("nightjar %q: %v", args, err)
		}
		return string(out)
	}
	if err := os.WriteFile(at("jobs.toml"), []byte("[repository]\nurl = \""+at("repo")+"\"\n[files.nightly]\nschedule = \"0 3 * * *\"\npaths = [\"/etc\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("init", "--host", "web1")
	run("backup", at("src"))
	run("backup", "--stdin", "dump", "--", "echo", "x")
	id := strings.Fields(strings.Split(run("list"), "\n")[1])[0]

	shown := inBash(t, env, "nightjar restore lat", "nightjar restore "+id[:5], "nightjar restore latest --overwrite if-c", "nightjar mysql repl",
		"nightjar ls latest:"+at("src")+"/su", "nightjar cat "+id+":"+at("src")+"/a", "nightjar backup --to-sse A", "nightjar completion z", "nightjar copy --archive "+id[:5],
		"nightjar list --job ni", "nightjar restore ")
	for _, want := range []string{"<latest>", "<" + id + ">", "<if-changed>", "<replica>", "<latest:" + at("src") + "/sub/>", "<" + id + ":" + at("src") + "/a b/>", "<AES256>", "<zsh>",
		"<nightly>", "(the newest)", "web1 " + at("src")} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in:\n%s", want, shown)
		}
	}
	if n := strings.Count(shown, "<"+id+">"); n != 2 {
		t.Errorf("an id was completed %d times, 2 wanted:\n%s", n, shown)
	}

	// A passphrase is not asked for, and what is new to this machine is not believed by the way.
	for _, env := range [][]string{append(slices.Clone(env), "SIGN_PASSPHRASE="), append(slices.Clone(env), "NIGHTJAR_STATE_DIR="+at("other"))} {
		shown = inBash(t, env, "nightjar restore lat", "nightjar restore "+id[:5], "nightjar restore --key "+at("kit")+" --passphrase-command 'touch "+at("asked")+"' "+id[:5])
		if !strings.Contains(shown, "<latest>") || strings.Contains(shown, "<"+id+">") || strings.Contains(shown, "assphrase of") {
			t.Errorf("with a key that is locked, or missing:\n%s", shown)
		}
	}
	for _, name := range []string{"other", "asked"} {
		if _, err := os.Stat(at(name)); err == nil {
			t.Errorf("completion made %s", name)
		}
	}
}

// TestCompletionHangs completes though a server never answers.
func TestCompletionHangs(t *testing.T) {
	t.Parallel()
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	work := t.TempDir()
	cmd := exec.Command("nightjar", cobra.ShellCompRequestCmd, "restore", "")
	cmd.Env = append(os.Environ(), "NIGHTJAR_REPO=s3://bucket/x", "AWS_ENDPOINT_URL=http://"+deaf.Addr().String(), "AWS_REGION=r", "AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=s",
		"NIGHTJAR_STATE_DIR="+filepath.Join(work, "state"), "NIGHTJAR_CACHE_DIR="+filepath.Join(work, "cache"))
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), choice.Latest) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestFlagValues wants the values that are offered to be those that the flags' texts name, and every flag to be completed somehow.
func TestFlagValues(t *testing.T) {
	used := map[string]bool{}
	a := new(app.App)
	_ = help.Commands(commandTree(a), func(c *cobra.Command) error {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if _, ok := c.GetFlagCompletionFunc(f.Name); !ok && f.Name != "help" {
				t.Errorf("nothing completes --%s of %s", f.Name, c.CommandPath())
			}
			if f.Name == "kind" || f.NoOptDefVal != "" { // not all of the kinds are named
				return
			}
			for name, values := range flagValues {
				if f.Name != name && f.Name != "to-"+name && f.Name != "from-"+name {
					continue
				}
				used[name] = true
				for _, v := range values {
					if !strings.Contains(f.Usage, strings.TrimSuffix(v, "=")) {
						t.Errorf("%s --%s: %q is offered, and not named: %s", c.CommandPath(), f.Name, v, f.Usage)
					}
				}
			}
		})
		return nil
	})
	for name := range flagValues {
		if !used[name] && name != "kind" {
			t.Errorf("values of --%s, which no command has", name)
		}
	}
}

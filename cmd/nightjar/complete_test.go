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

// completers are shells that complete: how each is started, and what it is told first. fish completes the lines that are its arguments, the others what is typed.
var completers = map[string]struct {
	args  []string
	setup string
}{
	"bash":        {[]string{"bash", "--norc", "--noprofile", "-i"}, "bind 'set show-all-if-ambiguous on'; . " + bashCompletion + "; . <(nightjar completion bash)"},
	"zsh":         {[]string{"zsh", "-f", "-i"}, "bindkey -e; autoload -Uz compinit; compinit -u -D; . <(nightjar completion zsh)"},
	"zsh at need": {[]string{"zsh", "-f", "-i"}, "bindkey -e; nightjar completion zsh >_nightjar; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D"},
	"fish": {[]string{"fish", "--no-config", "-c", `nightjar completion fish | source
		for line in $argv
			for offered in (complete --escape -C $line)
				eval printf "'<%s>\n'" (string split \t -- $offered)[1]
				string split \t -- $offered
			end
		end`}, ""},
}

// inShell types lines into a shell that completes, each with a tab at its end, and returns what became of them: the words of each in angle brackets.
func inShell(t *testing.T, shell, dir string, env []string, lines ...string) string {
	t.Helper()
	with := completers[shell]
	if _, err := os.Stat(bashCompletion); err != nil && shell == "bash" {
		skip(t, err.Error())
	}
	cmd := exec.Command(need(t, with.args[0]), with.args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(env, "TERM=dumb", "HISTFILE=", "INPUTRC=/dev/null", "PWD="+dir)...)
	if with.setup == "" {
		cmd.Args = append(cmd.Args, lines...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", shell, err, out)
		}
		return string(out)
	}
	master, slave := openTerminal(t)
	defer master.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	typed := with.setup + "\n"
	for _, line := range lines {
		typed += line + "\t\x01printf '<%s>\\n' \n" // to the beginning, and print what is there
	}
	if _, err := master.WriteString(typed + "exit\n"); err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	_, _ = shown.ReadFrom(master) // EIO: nobody is left at the other end
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, shown.String())
	}
	return shown.String()
}

// A completed repository is one in a folder, with a job file, and what runs nightjar there.
type completed struct {
	dir string
	env []string
}

func (c *completed) at(name string) string { return filepath.Join(c.dir, name) }

func (c *completed) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("nightjar", args...)
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("nightjar %q: %v", args, err)
	}
	return string(out)
}

// newCompleted makes a repository whose key has a passphrase, or none, with an archive of the folder src, in which are these.
func newCompleted(t *testing.T, passphrase string, inside ...string) (c *completed, id string) {
	t.Helper()
	c = &completed{dir: t.TempDir()}
	c.env = []string{"NIGHTJAR_CONFIG=" + c.at("jobs.toml"), "NIGHTJAR_REPO=", "NIGHTJAR_STATE_DIR=" + c.at("state"), "NIGHTJAR_CACHE_DIR=" + c.at("cache"), "PASSPHRASE=", "SIGN_PASSPHRASE=" + passphrase, patient + "=1"}
	for _, name := range inside {
		if err := os.MkdirAll(c.at("src/"+name+"/deep"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.at("src/"+name+"/the file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	jobs := "[repository]\nurl = \"" + c.at("repo") + "\"\n[files.nightly]\nschedule = \"0 3 * * *\"\npaths = [\"/etc\"]\n[check.noise]\n"
	if err := os.WriteFile(c.at("jobs.toml"), []byte(jobs), 0o600); err != nil {
		t.Fatal(err)
	}
	c.run(t, "init", "--host", "web1")
	c.run(t, "backup", c.at("src"))
	c.run(t, "backup", "--stdin", "dump", "--", "echo", "x")
	c.run(t, "run", "noise")
	return c, strings.Fields(strings.Split(c.run(t, "list"), "\n")[1])[0]
}

// TestCompletion completes in real shells. What it completes with has whatever others named their files, and none of it is run.
func TestCompletion(t *testing.T) {
	t.Parallel()
	c, id := newCompleted(t, "", "sub", "a b", "two  blanks", "co:lon", "k-e=y", "quote'd\"", "st*r[1]", "$(touch ran)", "`touch ran`", "(touch ran)", ";touch ran", "~root", "{x,y}", "both$(touch ran)1", "both$(touch ran)2")
	src := "latest:" + c.at("src")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			shown := inShell(t, shell, dir, c.env, "nightjar restore lat", "nightjar restore "+id[:5], "nightjar restore latest --overwrite=if-c", "nightjar mysql repl",
				"nightjar ls "+src+"/su", "nightjar cat "+id+":"+c.at("src")+"/a", "nightjar backup --to-sse A", "nightjar backup --sse aws:kms:", "nightjar completion z",
				"nightjar copy --archive "+id[:5], "nightjar list --job ni", "nightjar restore latest --target="+c.at("sr"), "nightjar backup 'a;b  c' /etc/host* {x,y} --compression f",
				"nightjar --repo $NIGHTJAR_STATE_DIR/../repo ls "+id[:6],
				`nightjar cat `+src+`/two\ \ blanks/t`, "nightjar cat '"+src+"/a b/t", `nightjar cat "`+src+"/a b/the fi", "nightjar cat "+src+"/co:lon/t", "nightjar cat "+src+"/k-e=y/t",
				`nightjar cat `+src+`/quote\'d\"/t`, "nightjar ls "+src+"/st", "nightjar ls "+src+"/~", `nightjar ls `+src+`/\{`,
				`nightjar cat `+src+`/\$\(touch\ ran\)/t`, "nightjar ls "+src+"/\\`", `nightjar ls `+src+`/\(`, `nightjar ls `+src+`/\;`, "nightjar ls "+src+"/bo",
				`nightjar restore `+src+`/\$\(touch\ ran\)/the\ file --dry-r`, `nightjar restore `+src+`/\(touch\ ran\)/the\ file --num`)
			for _, want := range []string{"latest", id, "replica", src + "/sub/", id + ":" + c.at("src") + "/a b/", "AES256", "aws:kms:dsse", "zsh", "nightly", "fastest", src + "/two  blanks/the file", src + "/a b/the file",
				src + "/co:lon/the file", src + "/k-e=y/the file", src + "/quote'd\"/the file", src + "/st*r[1]/", src + "/~root/", src + "/{x,y}/", src + "/$(touch ran)/the file", src + "/`touch ran`/",
				src + "/(touch ran)/", src + "/;touch ran/", src + "/both$(touch ran)", "--dry-run", "--numeric-ids"} {
				if !strings.Contains(shown, "<"+want+">") && (want != src+"/both$(touch ran)" || !strings.Contains(shown, "<"+want+"2/>")) {
					t.Errorf("%q is not in:\n%s", want, shown)
				}
			}
			for _, want := range []string{"=if-changed>", "--target=" + c.at("src")} {
				if !strings.Contains(shown, want) {
					t.Errorf("%q is not in:\n%s", want, shown)
				}
			}
			if n := strings.Count(shown, "<"+id+">"); n != 3 {
				t.Errorf("an id was completed %d times, 3 wanted:\n%s", n, shown)
			}
			if shown = inShell(t, shell, dir, c.env, "nightjar restore "); !strings.Contains(shown, "the newest") || !strings.Contains(shown, "web1 "+c.at("src")) {
				t.Errorf("nothing is said of what is offered:\n%s", shown)
			}
			if strings.Contains(shown, "run noise") {
				t.Errorf("a record of a run is offered:\n%s", shown)
			}
			if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
				t.Errorf("completion ran a name")
			}
		})
	}
}

// TestCompletionLocked wants no passphrase to be asked for, and what is new to this machine not to be believed by the way.
func TestCompletionLocked(t *testing.T) {
	t.Parallel()
	locked, lockedID := newCompleted(t, "host", "sub")
	for shell := range completers {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			for _, env := range []string{"SIGN_PASSPHRASE=", "NIGHTJAR_STATE_DIR=" + locked.at("other")} {
				shown := inShell(t, shell, t.TempDir(), append(slices.Clone(locked.env), env), "nightjar restore lat", "nightjar restore "+lockedID[:5],
					"nightjar restore --key "+locked.at("kit")+" --passphrase-command 'touch "+locked.at("asked")+"' "+lockedID[:5])
				if !strings.Contains(shown, "<latest>") || strings.Contains(shown, "<"+lockedID+">") || strings.Contains(shown, "assphrase of") {
					t.Errorf("with a key that is locked, or missing:\n%s", shown)
				}
			}
			for _, name := range []string{"other", "asked"} {
				if _, err := os.Stat(locked.at(name)); err == nil {
					t.Errorf("completion made %s", name)
				}
			}
		})
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

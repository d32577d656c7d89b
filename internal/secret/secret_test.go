package secret

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func environ() ([]string, error) {
	return []string{"PATH=" + os.Getenv("PATH"), "HINT=from the environment"}, nil
}

func TestOrder(t *testing.T) {
	s := Source{Name: "password"}
	step := func(want string) {
		t.Helper()
		if got, err := s.Get(context.Background()); err != nil || string(got) != want || (got == nil) != (want == "") {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	step("")
	s.Value = "value"
	step("value")
	s.Command = "echo command"
	step("command")
	s.File = write(t, "file\nsecond line\n")
	step("file")
}

func TestFirstLine(t *testing.T) {
	long := strings.Repeat("x", MaxSize)
	for content, want := range map[string]string{
		"a b": "a b", " a \n": " a ", "a\r\nb": "a", "ä\n": "ä", "a\x00b\xff\n": "a\x00b\xff", "a\rb": "a\rb",
		long: long, long + "\r\n": long, "a\n" + long + long: "a",
		"": "", "\n": "", "\r\n": "", "\nsecond": "", long + "x": "", long + "x\n": "", long + long: "",
	} {
		got, err := Source{Name: "password", File: write(t, content)}.Get(context.Background())
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("a file with %d bytes, %.20q: %.20q, %v, want %.20q", len(content), content, got, err, want)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "read password: the file gives ") || strings.Contains(err.Error(), "xx")) {
			t.Error(err)
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "missing"), t.TempDir()} {
		if got, err := (Source{Name: "password", File: path, Value: "other"}).Get(context.Background()); err == nil || got != nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
}

func TestCommand(t *testing.T) {
	ctx := context.Background()
	for command, want := range map[string]string{
		`printf '%s\nmore' "$HINT"`: "from the environment", "echo fine >&2; echo x": "x",
		"echo hunter2; exit 3": "run password command: exit status 3", "true": "read password: the command gives an empty one",
		"echo hunter2; echo why >&2; exit 3": "run password command: exit status 3: why", "yes hunter2": "run password command: it prints more than 65536 bytes",
	} {
		got, err := Source{Name: "password", Command: command, Environ: environ}.Get(ctx)
		if err != nil {
			got = []byte(err.Error())
		}
		if string(got) != want || strings.Contains(string(got), "hunter2") {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	broken := errors.New("no folder")
	if _, err := (Source{Command: "echo x", Environ: func() ([]string, error) { return nil, broken }}).Get(ctx); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// However much a command says on standard error, its beginning and its end are seen.
func TestChatty(t *testing.T) {
	var said bytes.Buffer
	s := Source{Name: "password", Command: "(echo begun; yes | head -c 3000000; echo last words) >&2; echo x", Environ: environ, Stderr: &said}
	if got, err := s.Get(context.Background()); string(got) != "x" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if text := said.String(); len(text) > 9<<10 || !strings.HasPrefix(text, "begun\n") || !strings.HasSuffix(text, "\nlast words\n") || !strings.Contains(text, " bytes left out]") {
		t.Errorf("said %d bytes, %.20q ... %q", len(text), text, text[max(0, len(text)-20):])
	}
}

// What a command leaves in the background, an agent for example, neither keeps us waiting nor ends.
func TestLeavesBehind(t *testing.T) {
	begun := time.Now()
	got, err := Source{Name: "password", Command: "sleep 600 & echo $!", Environ: environ}.Get(context.Background())
	must(t, err)
	if took := time.Since(begun); took > 5*time.Minute {
		t.Errorf("it took %v", took)
	}
	pid, err := strconv.Atoi(string(got))
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
}

// Nothing is waited for when the context ends.
func TestInterrupted(t *testing.T) {
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(context.Background())
	ready := filepath.Join(t.TempDir(), "ready")
	must(t, syscall.Mkfifo(ready, 0o600))
	go func() {
		if f, err := os.OpenFile(ready, os.O_RDONLY, 0); err == nil {
			f.Close()
		}
		cancel(why)
	}()
	if got, err := (Source{Name: "password", Command: "echo > " + ready + "; sleep 50; echo x", Environ: environ}).Get(ctx); !errors.Is(err, why) {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzFirstLine(f *testing.F) {
	for _, s := range []string{"a", "a\r\nb", "\n", "a\x00\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		line, err := Source{Name: "password"}.firstLine(b, "file")
		if err == nil && (len(line) == 0 || bytes.ContainsRune(line, '\n') || !bytes.HasPrefix(b, line)) || err != nil && line != nil {
			t.Errorf("%q gives %q, %v", b, line, err)
		}
	})
}

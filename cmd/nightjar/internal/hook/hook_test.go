package hook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/hook"
	"nightjar/job/jobfile"
)

func texts(failed []error) string {
	var all []string
	for _, err := range failed {
		all = append(all, err.Error())
	}
	return strings.Join(all, "\n")
}

// TestCommand has a command find hostile data in its environment as it is, and no other secrets.
func TestCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	hostile := "$(touch " + out + ".evil); `id` \"'\n\x1b[2J"
	failed := hook.Run(context.Background(), []jobfile.Hook{
		{Command: []string{"/bin/sh", "-c", `printf %s "$NIGHTJAR_ERROR" >"$0"; env >"$0.env"; exit 3`, out}},
		{Command: []string{"/nonexistent/hook"}},
	}, hook.Options{Environ: []string{"PATH=/bin"}, Data: map[string]string{"NIGHTJAR_ERROR": hostile, "NIGHTJAR_JOB": "a\x00b"}}, false)
	if len(failed) != 2 || !strings.Contains(failed[0].Error(), "exit status 3") || !strings.Contains(failed[1].Error(), "/nonexistent/hook") {
		t.Errorf("failed: %s", texts(failed))
	}
	if got, err := os.ReadFile(out); string(got) != hostile {
		t.Errorf("it read %q: %v", got, err)
	}
	if env, _ := os.ReadFile(out + ".env"); strings.Contains(string(env), "HOME=") || !strings.Contains(string(env), `NIGHTJAR_JOB=a\x00b`) {
		t.Errorf("its environment is %s", env)
	}
	if _, err := os.Stat(out + ".evil"); err == nil {
		t.Error("a shell read the data")
	}
}

// TestInput has a command read what happened, as mail does, and one that reads nothing end well however long that is.
func TestInput(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	text := strings.Repeat("job $(id) has failed: \x1b ", 10000)
	failed := hook.Run(context.Background(), []jobfile.Hook{
		{Command: []string{"/bin/sh", "-c", `cat >"$0"`, out}},
		{Command: []string{"/bin/sh", "-c", "exec <&-; exit 0"}},
		{Command: []string{"/bin/true"}},
	}, hook.Options{Environ: []string{"PATH=/bin:/usr/bin"}, Text: text}, false)
	if len(failed) > 0 {
		t.Errorf("failed: %s", texts(failed))
	}
	if got, err := os.ReadFile(out); string(got) != text+"\n" {
		t.Errorf("it read %d bytes of %d: %v", len(got), len(text)+1, err)
	}
}

// TestHangs ends hooks that never would, with all that they started.
func TestHangs(t *testing.T) {
	stopped := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-stopped:
		}
	}))
	defer server.Close()
	defer close(stopped)
	failed := hook.Run(context.Background(), []jobfile.Hook{
		{Command: []string{"sh", "-c", "trap '' TERM; sleep 1000 & wait; sleep 1000"}}, {URL: server.URL + "/secret"}, {Command: []string{"true"}},
	}, hook.Options{Environ: os.Environ(), Timeout: 50 * time.Millisecond, Call: 50 * time.Millisecond, Pause: time.Millisecond}, false)
	if len(failed) != 2 || !strings.Contains(failed[0].Error(), "did not end within 50ms") || strings.Contains(failed[1].Error(), "secret") {
		t.Errorf("failed: %s", texts(failed))
	}
	if failed := hook.Run(context.Background(), []jobfile.Hook{{Command: []string{"false"}}, {Command: []string{"false"}}}, hook.Options{Environ: os.Environ()}, true); len(failed) != 1 {
		t.Errorf("after the first: %s", texts(failed))
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("it is late"))
	if failed := hook.Run(ctx, []jobfile.Hook{{Command: []string{"sleep", "1000"}}}, hook.Options{Environ: os.Environ()}, false); len(failed) != 1 || !strings.Contains(failed[0].Error(), "sleep: it is late") {
		t.Errorf("stopped: %s", texts(failed))
	}
}

func TestURL(t *testing.T) {
	calls, status := 0, http.StatusServiceUnavailable
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if calls++; calls == 3 {
			status = http.StatusOK
		}
		if r.Method != http.MethodPost || r.URL.Path != "/secret/fail" || string(body) != "job etc failed" {
			status = http.StatusTeapot
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	run := func() []error {
		return hook.Run(context.Background(), []jobfile.Hook{{URL: server.URL + "/secret/fail"}}, hook.Options{Text: "job etc failed", Pause: time.Millisecond}, false)
	}
	if failed := run(); len(failed) != 0 || calls != 3 {
		t.Errorf("after %d calls: %s", calls, texts(failed))
	}
	status = http.StatusNotFound
	if failed := run(); len(failed) != 1 || calls != 4 || !strings.Contains(failed[0].Error(), "404") || strings.Contains(failed[0].Error(), "secret") {
		t.Errorf("after %d calls: %s", calls, texts(failed))
	}
	server.Close()
	if failed := run(); len(failed) != 1 || strings.Contains(failed[0].Error(), "secret") {
		t.Errorf("of a server that is gone: %s", texts(failed))
	}
}

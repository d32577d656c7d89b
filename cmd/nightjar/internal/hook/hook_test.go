package hook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// TestCommandsOfAllKinds has hooks that print much, close what they have, or leave something in the background end well, and says which cannot be run.
func TestCommandsOfAllKinds(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ script, want string }{
		{"head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2", ""},
		{"head -c 5000000 /dev/zero >&2; echo the last word >&2; exit 1", "the last word"},
		{"exec <&- >&- 2>&-; exit 0", ""},
		{"sleep 3 2>/dev/null & exit 0", ""},
		{"kill -9 $$", "signal: killed"},
		{"exec " + plain, "ermission denied"},
	} {
		failed := hook.Run(context.Background(), []jobfile.Hook{{Command: []string{"sh", "-c", x.script}}}, hook.Options{Environ: os.Environ(), Text: "x"}, false)
		if got := texts(failed); (got == "") != (x.want == "") || !strings.Contains(got, x.want) || len(got) > 10_000 {
			t.Errorf("%s: %s", x.script, got)
		}
	}
	failed := hook.Run(context.Background(), []jobfile.Hook{{Command: []string{plain}}, {Command: []string{"no-such-program"}}, {Command: []string{t.TempDir()}}}, hook.Options{Environ: os.Environ()}, false)
	if got := texts(failed); len(failed) != 3 || !strings.Contains(got, plain+": permission denied") || !strings.Contains(got, "no-such-program: executable file not found") {
		t.Errorf("what cannot be run: %s", got)
	}
}

// TestMoved has a URL that has moved be posted to, without telling the new server the old one, and never from TLS to none.
func TestMoved(t *testing.T) {
	var got string
	status := http.StatusMovedPermanently
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got += r.Method + " " + string(body) + r.Referer() + "\n"
	}))
	defer to.Close()
	moved := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to.URL+"/new", status) })
	from, tls := httptest.NewServer(moved), httptest.NewTLSServer(moved)
	defer from.Close()
	defer tls.Close()
	run := func(url string) string {
		return texts(hook.Run(context.Background(), []jobfile.Hook{{URL: url + "/secret"}}, hook.Options{Text: "job etc failed", Pause: time.Millisecond}, false))
	}
	for _, status = range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		if got = ""; run(from.URL) != "" || got != "POST job etc failed\n" {
			t.Errorf("%d: %q", status, got)
		}
	}
	status = http.StatusSeeOther
	if got = ""; run(from.URL) != "" || got != "GET \n" {
		t.Errorf("%d: %q", status, got)
	}
	if failed := run(tls.URL); !strings.Contains(failed, "certificate") || strings.Contains(failed, "secret") {
		t.Errorf("a certificate that nobody trusts: %s", failed)
	}
	secure := &http.Request{URL: &url.URL{Scheme: "https", Host: "a"}}
	if err := hook.Follow(&http.Request{URL: &url.URL{Scheme: "http", Host: "a"}}, []*http.Request{secure}, ""); err == nil {
		t.Error("it is called without TLS")
	}
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }))
	defer loop.Close()
	if failed := run(loop.URL); !strings.Contains(failed, "sent on more than") || strings.Contains(failed, "secret") {
		t.Errorf("a loop: %s", failed)
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

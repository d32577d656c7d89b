// Package hook runs the hooks of jobs: commands as lists of arguments, and URLs that are called.
//
// The invariant: every hook ends in bounded time, and no data reaches a shell or an argument: a command finds it in its environment, and what happened in words on
// its standard input; a URL gets these words as the body of a POST. Errors do not repeat a URL but for its server, since its path is often a password; no other server
// is told it, either.
package hook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightjar/internal/child"
	"nightjar/job/jobfile"
)

// Options say how hooks are run. Zero durations are the defaults.
type Options struct {
	Environ []string          // of commands, besides the data; without secrets
	Data    map[string]string // by the names of variables: NIGHTJAR_JOB, …
	Text    string            // what happened in words: posted to a URL, and a command's standard input
	Timeout time.Duration     // of a command; default: ten minutes
	Call    time.Duration     // of one call of a URL; default: ten seconds
	Pause   time.Duration     // before a call is tried again, the second time five times that; default: two seconds
}

const (
	tries     = 3       // calls of a URL
	maxAnswer = 1 << 16 // bytes of an answer that are read, so that its connection can be used again
)

// Run runs hooks one after another and returns the errors of those that failed. With stop, the first failure is the last hook.
func Run(ctx context.Context, hooks []jobfile.Hook, o Options, stop bool) (failed []error) {
	for _, h := range hooks {
		err := run(ctx, h, &o)
		if err == nil {
			continue
		}
		failed = append(failed, err)
		if stop {
			break
		}
	}
	return failed
}

func run(ctx context.Context, h jobfile.Hook, o *Options) error {
	if h.URL != "" {
		return call(ctx, h.URL, o)
	}
	timeout := cmp.Or(o.Timeout, 10*time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it did not end within %v", timeout))
	defer cancel()
	env := append([]string{}, o.Environ...)
	for name, value := range o.Data {
		env = append(env, name+"="+strings.ReplaceAll(value, "\x00", `\x00`)) // no variable can hold a zero byte
	}
	p, err := child.Start(ctx, child.Command{Name: "hook " + h.Command[0], Args: h.Command, Env: env, Stdin: strings.NewReader(o.Text + "\n"), Drain: time.Second})
	if err == nil {
		defer p.Stop()
		_, err = io.Copy(io.Discard, p)
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("run hook %s: %w", h.Command[0], context.Cause(ctx))
	}
	return err
}

// call posts to a URL. What may pass is tried again.
func call(ctx context.Context, address string, o *Options) error {
	pause := cmp.Or(o.Pause, 2*time.Second)
	for try := 1; ; try++ {
		again, err := post(ctx, address, o)
		if err == nil || !again || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause *= 5
		}
	}
}

// post calls a URL once. again is whether what failed may pass.
func post(ctx context.Context, address string, o *Options) (again bool, err error) {
	server := "URL"
	if u, err := url.Parse(address); err == nil {
		bare := url.URL{Scheme: u.Scheme, Host: u.Host}
		server = bare.String() + "/…"
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(o.Call, 10*time.Second))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(o.Text))
	if err != nil {
		return false, fmt.Errorf("call hook %s: it is no URL", server)
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	request.Header.Set("User-Agent", "nightjar")
	client := http.Client{CheckRedirect: func(to *http.Request, via []*http.Request) error { return follow(to, via, o.Text) }}
	answer, err := client.Do(request)
	var about *url.Error
	if errors.As(err, &about) { // which repeats the whole URL
		err = about.Err
	}
	if err != nil {
		return true, fmt.Errorf("call hook %s: %w", server, err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode/100 != 2 {
		return answer.StatusCode/100 == 5 || answer.StatusCode == http.StatusTooManyRequests, fmt.Errorf("call hook %s: it answered %d %s", server, answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return false, nil
}

// follow has a URL that has moved be posted to, too: without a body the call would succeed and tell nobody anything. See Other is the server's way to say that it took the first.
func follow(to *http.Request, via []*http.Request, text string) error {
	const most = 5
	switch {
	case len(via) > most:
		return fmt.Errorf("it is sent on more than %d times", most)
	case overTLS(via[0].URL) && !overTLS(to.URL):
		return errors.New("it is sent on to a server without TLS")
	}
	to.Header.Del("Referer") // the URL before, path and all
	if to.Method != http.MethodPost && to.Response.StatusCode != http.StatusSeeOther {
		to.Method, to.ContentLength = http.MethodPost, int64(len(text))
		to.Body = io.NopCloser(strings.NewReader(text))
		to.Header.Set("Content-Type", via[0].Header.Get("Content-Type"))
	}
	return nil
}

func overTLS(u *url.URL) bool { return strings.HasPrefix(u.String(), "https://") }

package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"nightjar/internal/s3test"
)

// weather stands between a Store and a real server, and lets a hook decide what
// becomes of each request.
type weather struct {
	server   *s3test.Server
	endpoint string

	mu       sync.Mutex
	hook     func(n int, r *http.Request) fate
	requests []string // "PUT /bucket/key" each
	headers  []http.Header
	open     int // connections
	mostOpen int
}

// fate is what happens to a request; the zero fate is that of a fine day.
type fate struct {
	latency    time.Duration // before it is passed on
	status     int           // answered at once, with code as the error's
	code       string
	region     string        // goes with the answer
	reset      bool          // before it is passed on
	lost       bool          // reset after the server has answered
	silent     bool          // no answer until the client gives up
	cut        int           // the answer ends after that many bytes of body
	ahead      time.Duration // of the server's clock
	strip      []string      // headers the server never gets to see
	stripReply []string      // headers the client never gets to see
}

func newWeather(t *testing.T, server *s3test.Server) *weather {
	w := &weather{server: server}
	s := httptest.NewUnstartedServer(w)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch state {
		case http.StateNew:
			w.open++
		case http.StateClosed, http.StateHijacked:
			w.open--
		}
		w.mostOpen = max(w.mostOpen, w.open)
	}
	s.Start()
	t.Cleanup(s.Close)
	w.endpoint = s.URL
	return w
}

// becomes sets the hook, and forgets what was before it.
func (w *weather) becomes(hook func(n int, r *http.Request) fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook, w.requests, w.headers, w.mostOpen = hook, nil, nil, w.open
}

// log returns the requests since the last change.
func (w *weather) log() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.requests...)
}

func (w *weather) fateOf(r *http.Request) (f fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests, w.headers = append(w.requests, r.Method+" "+r.URL.Path), append(w.headers, r.Header.Clone())
	if w.hook != nil {
		f = w.hook(len(w.requests), r)
	}
	return f
}

func (w *weather) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	f := w.fateOf(in)
	time.Sleep(f.latency)
	if f.reset {
		reset(out)
		return
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		reset(out)
		return
	}
	if f.silent {
		<-in.Context().Done() // which is noticed once the body has been read
		return
	}
	if f.status != 0 {
		if f.region != "" {
			out.Header().Set("X-Amz-Bucket-Region", f.region)
		}
		out.WriteHeader(f.status)
		fmt.Fprintf(out, "<Error><Code>%s</Code><Message>the weather</Message></Error>", f.code)
		return
	}
	if f.ahead != 0 {
		signed, err := time.Parse("20060102T150405Z", in.Header.Get("X-Amz-Date"))
		out.Header().Set("Date", time.Now().Add(f.ahead).UTC().Format(http.TimeFormat))
		if err != nil || time.Until(signed.Add(-f.ahead)).Abs() > 15*time.Minute {
			out.WriteHeader(http.StatusForbidden)
			fmt.Fprint(out, "<Error><Code>RequestTimeTooSkewed</Code></Error>")
			return
		}
		f.strip = []string{} // signed anew, for the real time
	}
	answer, err := w.pass(in, body, f.strip)
	if err != nil {
		reset(out) // as the server did with us
		return
	}
	defer answer.Body.Close()
	if f.lost {
		reset(out)
		return
	}
	for name, values := range answer.Header {
		if name != "Date" || f.ahead == 0 {
			out.Header()[name] = values
		}
	}
	for _, name := range f.stripReply {
		out.Header().Del(name)
	}
	out.WriteHeader(answer.StatusCode)
	if f.cut > 0 {
		_, _ = io.CopyN(out, answer.Body, int64(f.cut))
		_ = http.NewResponseController(out).Flush()
		reset(out)
		return
	}
	_, _ = io.Copy(out, answer.Body) // the client may have gone
}

func (w *weather) pass(in *http.Request, body []byte, strip []string) (*http.Response, error) {
	out, err := http.NewRequestWithContext(in.Context(), in.Method, w.server.Endpoint+in.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Host, out.Header = in.Host, in.Header.Clone()
	for _, name := range strip {
		out.Header.Del(name)
	}
	if strip != nil { // the signature covers the headers
		err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(in.Context(),
			aws.Credentials{AccessKeyID: w.server.AccessKey, SecretAccessKey: w.server.SecretKey},
			out, out.Header.Get("X-Amz-Content-Sha256"), "s3", w.server.Region, time.Now())
		if err != nil {
			return nil, err
		}
	}
	return http.DefaultTransport.RoundTrip(out)
}

// reset ends the connection as a crash does: without an end of what was sent.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// nth is the fate of the nth request of a method, counted from 1; all others have a fine day.
func nth(method string, n int, f fate) func(int, *http.Request) fate {
	seen := 0
	return func(_ int, r *http.Request) fate {
		if r.Method == method {
			if seen++; seen == n {
				return f
			}
		}
		return fate{}
	}
}

func always(f fate) func(int, *http.Request) fate {
	return func(int, *http.Request) fate { return f }
}

func wantError(t *testing.T, err, target error, names ...string) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want one that is %q", err, target)
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			t.Fatalf("error %q does not name %q", err, name)
		}
	}
}

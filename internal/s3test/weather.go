package s3test

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Weather stands between a client and a real server, and lets a hook decide what
// becomes of each request.
type Weather struct {
	Endpoint    string            // http://127.0.0.1:port, or https://…
	Certificate *x509.Certificate // with https
	server      *Server

	mu       sync.Mutex
	hook     func(n int, r *http.Request) Fate
	requests []string // "PUT /bucket/key" each
	headers  []http.Header
	open     int // connections
	mostOpen int
}

// Fate is what happens to a request; the zero Fate is that of a fine day.
type Fate struct {
	Latency    time.Duration // before it is passed on
	Status     int           // answered at once, with code as the error's
	Code       string
	Region     string        // goes with the answer
	Reset      bool          // before it is passed on
	Lost       bool          // reset after the server has answered
	Silent     bool          // no answer until the client gives up; with Lost, the server has answered
	Cut        int           // the answer ends after that many bytes of body
	Ahead      time.Duration // of the server's clock
	Strip      []string      // headers the server never gets to see
	StripReply []string      // headers the client never gets to see
	Header     http.Header   // what the server sees in the place of the client's headers of those names; an empty one: none
	Location   string        // goes with the answer
	Page       string        // answered at once, as a web server does; with Status, else 200

	Edit func(body []byte) []byte // what the client gets to see of the answer's body
}

// NewWeather starts fine weather before a server.
func NewWeather(t testing.TB, server *Server) *Weather {
	return newWeather(t, server, (*httptest.Server).Start)
}

// NewSecureWeather is NewWeather that is spoken to by https.
func NewSecureWeather(t testing.TB, server *Server) *Weather {
	return newWeather(t, server, (*httptest.Server).StartTLS)
}

func newWeather(t testing.TB, server *Server, start func(*httptest.Server)) *Weather {
	w := &Weather{server: server}
	s := httptest.NewUnstartedServer(w)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
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
	if start(s); s.TLS != nil {
		w.Certificate = s.Certificate()
	}
	t.Cleanup(s.Close)
	w.Endpoint = s.URL
	return w
}

// Becomes sets the hook, and forgets what was before it.
func (w *Weather) Becomes(hook func(n int, r *http.Request) Fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook, w.requests, w.headers, w.mostOpen = hook, nil, nil, w.open
}

// Log returns the requests since the last change.
func (w *Weather) Log() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.requests...)
}

// Headers returns those of each request since the last change.
func (w *Weather) Headers() []http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]http.Header(nil), w.headers...)
}

// MostOpen returns how many connections were open at once since the last change.
func (w *Weather) MostOpen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mostOpen
}

func (w *Weather) fateOf(r *http.Request) (f Fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests, w.headers = append(w.requests, r.Method+" "+r.URL.Path), append(w.headers, r.Header.Clone())
	if w.hook != nil {
		f = w.hook(len(w.requests), r)
	}
	return f
}

// bodyOf reads a request's body into memory that is large enough from the start: to let it grow takes several times as long under the race detector.
func bodyOf(r *http.Request) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(max(0, r.ContentLength)) + bytes.MinRead)
	_, err := b.ReadFrom(r.Body)
	return b.Bytes(), err
}

func (w *Weather) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	f := w.fateOf(in)
	time.Sleep(f.Latency)
	if f.Reset {
		reset(out)
		return
	}
	body, err := bodyOf(in)
	if err != nil {
		reset(out)
		return
	}
	if f.Silent && !f.Lost {
		<-in.Context().Done() // which is noticed once the body has been read
		return
	}
	if f.Location != "" {
		out.Header().Set("Location", f.Location)
	}
	if f.Page != "" {
		out.Header().Set("Content-Type", "text/html; charset=utf-8")
		out.WriteHeader(cmp.Or(f.Status, http.StatusOK))
		fmt.Fprint(out, f.Page)
		return
	}
	if f.Ahead != 0 {
		out.Header().Set("Date", time.Now().Add(f.Ahead).UTC().Format(http.TimeFormat))
	}
	if f.Status != 0 {
		if f.Region != "" {
			out.Header().Set("X-Amz-Bucket-Region", f.Region)
		}
		out.WriteHeader(f.Status)
		fmt.Fprintf(out, "<Error><Code>%s</Code><Message>the weather</Message></Error>", f.Code)
		return
	}
	if f.Ahead != 0 {
		signed, err := time.Parse("20060102T150405Z", in.Header.Get("X-Amz-Date"))
		if err != nil || time.Until(signed.Add(-f.Ahead)).Abs() > 15*time.Minute {
			out.WriteHeader(http.StatusForbidden)
			fmt.Fprint(out, "<Error><Code>RequestTimeTooSkewed</Code></Error>")
			return
		}
		f.Strip = []string{} // signed anew, for the real time
	}
	for name, values := range f.Header {
		in.Header.Del(name)
		for _, value := range values {
			in.Header.Add(name, value)
		}
	}
	answer, err := w.server.pass(in, body, f.Strip)
	if err != nil {
		reset(out) // as the server did with us
		return
	}
	defer answer.Body.Close()
	if f.Lost && f.Silent {
		<-in.Context().Done()
		return
	}
	if f.Lost {
		reset(out)
		return
	}
	if f.Edit != nil && in.Method != http.MethodHead { // whose answer has a length, but no body
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			reset(out)
			return
		}
		answer.Body = io.NopCloser(bytes.NewReader(f.Edit(body)))
		answer.Header.Del("Content-Length")
	}
	if f.Ahead != 0 {
		if err := f.shift(answer); err != nil {
			reset(out)
			return
		}
	}
	for name, values := range answer.Header {
		if name != "Date" || f.Ahead == 0 {
			out.Header()[name] = values
		}
	}
	for _, name := range f.StripReply {
		out.Header().Del(name)
	}
	out.WriteHeader(answer.StatusCode)
	if f.Cut > 0 {
		_, _ = io.CopyN(out, answer.Body, int64(f.Cut))
		_ = http.NewResponseController(out).Flush()
		reset(out)
		return
	}
	_, _ = io.Copy(out, answer.Body) // the client may have gone
}

var stored = regexp.MustCompile(`<LastModified>([^<]*)</LastModified>`)

// shift makes the times of objects those of a server with another clock.
func (f *Fate) shift(answer *http.Response) error {
	if at, err := http.ParseTime(answer.Header.Get("Last-Modified")); err == nil {
		answer.Header.Set("Last-Modified", at.Add(f.Ahead).UTC().Format(http.TimeFormat))
	}
	if answer.Header.Get("Content-Type") != "application/xml" {
		return nil
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	body = stored.ReplaceAllFunc(body, func(element []byte) []byte {
		at, err := time.Parse(time.RFC3339, string(stored.FindSubmatch(element)[1]))
		if err != nil {
			return element
		}
		return []byte("<LastModified>" + at.Add(f.Ahead).UTC().Format(time.RFC3339Nano) + "</LastModified>")
	})
	answer.Body = io.NopCloser(bytes.NewReader(body))
	answer.Header.Del("Content-Length")
	return nil
}

// pass hands a request on, without some of its headers; if strip is not nil, it is signed anew by the owner.
func (s *Server) pass(in *http.Request, body []byte, strip []string) (*http.Response, error) {
	out, err := http.NewRequestWithContext(in.Context(), in.Method, s.Endpoint+in.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Host, out.Header = in.Host, in.Header.Clone()
	for _, name := range strip {
		out.Header.Del(name)
	}
	if strip != nil { // the signature covers the headers
		err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(in.Context(),
			aws.Credentials{AccessKeyID: s.AccessKey, SecretAccessKey: s.SecretKey},
			out, out.Header.Get("X-Amz-Content-Sha256"), "s3", s.Region, time.Now())
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

// Nth is the Fate of the nth request of a method, counted from 1; all others have a fine day.
func Nth(method string, n int, f Fate) func(int, *http.Request) Fate {
	seen := 0
	return func(_ int, r *http.Request) Fate {
		if r.Method == method {
			if seen++; seen == n {
				return f
			}
		}
		return Fate{}
	}
}

// Always is one fate for all.
func Always(f Fate) func(int, *http.Request) Fate {
	return func(int, *http.Request) Fate { return f }
}

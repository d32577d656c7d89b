package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
)

var errAny = errors.New("any error at all")

// badWeather checks what passes by, and that what does not pass is named, loses
// nothing and leaves nothing.
func badWeather(t *testing.T, server *s3test.Server) {
	w := s3test.NewWeather(t, server)
	o := options(t, server)
	o.Endpoint = w.Endpoint
	place, hasty := freshPlace(), o
	hasty.Timeout = time.Second
	patient, impatient := open(t, place, o), open(t, place, hasty)
	var s *s3.Store                                           // that is asked
	data, fresh := make([]byte, 60_000), make([]byte, 60_000) // what is there, and what is put
	random := rand.NewChaCha8([32]byte{1})

	ops := map[string]func() error{
		"put": func() error { _, err := s.Put(t.Context(), hashName(fresh), fresh); return err },
		"get": func() error {
			buf := make([]byte, len(data)-10)
			err := s.GetInto(t.Context(), hashName(data), 10, buf)
			if err == nil && !bytes.Equal(buf, data[10:]) {
				err = errors.New("other bytes")
			}
			return err
		},
		"stat":   func() error { _, err := s.Stat(t.Context(), hashName(data)); return err },
		"list":   func() error { return s.List(t.Context(), "", func(store.Info) error { return nil }) },
		"delete": func() error { return s.Delete(t.Context(), hashName(data)) },
		"now":    func() error { _, err := s.Now(t.Context()); return err },
	}

	one := func(f s3test.Fate) func(int, *http.Request) s3test.Fate {
		return func(n int, _ *http.Request) s3test.Fate {
			if n == 1 {
				return f
			}
			return s3test.Fate{}
		}
	}
	for _, c := range []struct {
		name string
		op   string // "" for all
		hook func() func(int, *http.Request) s3test.Fate
		want error  // nil: it passes
		text string // in the error
	}{
		{name: "reset", hook: func() func(int, *http.Request) s3test.Fate { return one(s3test.Fate{Reset: true}) }},
		{name: "slow down", hook: func() func(int, *http.Request) s3test.Fate { return one(s3test.Fate{Status: 503, Code: "SlowDown"}) }},
		{name: "too many requests", hook: func() func(int, *http.Request) s3test.Fate { return one(s3test.Fate{Status: 429, Code: "Whatever"}) }},
		{name: "internal error", hook: func() func(int, *http.Request) s3test.Fate {
			return one(s3test.Fate{Status: 500, Code: "InternalError"})
		}},
		{name: "silence", hook: func() func(int, *http.Request) s3test.Fate { return one(s3test.Fate{Silent: true}) }},
		{name: "latency", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Latency: 30 * time.Millisecond})
		}},
		{name: "conflict", op: "put", hook: func() func(int, *http.Request) s3test.Fate {
			return one(s3test.Fate{Status: 409, Code: "ConditionalRequestConflict"})
		}},
		{name: "damaged on its way", op: "put", hook: func() func(int, *http.Request) s3test.Fate { return one(s3test.Fate{Status: 400, Code: "BadDigest"}) }},
		{name: "answer lost after the deed", op: "put", hook: func() func(int, *http.Request) s3test.Fate { return one(s3test.Fate{Lost: true}) }},
		{name: "silence after the deed", op: "put", hook: func() func(int, *http.Request) s3test.Fate {
			return one(s3test.Fate{Lost: true, Silent: true})
		}},
		{name: "answer broken off twice", op: "get", hook: func() func(int, *http.Request) s3test.Fate {
			return func(n int, _ *http.Request) s3test.Fate {
				if n < 3 {
					return s3test.Fate{Cut: 20_000}
				}
				return s3test.Fate{}
			}
		}},
		{name: "answer broken off always", op: "get", hook: func() func(int, *http.Request) s3test.Fate { return s3test.Always(s3test.Fate{Cut: 10}) },
			want: request.ErrUnreachable, text: "broke off"},
		{name: "gone", hook: func() func(int, *http.Request) s3test.Fate { return s3test.Always(s3test.Fate{Reset: true}) },
			want: request.ErrUnreachable, text: "after 4 attempts"},
		{name: "failing for good", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Status: 503, Code: "SlowDown"})
		},
			want: request.ErrFailing, text: "after 4 attempts"},
		{name: "expired", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Status: 400, Code: "ExpiredToken"})
		},
			want: request.ErrExpired},
		{name: "clock", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Status: 403, Code: "RequestTimeTooSkewed"})
		}, want: request.ErrClock},
		{name: "bucket gone", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Status: 404, Code: "NoSuchBucket"})
		},
			want: store.ErrNoStore},
		{name: "moved", op: "put", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Status: 301, Code: "PermanentRedirect", Region: "eu-west-3"})
		}, want: request.ErrRegion},
		{name: "may not put", op: "put", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Status: 403, Code: "AccessDenied"})
		},
			want: request.ErrDenied, text: "s3:PutObject on s3://night/"},
		{name: "may not read", op: "get", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Status: 403, Code: "AccessDenied"})
		},
			want: request.ErrDenied, text: "s3:GetObject on s3://night/"},
		{name: "may not list", op: "list", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Status: 403, Code: "AccessDenied"})
		},
			want: request.ErrDenied, text: "s3:ListBucket on s3://night/"},
		{name: "may not delete", op: "delete", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Nth("DELETE", 1, s3test.Fate{Status: 403, Code: "AccessDenied"})
		}, want: request.ErrDenied, text: "s3:DeleteObject on s3://night/"},
		{name: "archived", op: "get", hook: func() func(int, *http.Request) s3test.Fate {
			return s3test.Always(s3test.Fate{Status: 403, Code: "InvalidObjectState"})
		}, want: store.ErrArchived, text: "archive storage class"},
	} {
		for op, do := range ops {
			if c.op != "" && c.op != op {
				continue
			}
			t.Run(c.name+"/"+op, func(t *testing.T) {
				w.Becomes(nil)
				if s = patient; strings.HasPrefix(c.name, "silence") {
					s = impatient
				}
				random.Read(data)
				random.Read(fresh)
				put(t, s, hashName(data), data)
				w.Becomes(c.hook())
				err := do()
				asked := w.Log()
				w.Becomes(nil)
				switch {
				case c.want == nil && err != nil:
					t.Fatal(err)
				case c.want == nil:
				case err == nil:
					t.Fatal("it passed")
				case c.want != errAny:
					wantError(t, err, c.want, c.text)
				case !strings.Contains(err.Error(), c.text) || errors.Is(err, io.ErrUnexpectedEOF):
					t.Fatalf("error %q does not name %q", err, c.text)
				}
				if err != nil && (strings.Contains(err.Error(), server.SecretKey) || len(err.Error()) > 500) {
					t.Errorf("message %q", err)
				}
				if most := 2 * o.MaxAttempts; len(asked) > most {
					t.Errorf("%d requests: %q", len(asked), asked)
				}
				if c.want != nil && op == "put" {
					if _, err := s.Stat(t.Context(), hashName(fresh)); !errors.Is(err, store.ErrNotExist) {
						t.Errorf("it failed, but is there: %v", err)
					}
				}
				if c.want != nil {
					wantContent(t, s, hashName(data), data)
				}
			})
		}
	}
	t.Run("LostAnswerOtherContent", func(t *testing.T) {
		w.Becomes(nil)
		s := open(t, freshPlace(), o)
		put(t, s, "keys/000001", []byte("theirs"))
		w.Becomes(s3test.Nth("PUT", 1, s3test.Fate{Lost: true}))
		_, err := s.Put(t.Context(), "keys/000001", []byte("mine!!"))
		wantError(t, err, store.ErrExists, "keys/000001")
	})
	t.Run("ClockAnHourBehind", func(t *testing.T) {
		l := freshPlace()
		w.Becomes(s3test.Always(s3test.Fate{Ahead: time.Hour}))
		s := open(t, l, o)
		put(t, s, "config", data)
		wantContent(t, s, "config", data)
		now, err := s.Now(t.Context())
		if err != nil || time.Until(now) < 50*time.Minute {
			t.Errorf("the store's time is %v, %v", now, err)
		}
	})
	t.Run("OneInFive", func(t *testing.T) { oneInFive(t, s3test.NewWeather(t, server), o) })
	t.Run("Connections", func(t *testing.T) { connections(t, s3test.NewWeather(t, server), o) })
	t.Run("Cancelled", func(t *testing.T) {
		w.Becomes(nil)
		o := o
		o.Timeout = 5 * time.Minute
		s := open(t, freshPlace(), o)
		w.Becomes(s3test.Always(s3test.Fate{Silent: true}))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := s.Put(ctx, "a", data)
		wantError(t, err, context.DeadlineExceeded, "a")
		if took := time.Since(start); took >= o.Timeout {
			t.Errorf("it took %v to give up", took)
		}
	})
}

// oneInFive has every fifth request fail, in different ways, under a load.
func oneInFive(t *testing.T, w *s3test.Weather, o s3.Options) {
	o.Endpoint, o.MaxAttempts = w.Endpoint, 10
	s := open(t, freshPlace(), o)
	fates := []s3test.Fate{{Reset: true}, {Status: 503, Code: "SlowDown"}, {Lost: true}, {Status: 500, Code: "InternalError"}}
	w.Becomes(func(n int, _ *http.Request) s3test.Fate {
		if n%5 == 0 {
			return fates[n/5%len(fates)]
		}
		return s3test.Fate{}
	})
	load(t, s)
}

// connections are bounded. (With faults, or time-outs on a busy machine, they cannot be counted from the server's side: it sees a reset later than the client.)
func connections(t *testing.T, w *s3test.Weather, o s3.Options) {
	o.Endpoint, o.Timeout = w.Endpoint, time.Minute
	load(t, open(t, freshPlace(), o))
	if n := w.MostOpen(); n > 4 || n < 2 {
		t.Errorf("%d connections at once, 4 allowed", n)
	}
}

// load writes and reads objects from many goroutines.
func load(t *testing.T, s *s3.Store) {
	t.Helper()
	const writers, each = 8, 10
	errs := make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for j := range each {
				data := []byte(strings.Repeat(fmt.Sprintf("%d/%d ", i, j), 1000))
				_, err := s.Put(t.Context(), hashName(data), data)
				buf := make([]byte, len(data))
				if err == nil {
					err = s.GetInto(t.Context(), hashName(data), 0, buf)
				}
				if err == nil && !bytes.Equal(buf, data) {
					err = errors.New("other bytes")
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.List(t.Context(), "content/", func(store.Info) error { n++; return nil }); err != nil || n != writers*each {
		t.Fatalf("%d objects listed, %v", n, err)
	}
}

// weakerServers checks a server that ignores conditions, one that refuses them,
// and one that keeps no SHA-256.
func weakerServers(t *testing.T, server *s3test.Server) {
	w := s3test.NewWeather(t, server)
	for name, hook := range map[string]func(int, *http.Request) s3test.Fate{
		"ignores conditions": s3test.Always(s3test.Fate{Strip: []string{"If-None-Match"}}),
		"refuses conditions": func(_ int, r *http.Request) s3test.Fate {
			if r.Header.Get("If-None-Match") != "" {
				return s3test.Fate{Status: 501, Code: "NotImplemented"}
			}
			return s3test.Fate{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var warned warnings
			o := options(t, server)
			o.Endpoint, o.Warn = w.Endpoint, warned.warn
			w.Becomes(nil)
			s := open(t, freshPlace(), o)
			w.Becomes(hook)
			content := []byte("content")
			put(t, s, hashName(content), content)
			put(t, s, "keys/000001", []byte("one"))
			put(t, s, "keys/000001", []byte("one"))
			for _, other := range []string{"two", "longer"} {
				_, err := s.Put(t.Context(), "keys/000001", []byte(other))
				wantError(t, err, store.ErrExists, "keys/000001")
			}
			put(t, s, "keys/000002", []byte("two"))
			wantContent(t, s, "keys/000001", []byte("one"))
			wantContent(t, s, hashName(content), content)
			if n := warned.count(s3.ErrNoConditions); n != 1 {
				t.Errorf("warned %d times: %q", n, warned.errs)
			}
		})
	}
	t.Run("keeps no checksums", func(t *testing.T) {
		var warned warnings
		o := options(t, server)
		o.Endpoint, o.Warn = w.Endpoint, warned.warn
		w.Becomes(nil)
		s := open(t, freshPlace(), o)
		w.Becomes(s3test.Always(s3test.Fate{Strip: []string{"X-Amz-Checksum-Sha256"}, StripReply: []string{"X-Amz-Checksum-Sha256"}}))
		data := make([]byte, 9<<20) // compared in more than two pieces
		put(t, s, "keys/000001", data)
		put(t, s, "keys/000001", data)
		data[len(data)-1] = 1
		_, err := s.Put(t.Context(), "keys/000001", data)
		wantError(t, err, store.ErrExists, "keys/000001")
		if n := warned.count(s3.ErrNoChecksums); n != 1 {
			t.Errorf("warned %d times: %q", n, warned.errs)
		}
	})
	t.Run("full strength", func(t *testing.T) {
		var warned warnings
		o := options(t, server)
		w.Becomes(nil)
		o.Endpoint = w.Endpoint
		l := freshPlace()
		open(t, l, o)
		o.Warn = warned.warn
		s := open(t, l, o)
		put(t, s, "keys/000001", []byte("one"))
		put(t, s, "keys/000001", []byte("one"))
		if len(warned.errs) > 0 {
			t.Errorf("warned: %q", warned.errs)
		}
	})
}

// refusals are what Open and Create say when it cannot go on.
func refusals(t *testing.T, server *s3test.Server) {
	l := freshPlace()
	fails := func(name string, l store.Location, change func(*s3.Options), target error, text string) {
		t.Run(name, func(t *testing.T) {
			o := options(t, server)
			if change != nil {
				change(&o)
			}
			_, err := s3.Open(t.Context(), l, o)
			if err == nil || target != nil && !errors.Is(err, target) || !strings.Contains(err.Error(), text) {
				t.Errorf("got error %v, want one that is %q and names %q", err, target, text)
			}
			if err != nil && strings.Contains(err.Error(), "not-a-secret") {
				t.Errorf("the message holds the secret: %v", err)
			}
		})
	}
	fails("no bucket", store.Location{Scheme: "s3", Path: "no-such-bucket/x"}, nil, store.ErrNoStore, "s3://no-such-bucket/x")
	fails("no host", l, func(o *s3.Options) { o.Endpoint = "http://no-such-host.invalid" }, request.ErrUnreachable, "no-such-host.invalid")
	fails("nobody there", l, func(o *s3.Options) { o.Endpoint = "http://127.0.0.1:1" }, request.ErrUnreachable, "refused")
	fails("credentials in the endpoint", l, func(o *s3.Options) { o.Endpoint = "http://me:not-a-secret@host" }, nil, "credentials")
	fails("bad endpoint", l, func(o *s3.Options) { o.Endpoint = "host:9000" }, nil, "endpoint")
	fails("bad encryption", l, func(o *s3.Options) { o.SSE = "rot13" }, nil, "rot13")
	fails("key without encryption", l, func(o *s3.Options) { o.KMSKeyID = "k" }, nil, "aws:kms")
	fails("negative", l, func(o *s3.Options) { o.Connections = -1 }, nil, "negative")
	s3test.Setenv(t, "", "", "")
	fails("no credentials", l, nil, request.ErrCredentials, "")
	s3test.Setenv(t, server.AccessKey, "another-secret", "")
	fails("wrong secret", l, nil, request.ErrSignature, "SignatureDoesNotMatch")
	s3test.Setenv(t, "somebody", "not-a-secret", "")
	fails("wrong key", l, nil, request.ErrCredentials, "InvalidAccessKeyId")
	server.Setenv(t)
	t.Run("bucket made twice", func(t *testing.T) {
		l := store.Location{Scheme: "s3", Path: "made-here"}
		var w warnings
		o := options(t, server)
		o.Warn = w.warn
		put(t, open(t, l, o), "config", []byte("x"))
		wantContent(t, open(t, l, o), "config", []byte("x"))
		if len(w.errs) != 1 || !strings.Contains(w.errs[0].Error(), "public access") {
			t.Errorf("warned: %q", w.errs)
		}
	})
}

// limits checks that bytes a second are kept over all connections.
func limits(t *testing.T, server *s3test.Server) {
	o := options(t, server)
	o.LimitUpload, o.LimitDownload = 4<<20, 2<<20
	s := open(t, freshPlace(), o)
	data := make([]byte, 1<<20)
	took := func(do func(i int) error) time.Duration {
		start := time.Now()
		errs := make([]error, 4)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() { errs[i] = do(i) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	name := func(i int) string { return fmt.Sprintf("content/%d", i) }
	up := took(func(i int) error { _, err := s.Put(t.Context(), name(i), data); return err })
	if up < 900*time.Millisecond || up > 2*time.Minute {
		t.Errorf("4 MiB at 4 MiB/s went up in %v", up)
	}
	down := took(func(i int) error { return s.GetInto(t.Context(), name(i), 0, make([]byte, len(data))) })
	if down < 1900*time.Millisecond || down > 2*time.Minute {
		t.Errorf("4 MiB at 2 MiB/s came down in %v", down)
	}
}

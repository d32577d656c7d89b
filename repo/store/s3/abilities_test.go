package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
)

// refusing is a server that takes no request with a header.
func refusing(header string, f s3test.Fate) func(int, *http.Request) s3test.Fate {
	return func(_ int, r *http.Request) s3test.Fate {
		if r.Header.Get(header) != "" {
			return f
		}
		return s3test.Fate{}
	}
}

// both is the first fate of two servers that is no fine day.
func both(a, b func(int, *http.Request) s3test.Fate) func(int, *http.Request) s3test.Fate {
	return func(n int, r *http.Request) s3test.Fate {
		if f := a(n, r); f.Status != 0 {
			return f
		}
		return b(n, r)
	}
}

const (
	condition = "If-None-Match"
	checksum  = "X-Amz-Checksum-Sha256"
)

// abilities checks what becomes of a server that refuses headers: found out once, said once, kept, and never for one odd answer.
func abilities(t *testing.T, server *s3test.Server) {
	w := s3test.NewWeather(t, server)
	type known = s3.Abilities
	var mu sync.Mutex
	openWith := func(t *testing.T, l store.Location, before known, hook func(int, *http.Request) s3test.Fate) (s *s3.Store, learned *known, warned *warnings) {
		learned, warned = &known{}, &warnings{}
		*learned = before
		o := options(t, server)
		o.Endpoint, o.Abilities, o.Warn = w.Endpoint, before, warned.warn
		o.Learned = func(now known) {
			mu.Lock()
			defer mu.Unlock()
			*learned = now
		}
		w.Becomes(nil)
		open(t, l, options(t, server))
		s = open(t, l, o)
		w.Becomes(hook)
		return s, learned, warned
	}
	// works stores what a run does, and finds it again.
	works := func(t *testing.T, s *s3.Store) {
		t.Helper()
		large := make([]byte, 2<<20+1) // so that Expect is sent
		put(t, s, hashName(large), large)
		put(t, s, hashName(large), large)
		put(t, s, "config", []byte("one"))
		put(t, s, "keys/000001", []byte("one"))
		put(t, s, "keys/000001", []byte("one"))
		for _, other := range []string{"two", "longer"} {
			_, err := s.Put(t.Context(), "keys/000001", []byte(other))
			wantError(t, err, store.ErrExists, "keys/000001")
		}
		if _, err := s.Replace(t.Context(), hashName([]byte("x")), []byte("x"), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := s.SetClaim(t.Context(), []byte("claim")); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, "keys/000001", []byte("one"))
		wantContent(t, s, hashName(large), large)
	}
	sent := func(header string) (n int) {
		for _, h := range w.Headers() {
			if h.Get(header) != "" {
				n++
			}
		}
		return n
	}
	full := known{Conditions: s3.Does, Checksums: s3.Does}
	refuse := func(code int) s3test.Fate { return s3test.Fate{Status: code, Code: "NotImplemented"} }
	for name, c := range map[string]struct {
		hook func(int, *http.Request) s3test.Fate
		want known
		warn []error
	}{
		"nothing":         {nil, full, nil},
		"condition 501":   {refusing(condition, refuse(501)), known{s3.Refuses, s3.Does}, []error{s3.ErrNoConditions}},
		"condition 400":   {refusing(condition, s3test.Fate{Status: 400, Code: "InvalidArgument"}), known{s3.Refuses, s3.Does}, []error{s3.ErrNoConditions}},
		"condition 405":   {refusing(condition, refuse(405)), known{s3.Refuses, s3.Does}, []error{s3.ErrNoConditions}},
		"condition 304":   {refusing(condition, refuse(304)), known{s3.Refuses, s3.Does}, []error{s3.ErrNoConditions}},
		"condition 412":   {refusing(condition, s3test.Fate{Status: 412, Code: "PreconditionFailed"}), known{s3.Refuses, s3.Does}, []error{s3.ErrNoConditions}},
		"condition page":  {refusing(condition, s3test.Fate{Status: 400, Page: "<html><title>Bad header"}), known{s3.Refuses, s3.Does}, []error{s3.ErrNoConditions}},
		"ignored":         {s3test.Always(s3test.Fate{Strip: []string{condition}}), known{s3.Ignores, s3.Does}, []error{s3.ErrNoConditions}},
		"checksum 501":    {refusing(checksum, refuse(501)), known{s3.Does, s3.Refuses}, []error{s3.ErrChecksumsRefused}},
		"checksum 400":    {refusing(checksum, s3test.Fate{Status: 400, Code: "InvalidRequest"}), known{s3.Does, s3.Refuses}, []error{s3.ErrChecksumsRefused}},
		"checksum 304":    {refusing(checksum, refuse(304)), known{s3.Does, s3.Refuses}, []error{s3.ErrChecksumsRefused}},
		"both 304":        {both(refusing(checksum, refuse(304)), refusing(condition, refuse(304))), known{s3.Refuses, s3.Refuses}, []error{s3.ErrChecksumsRefused, s3.ErrNoConditions}},
		"both 400":        {both(refusing(checksum, refuse(400)), refusing(condition, refuse(400))), known{s3.Refuses, s3.Refuses}, []error{s3.ErrChecksumsRefused, s3.ErrNoConditions}},
		"both, each else": {both(refusing(checksum, refuse(400)), refusing(condition, refuse(304))), known{s3.Refuses, s3.Refuses}, []error{s3.ErrChecksumsRefused, s3.ErrNoConditions}},
		"mode of a HEAD":  {refusing("X-Amz-Checksum-Mode", refuse(400)), full, nil},
		"expectations":    {refusing("Expect", refuse(417)), full, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := freshPlace()
			s, learned, warned := openWith(t, l, known{}, c.hook)
			works(t, s)
			if *learned != c.want {
				t.Errorf("learned %+v, want %+v", *learned, c.want)
			}
			if sent("Expect") == 0 {
				t.Error("nothing was large enough to send Expect")
			}
			for _, why := range c.warn {
				if n := warned.count(why); n != 1 {
					t.Errorf("warned %d times of %v", n, why)
				}
			}
			if len(warned.errs) != len(c.warn) {
				t.Errorf("warned %q", warned.errs)
			}
			// Known, it is neither tried nor said again.
			s, again, warned := openWith(t, l, *learned, c.hook)
			works(t, s)
			if *again != *learned || len(warned.errs) > 0 {
				t.Errorf("learned %+v again, warned %q", *again, warned.errs)
			}
			if c.want.Conditions != s3.Does && sent(condition) > 0 || c.want.Checksums == s3.Refuses && sent(checksum) > 0 {
				t.Errorf("sent %d conditions and %d checksums to a server without", sent(condition), sent(checksum))
			}
			// And a server that did it does not get away with doing less.
			if *learned != full {
				s, again, _ = openWith(t, freshPlace(), full, c.hook)
				_, err := s.Put(t.Context(), "config", []byte("one"))
				wantError(t, err, s3.ErrWeaker)
				if *again != full {
					t.Errorf("learned %+v", *again)
				}
			}
		})
	}
	// One odd answer, or two, of a proxy weaken nothing.
	for _, code := range []int{400, 304, 412, 405, 501} {
		for at := 1; at <= 6; at++ {
			t.Run(fmt.Sprintf("odd %d/%d", code, at), func(t *testing.T) {
				n := 0
				s, learned, warned := openWith(t, freshPlace(), known{}, func(_ int, r *http.Request) s3test.Fate {
					if r.Method == http.MethodPut {
						if n++; n == at || n == at+2 && at > 3 {
							return refuse(code)
						}
					}
					return s3test.Fate{}
				})
				works(t, s)
				if *learned != full || len(warned.errs) > 0 {
					t.Errorf("learned %+v, warned %q", *learned, warned.errs)
				}
			})
		}
	}
	// What is refused for another reason stays that.
	t.Run("another reason", func(t *testing.T) {
		s, learned, warned := openWith(t, freshPlace(), known{}, func(_ int, r *http.Request) s3test.Fate {
			if r.Method == http.MethodPut {
				return s3test.Fate{Status: 400, Code: "InvalidStorageClass"}
			}
			return s3test.Fate{}
		})
		for _, name := range []string{"config", hashName([]byte("x"))} {
			if _, err := s.Put(t.Context(), name, []byte("x")); err == nil || !strings.Contains(err.Error(), "InvalidStorageClass") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(w.Log()); *learned != (known{}) || len(warned.errs) > 0 || n > 30 {
			t.Errorf("learned %+v, warned %q in %d requests", *learned, warned.errs, n)
		}
	})
	// A policy that demands the condition does not lose it.
	t.Run("demanded", func(t *testing.T) {
		once := 0
		s, learned, _ := openWith(t, freshPlace(), known{}, func(_ int, r *http.Request) s3test.Fate {
			switch {
			case r.Method == http.MethodPut && r.Header.Get(condition) == "":
				return s3test.Fate{Status: 403, Code: "AccessDenied"}
			case r.Method == http.MethodPut && once < 3:
				once++
				return refuse(501)
			}
			return s3test.Fate{}
		})
		for i := range 3 {
			_, err := s.Put(t.Context(), "config", []byte("x"))
			if i == 2 && err != nil {
				t.Error(err)
			}
		}
		if learned.Conditions == s3.Refuses || learned.Checksums == s3.Refuses {
			t.Errorf("learned %+v", *learned)
		}
	})
	// Without a header for it, the signature covers the body all the same.
	t.Run("signed", func(t *testing.T) {
		s, _, _ := openWith(t, freshPlace(), known{Checksums: s3.Refuses}, nil)
		put(t, s, "config", []byte("x"))
		for _, h := range w.Headers() {
			if sum := h.Get("X-Amz-Content-Sha256"); len(sum) != 64 {
				t.Errorf("a body is signed as %q", sum)
			}
		}
	})
	w.Becomes(nil)
	if errors.Is(s3.ErrWeaker, store.ErrUnavailable) {
		t.Error("a weaker server is one that fails")
	}
}

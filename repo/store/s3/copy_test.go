package s3_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
)

var home = time.Date(2015, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// info returns what listings say of an object.
func info(t *testing.T, s store.Store, name string) store.Info {
	t.Helper()
	i, err := s.Stat(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func wantHome(t *testing.T, s *s3.Store, name string, want time.Time) {
	t.Helper()
	if at, err := s.HomeTime(t.Context(), info(t, s, name)); err != nil || !at.Equal(want) {
		t.Errorf("home time of %s is %v (%v), want %v", name, at, err, want)
	}
}

// copies tries what the server copies from bucket to bucket.
func copies(t *testing.T, server *s3test.Server) {
	w := s3test.NewWeather(t, server)
	o := options(t, server)
	o.Endpoint = w.Endpoint
	from := open(t, freshPlace(), o)
	place := store.Location{Scheme: "s3", Path: "away/Other (Place)*+=,@~!'/x"}
	place.Path = strings.ReplaceAll(place.Path, " ", "_")
	var warned warnings
	o.Warn = warned.warn
	to := trusting(open(t, place, o))
	data := []byte("some content")
	name := hashName(data)
	put(t, from, name, data)
	if err := to.Fetch(t.Context(), from, name, home); err != nil {
		t.Fatal(err)
	}
	wantContent(t, to, name, data)
	wantHome(t, to, name, home)
	if sum, ok, err := to.Checksum(t.Context(), name); err != nil || !ok || sum != sha256.Sum256(data) {
		t.Errorf("checksum %x, %v, %v", sum, ok, err)
	}

	// Bytes stay with the server.
	w.Becomes(nil)
	if err := to.Fetch(t.Context(), from, name, home); err != nil {
		t.Fatal(err)
	}
	if log := w.Log(); len(log) > 2 || !strings.HasPrefix(log[0], "PUT ") {
		t.Errorf("a copy took %q", log)
	}
	again, err := s3.Open(t.Context(), place, o)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := again.HomeTime(t.Context(), info(t, again, name)); err != nil || at.Year() == home.Year() {
		t.Errorf("a home time counts that nobody trusts: %v, %v", at, err)
	}
	wantHome(t, trusting(again), name, home)

	// What claims that the place is a copy.
	if claim, _, err := again.Claim(t.Context()); err != nil || claim != nil {
		t.Errorf("claim %q, %v", claim, err)
	}
	for _, text := range []string{"first claim", "claim", ""} {
		if err := to.SetClaim(t.Context(), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if again, err = s3.Open(t.Context(), place, o); err != nil {
			t.Fatal(err)
		}
		if claim, at, err := again.Claim(t.Context()); err != nil || claim == nil || string(claim) != text || at.Year() == home.Year() || at.IsZero() {
			t.Errorf("claim %q of %s, %v, want %q", claim, at, err, text)
		}
	}
	if to.Place() == from.Place() || to.Place() != again.Place() {
		t.Errorf("places %s, %s, %s", from.Place(), to.Place(), again.Place())
	}

	// At home nothing is asked.
	w.Becomes(nil)
	i := store.Info{Name: name, Time: home}
	if at, err := from.HomeTime(t.Context(), i); err != nil || at != home || len(w.Log()) > 0 {
		t.Errorf("home time at home: %v, %v, %q", at, err, w.Log())
	}

	// A copy can be copied.
	third := trusting(open(t, freshPlace(), o))
	at, err := to.HomeTime(t.Context(), info(t, to, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := third.Fetch(t.Context(), to, name, at); err != nil {
		t.Fatal(err)
	}
	wantHome(t, third, name, home)

	wantError(t, to.Fetch(t.Context(), from, hashName([]byte("none")), home), store.ErrNotExist)

	// Other content under that name does not stay.
	junk := hashName([]byte("what should be there"))
	put(t, from, junk, []byte("junk"))
	if err := to.Fetch(t.Context(), from, junk, home); err == nil || !strings.Contains(err.Error(), "does not have that hash") {
		t.Errorf("junk was copied: %v", err)
	}
	_, err = to.Stat(t.Context(), junk)
	wantError(t, err, store.ErrNotExist)
	if n := warned.count(s3.ErrNoDirectCopy); n != 0 {
		t.Errorf("%d warnings", n)
	}

	// What is named otherwise, and other stores, are the caller's business.
	wantError(t, to.Fetch(t.Context(), from, "config", home), errors.ErrUnsupported)
	wantError(t, to.Fetch(t.Context(), store.NewMemory(nil), name, home), errors.ErrUnsupported)
	elsewhere := options(t, server)
	wantError(t, open(t, freshPlace(), elsewhere).Fetch(t.Context(), from, name, home), errors.ErrUnsupported)

	// A server that keeps no checksums cannot vouch; one that refuses is asked once.
	other := []byte("other content")
	put(t, from, hashName(other), other)
	w.Becomes(func(_ int, r *http.Request) s3test.Fate {
		return s3test.Fate{
			StripReply: []string{"X-Amz-Checksum-Sha256"},
			Edit:       func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "ChecksumSHA256", "ChecksumOther")) },
		}
	})
	if err := to.Fetch(t.Context(), from, hashName(other), home); err == nil {
		t.Error("a copy counts that nobody vouches for")
	}
	_, err = to.Stat(t.Context(), hashName(other))
	wantError(t, err, store.ErrNotExist)
	refused := open(t, freshPlace(), o)
	w.Becomes(func(_ int, r *http.Request) s3test.Fate {
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			return s3test.Fate{Status: http.StatusForbidden, Code: "AccessDenied"}
		}
		return s3test.Fate{}
	})
	for range 3 {
		wantError(t, refused.Fetch(t.Context(), from, name, home), errors.ErrUnsupported)
	}
	if log := w.Log(); len(log) != 1 {
		t.Errorf("asked %q", log)
	}
	if n := warned.count(s3.ErrNoDirectCopy); n != 2 {
		t.Errorf("%d warnings", n)
	}
}

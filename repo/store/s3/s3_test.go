package s3_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
	"nightjar/repo/store/storetest"
)

// largeAgain stores what is there already and is too large to be refused before
// its body is on the way: servers hang up, and their answer may be lost.
func largeAgain(t *testing.T, server *s3test.Server) {
	s := open(t, freshPlace(), options(t, server))
	data := make([]byte, 8<<20)
	put(t, s, "keys/000001", data)
	for range 10 {
		put(t, s, "keys/000001", data)
	}
	data[0] = 1
	for range 10 {
		_, err := s.Put(t.Context(), "keys/000001", data)
		wantError(t, err, store.ErrExists, "keys/000001")
	}
}

var prefixes atomic.Int64

// freshPlace is a location that no other test uses.
func freshPlace() store.Location {
	return store.Location{Scheme: "s3", Path: fmt.Sprintf("night/Some-Place/%d", prefixes.Add(1))}
}

// options are such that a test does not wait long for what fails.
func options(t *testing.T, server *s3test.Server) s3.Options {
	t.Helper()
	return s3.Options{Options: request.Options{
		Endpoint: server.Endpoint, Region: server.Region,
		MaxAttempts: 4, MaxBackoff: 10 * time.Millisecond, Timeout: 5 * time.Minute, // whatever falls silent has its own
	}}
}

func open(t *testing.T, l store.Location, o s3.Options) *s3.Store {
	t.Helper()
	s, err := s3.Create(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s store.Store, name string, data []byte) {
	t.Helper()
	if _, err := s.Put(t.Context(), name, data); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, s store.Store, name string, want []byte) {
	t.Helper()
	got, err := store.ReadAll(t.Context(), s, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(got) != sha256.Sum256(want) {
		t.Fatalf("object %s has %d bytes, not the %d stored", name, len(got), len(want))
	}
}

func hashName(data []byte) string {
	sum := sha256.Sum256(data)
	return "content/" + hex.EncodeToString(sum[:1]) + "/" + hex.EncodeToString(sum[:])
}

// warnings collects what Options.Warn is told.
type warnings struct {
	mu   sync.Mutex
	errs []error
}

func (w *warnings) warn(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

func (w *warnings) count(target error) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, err := range w.errs {
		if errors.Is(err, target) {
			n++
		}
	}
	return n
}

func trusting(s *s3.Store) *s3.Store {
	s.TrustTimes()
	return s
}

func conformance(t *testing.T, server *s3test.Server) {
	t.Run("Plain", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return trusting(open(t, freshPlace(), options(t, server))) })
	})
	t.Run("Faulty", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			return &storetest.Faulty{Store: trusting(open(t, freshPlace(), options(t, server)))}
		})
	})
}

// checksums are told without reading the object.
func checksums(t *testing.T, server *s3test.Server) {
	s := open(t, freshPlace(), options(t, server))
	data := []byte("content")
	put(t, s, hashName(data), data)
	if sum, ok, err := s.Checksum(t.Context(), hashName(data)); err != nil || !ok || sum != sha256.Sum256(data) {
		t.Errorf("checksum %x, %v, %v", sum, ok, err)
	}
	if _, _, err := s.Checksum(t.Context(), "content/none"); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("checksum of a missing object: %v", err)
	}
}

func TestVersity(t *testing.T) {
	server := s3test.Versity(t, "eu-west-1")
	server.Setenv(t)
	conformance(t, server)
	t.Run("Region", func(t *testing.T) { findsRegion(t, server) })
	t.Run("Weather", func(t *testing.T) { badWeather(t, server) })
	t.Run("Weaker", func(t *testing.T) { weakerServers(t, server) })
	t.Run("Refusals", func(t *testing.T) { refusals(t, server) })
	t.Run("Limits", func(t *testing.T) { limits(t, server) })
	t.Run("Listings", func(t *testing.T) { listings(t, server) })
	t.Run("VersionListings", func(t *testing.T) { versionListings(t, server) })
	t.Run("Answers", func(t *testing.T) { answers(t, server) })
	t.Run("Abilities", func(t *testing.T) { abilities(t, server) })
	t.Run("Proxies", func(t *testing.T) { proxies(t, server) })
	t.Run("Causes", func(t *testing.T) { causes(t, server) })
	t.Run("LargeAgain", func(t *testing.T) { largeAgain(t, server) })
	t.Run("Foreign", func(t *testing.T) { foreignKeys(t, server) })
	t.Run("Checksums", func(t *testing.T) { checksums(t, server) })
	t.Run("Copies", func(t *testing.T) { copies(t, server) })
	t.Run("Requests", func(t *testing.T) { requests(t, server) })
	t.Run("Versions", func(t *testing.T) { versions(t, server, false) })
	t.Run("Thaw", func(t *testing.T) { thaw(t, server) })
	t.Run("ObjectLock", func(t *testing.T) { objectLock(t, server) })
}

func TestMinIO(t *testing.T) {
	server := s3test.MinIO(t)
	server.Setenv(t)
	conformance(t, server)
	t.Run("Listings", func(t *testing.T) { listings(t, server) })
	t.Run("VersionListings", func(t *testing.T) { versionListings(t, server) })
	t.Run("Answers", func(t *testing.T) { answers(t, server) })
	t.Run("Abilities", func(t *testing.T) { abilities(t, server) })
	t.Run("Proxies", func(t *testing.T) { proxies(t, server) })
	t.Run("Causes", func(t *testing.T) { causes(t, server) })
	t.Run("LargeAgain", func(t *testing.T) { largeAgain(t, server) })
	t.Run("Foreign", func(t *testing.T) { foreignKeys(t, server) })
	t.Run("Checksums", func(t *testing.T) { checksums(t, server) })
	t.Run("Thaw", func(t *testing.T) { thaw(t, server) })
	t.Run("Copies", func(t *testing.T) { copies(t, server) })
	t.Run("StoredWith", func(t *testing.T) { storedWith(t, server) })
	t.Run("Versions", func(t *testing.T) { versions(t, server, true) })
	t.Run("ObjectLock", func(t *testing.T) { objectLock(t, server) })
	t.Run("AddOnly", func(t *testing.T) { addOnly(t, server) })
	t.Run("Policies", func(t *testing.T) { policies(t, server) })
}

func findsRegion(t *testing.T, server *s3test.Server) {
	l := freshPlace()
	put(t, open(t, l, options(t, server)), "config", []byte("x"))
	for region, want := range map[string]int{"": 0, "us-east-1": 1, "ap-south-1": 1, server.Region: 0} {
		var w warnings
		o := options(t, server)
		o.Region, o.Warn = region, w.warn
		s, err := s3.Open(t.Context(), l, o)
		if err != nil {
			t.Fatalf("region %q: %v", region, err)
		}
		wantContent(t, s, "config", []byte("x"))
		if len(w.errs) != want || want > 0 && !strings.Contains(w.errs[0].Error(), "bucket night is in region eu-west-1, not in "+region) {
			t.Errorf("region %q: warnings %q", region, w.errs)
		}
	}
	// Amazon's way to say it.
	w := s3test.NewWeather(t, server)
	w.Becomes(s3test.Nth("GET", 1, s3test.Fate{Status: http.StatusMovedPermanently, Code: "PermanentRedirect", Region: server.Region}))
	o := options(t, server)
	o.Endpoint, o.Region = w.Endpoint, "us-west-2"
	s, err := s3.Open(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, "config", []byte("x"))
}

// requests counts what an operation costs.
func requests(t *testing.T, server *s3test.Server) {
	w := s3test.NewWeather(t, server)
	o := options(t, server)
	o.Endpoint = w.Endpoint
	l := freshPlace()
	open(t, l, o) // makes the bucket if need be
	w.Becomes(nil)
	var s *s3.Store
	data := []byte("some content")
	name := hashName(data)
	for _, c := range []struct {
		what string
		want string
		do   func() error
	}{
		{"open", "GET", func() (err error) { s, err = s3.Open(t.Context(), l, o); return err }},
		{"put an object named by its hash", "PUT", func() error { _, err := s.Put(t.Context(), name, data); return err }},
		{"put it again", "PUT HEAD", func() error { _, err := s.Put(t.Context(), name, data); return err }},
		{"put the first other object", "PUT PUT PUT", func() error { _, err := s.Put(t.Context(), "config", data); return err }},
		{"put the second", "PUT", func() error { _, err := s.Put(t.Context(), "keys/000001", data); return err }},
		{"read a range", "GET", func() error { return s.GetInto(t.Context(), name, 5, make([]byte, 3)) }},
		{"look up", "HEAD", func() error { _, err := s.Stat(t.Context(), name); return err }},
		{"list up to 1,000", "GET", func() error { return s.List(t.Context(), "", func(store.Info) error { return nil }) }},
		{"ask for the time", "GET", func() error { _, err := s.Now(t.Context()); return err }},
		{"delete", "HEAD DELETE", func() error { return s.Delete(t.Context(), name) }},
	} {
		w.Becomes(nil)
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		var got []string
		for _, r := range w.Log() {
			method, _, _ := strings.Cut(r, " ")
			got = append(got, method)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s took %q, want %s", c.what, w.Log(), c.want)
		}
	}
}

// foreignKeys puts beside a store's prefix, and below it, what is no object.
func foreignKeys(t *testing.T, server *s3test.Server) {
	l := freshPlace()
	l.Path += "/it's+(odd)=@~,!"
	put(t, open(t, l, options(t, server)), "content/ab/one", []byte("x"))
	beside := l
	beside.Path += "0"
	put(t, open(t, beside, options(t, server)), "config", []byte("y"))
	client := awss3.New(awss3.Options{
		Region: server.Region, BaseEndpoint: &server.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
	})
	bucket, prefix, _ := strings.Cut(l.Path, "/")
	for _, name := range []string{"Config", "a b", "a+b", "a%2fb", "control\x01", ".conditions", "content/.tmp-1", "ünïcode"} {
		_, err := client.PutObject(t.Context(), &awss3.PutObjectInput{
			Bucket: &bucket, Key: aws.String(prefix + "/" + name), Body: strings.NewReader("z"),
		})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
	}
	for _, scheme := range []string{"s3", "s3+http"} {
		l.Scheme = scheme
		var got []string
		if err := open(t, l, options(t, server)).List(t.Context(), "", func(i store.Info) error {
			got = append(got, i.Name)
			return nil
		}); err != nil || len(got) != 1 || got[0] != "content/ab/one" {
			t.Errorf("listed %q, %v", got, err)
		}
	}
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

package s3_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
)

// An intruder has the credentials of a bucket's owner, and another program.
type intruder struct {
	t      *testing.T
	client *awss3.Client
	bucket string
	prefix string
}

func newIntruder(t *testing.T, server *s3test.Server, l store.Location) *intruder {
	bucket, prefix, _ := strings.Cut(l.Path, "/")
	return &intruder{t, awss3.New(awss3.Options{
		Region: server.Region, BaseEndpoint: &server.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
	}), bucket, prefix}
}

func (x *intruder) key(name string) *string { return aws.String(x.prefix + "/" + name) }

func (x *intruder) overwrite(name string, junk []byte) {
	x.t.Helper()
	_, err := x.client.PutObject(x.t.Context(), &awss3.PutObjectInput{Bucket: &x.bucket, Key: x.key(name), Body: bytes.NewReader(junk)})
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *intruder) remove(name string) {
	x.t.Helper()
	if _, err := x.client.DeleteObject(x.t.Context(), &awss3.DeleteObjectInput{Bucket: &x.bucket, Key: x.key(name)}); err != nil {
		x.t.Fatal(err)
	}
}

// versionedPlace is in a bucket of its own that keeps versions.
func versionedPlace(t *testing.T, server *s3test.Server, bucket string) store.Location {
	t.Helper()
	l := store.Location{Scheme: "s3", Path: bucket + "/a/place"}
	open(t, l, options(t, server))
	_, err := newIntruder(t, server, l).client.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{
		Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func reopen(t *testing.T, l store.Location, o s3.Options) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// versions reads past what an intruder did to objects in a versioned bucket. versitygw does not keep their times: it dates what is replaced anew.
func versions(t *testing.T, server *s3test.Server, keepsTimes bool) {
	l := versionedPlace(t, server, "versioned")
	s := open(t, l, options(t, server))
	x := newIntruder(t, server, l)
	contents := map[string][]byte{}
	for _, what := range []string{"whole", "junk", "longer", "truncated", "empty", "deleted", "twice", "deleted junk"} {
		data := []byte("the content of " + what)
		put(t, s, hashName(data), data)
		contents[what] = data
	}
	name := func(what string) string { return hashName(contents[what]) }
	put(t, s, "config", []byte("the true config"))
	stored, err := s.Stat(t.Context(), "config")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // times are in whole seconds
	x.overwrite(name("junk"), []byte("junk"))
	x.overwrite(name("longer"), bytes.Repeat([]byte("long"), 100))
	x.overwrite(name("truncated"), contents["truncated"][:5])
	x.overwrite(name("empty"), nil)
	x.remove(name("deleted"))
	x.overwrite(name("twice"), []byte("junk"))
	x.overwrite(name("twice"), []byte("other junk"))
	x.overwrite(name("deleted junk"), []byte("junk"))
	x.remove(name("deleted junk"))
	x.overwrite("config", []byte("the config of an intruder"))
	x.overwrite(hashName([]byte("never there")), []byte("junk"))
	x.overwrite("config0", []byte("of a longer name"))

	t.Run("Recover", func(t *testing.T) {
		var warned warnings
		o := options(t, server)
		o.Warn = warned.warn
		s := reopen(t, l, o)
		never := func([]byte) bool { t.Error("asked about an object with a hash"); return true }
		for what, want := range contents {
			if what == "whole" {
				_, err := s.Recover(t.Context(), name(what), never)
				wantError(t, err, store.ErrNotExist, name(what))
				continue
			}
			if got, err := store.ReadAll(t.Context(), s, name(what), 0); err == nil && bytes.Equal(got, want) {
				t.Errorf("%s: the intruder did nothing", what)
			}
			for range 2 {
				info, err := s.Recover(t.Context(), name(what), never)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if info.Name != name(what) || info.Size != int64(len(want)) || keepsTimes && info.Time.After(stored.Time) {
					t.Errorf("%s: recovered %+v", what, info)
				}
			}
			wantContent(t, s, name(what), want)
			if stat, err := s.Stat(t.Context(), name(what)); err != nil || keepsTimes && stat.Time.After(stored.Time) {
				t.Errorf("%s: %+v, %v", what, stat, err)
			}
			part := make([]byte, 4)
			if err := s.GetInto(t.Context(), name(what), 4, part); err != nil || !bytes.Equal(part, want[4:8]) {
				t.Errorf("%s: range is %q, %v", what, part, err)
			}
			if err := s.GetInto(t.Context(), name(what), int64(len(want)), part); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: past its end: %v", what, err)
			}
		}
		for _, missing := range []string{hashName([]byte("never there")), hashName([]byte("nor this"))} {
			_, err := s.Recover(t.Context(), missing, never)
			wantError(t, err, store.ErrNotExist, missing)
		}
		// What has no hash in its name, the caller knows.
		_, err := s.Recover(t.Context(), "config", func(data []byte) bool { return string(data) == "the true config" })
		if err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, "config", []byte("the true config"))
		if n := warned.count(s3.ErrReplaced); n != 1 {
			t.Errorf("warned %d times: %q", n, warned.errs)
		}
	})
	t.Run("Hidden", func(t *testing.T) {
		found := map[string]bool{}
		err := s.Hidden(t.Context(), "content/", func(i store.Info, deleted time.Time) error {
			found[i.Name] = true
			if keepsTimes && !deleted.After(stored.Time) || i.Size == 0 {
				t.Errorf("%+v, deleted %v", i, deleted)
			}
			return nil
		})
		if err != nil || len(found) != 2 || !found[name("deleted")] || !found[name("deleted junk")] {
			t.Errorf("hidden: %v, %v", found, err)
		}
	})
	t.Run("AsOf", func(t *testing.T) {
		if !keepsTimes {
			stored.Time = time.Now().Add(-time.Hour) // nothing was there
			contents = nil
		}
		o := options(t, server)
		o.AsOf = stored.Time
		s := reopen(t, l, o)
		listed := map[string]int64{}
		if err := s.List(t.Context(), "", func(i store.Info) error { listed[i.Name] = i.Size; return nil }); err != nil {
			t.Fatal(err)
		}
		for what, want := range contents {
			if listed[name(what)] != int64(len(want)) {
				t.Errorf("%s: listed with %d bytes", what, listed[name(what)])
			}
			wantContent(t, s, name(what), want)
		}
		if keepsTimes {
			wantContent(t, s, "config", []byte("the true config"))
			delete(listed, "config")
		}
		if len(listed) != len(contents) {
			t.Errorf("listed %v", listed)
		}
		_, err := s.Stat(t.Context(), hashName([]byte("never there")))
		wantError(t, err, store.ErrNotExist)
		_, err = s.Put(t.Context(), "keys/000001", []byte("x"))
		wantError(t, err, s3.ErrAsOf, "keys/000001")
		wantError(t, s.Delete(t.Context(), "config"), s3.ErrAsOf, "config")
		o.AsOf = stored.Time.Add(-time.Hour)
		if err := reopen(t, l, o).List(t.Context(), "", func(i store.Info) error { t.Errorf("there before: %+v", i); return nil }); err != nil {
			t.Error(err)
		}
	})
	t.Run("Flood", func(t *testing.T) { // more than one page of versions
		w := s3test.NewWeather(t, server)
		data := []byte("flooded")
		put(t, s, hashName(data), data)
		for i := range 7 {
			x.overwrite(hashName(data), []byte{byte(i)})
		}
		w.Becomes(nil)
		o := options(t, server)
		o.Endpoint = w.Endpoint
		s := reopen(t, l, o)
		if _, err := s.Recover(t.Context(), hashName(data), nil); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, hashName(data), data)
	})
	t.Run("Same", func(t *testing.T) { // the time of the first counts, and nothing is told of what is as it was
		data := []byte("stored again")
		put(t, s, hashName(data), data)
		x.overwrite(hashName(data), []byte("junk"))
		first, err := s.Recover(t.Context(), hashName(data), nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // so that the next has another time
		told := len(s.Recovered())
		if _, err := s.Replace(t.Context(), hashName(data), data, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if n := len(s.Recovered()); n != told-1 {
			t.Errorf("told of %d, then of %d", told, n)
		}
		again := reopen(t, l, options(t, server))
		info, err := again.Recover(t.Context(), hashName(data), nil)
		if err != nil || !info.Time.Equal(first.Time) || len(again.Recovered()) > 0 {
			t.Errorf("stored %s, recovered %+v, %v, told of %d", first.Time, info, err, len(again.Recovered()))
		}
		if at, err := store.HomeTime(t.Context(), again, store.Info{Name: hashName(data)}); err != nil || !at.Equal(first.Time) {
			t.Errorf("home time %s, %v", at, err)
		}
	})
	t.Run("Unversioned", func(t *testing.T) {
		l := freshPlace()
		s := open(t, l, options(t, server))
		data := []byte("some content")
		put(t, s, hashName(data), data)
		newIntruder(t, server, l).overwrite(hashName(data), []byte("junk"))
		_, err := s.Recover(t.Context(), hashName(data), nil)
		wantError(t, err, store.ErrNotExist, hashName(data))
	})
}

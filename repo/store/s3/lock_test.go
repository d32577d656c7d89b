package s3_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
)

// lockOf returns until when, and how, each version of an object is kept, newest first.
func (x *intruder) lockOf(name string) (locks []types.ObjectLockRetention) {
	x.t.Helper()
	for _, v := range x.versions(name) {
		out, err := x.client.GetObjectRetention(x.t.Context(), &awss3.GetObjectRetentionInput{Bucket: &x.bucket, Key: x.key(name), VersionId: v.VersionId})
		if err != nil { // which says that there is none
			out = &awss3.GetObjectRetentionOutput{Retention: &types.ObjectLockRetention{RetainUntilDate: &time.Time{}}}
		}
		locks = append(locks, *out.Retention)
	}
	return locks
}

func (x *intruder) versions(name string) []types.ObjectVersion {
	x.t.Helper()
	out, err := x.client.ListObjectVersions(x.t.Context(), &awss3.ListObjectVersionsInput{Bucket: &x.bucket, Prefix: x.key(name)})
	if err != nil {
		x.t.Fatal(err)
	}
	return out.Versions
}

// removeVersion tries to remove a version for good.
func (x *intruder) removeVersion(name string, id *string, bypass bool) error {
	_, err := x.client.DeleteObject(x.t.Context(), &awss3.DeleteObjectInput{
		Bucket: &x.bucket, Key: x.key(name), VersionId: id, BypassGovernanceRetention: aws.Bool(bypass),
	})
	return err
}

// objectLock keeps objects from being deleted.
func objectLock(t *testing.T, server *s3test.Server) {
	const day = 24 * time.Hour
	l := store.Location{Scheme: "s3", Path: "locked/a/place"}
	o := options(t, server)
	o.Lock.For = day
	s := open(t, l, o)
	x := newIntruder(t, server, l)
	near := func(t *testing.T, got types.ObjectLockRetention, mode types.ObjectLockRetentionMode, in time.Duration) {
		t.Helper()
		if d := time.Until(*got.RetainUntilDate) - in; got.Mode != mode || d > time.Minute || d < -time.Minute {
			t.Errorf("locked until %v in mode %q, want %v in %q", got.RetainUntilDate, got.Mode, in, mode)
		}
	}
	data := []byte("some content")
	name := hashName(data)
	put(t, s, name, data)
	put(t, s, name, data)
	put(t, s, "config", data)
	near(t, x.lockOf(name)[0], "GOVERNANCE", day)
	near(t, x.lockOf("config")[0], "GOVERNANCE", day)
	if len(x.versions(name)) != 1 || len(x.versions("config")) != 1 {
		t.Error("an object was stored more than once")
	}
	if err := x.removeVersion(name, x.versions(name)[0].VersionId, false); err == nil {
		t.Fatal("a locked version was deleted")
	}
	wantContent(t, s, name, data)

	t.Run("Retain", func(t *testing.T) {
		if extended, err := s.Retain(t.Context(), name); err != nil || extended {
			t.Errorf("extended %v, %v, with all of the time left", extended, err)
		}
		o := o
		o.Lock.For = 30 * day
		s := reopen(t, l, o)
		for _, want := range []bool{true, false} {
			if extended, err := s.Retain(t.Context(), name); err != nil || extended != want {
				t.Errorf("extended %v, %v, want %v", extended, err, want)
			}
			near(t, x.lockOf(name)[0], "GOVERNANCE", 30*day)
		}
		_, err := s.Retain(t.Context(), "content/none")
		wantError(t, err, store.ErrNotExist, "content/none")
		if s.Retention() != 30*day {
			t.Errorf("retention is %v", s.Retention())
		}
		// A day is never put in place of thirty.
		if extended, err := reopen(t, l, s3.Options{Options: request.Options{Endpoint: o.Endpoint, Region: o.Region}, Lock: s3.Lock{For: day}}).Retain(t.Context(), name); err != nil || extended {
			t.Errorf("extended %v, %v", extended, err)
		}
		near(t, x.lockOf(name)[0], "GOVERNANCE", 30*day)
	})
	t.Run("RetainReplaced", func(t *testing.T) {
		replaced, deleted := []byte("replaced"), []byte("deleted")
		for _, data := range [][]byte{replaced, deleted} {
			put(t, s, hashName(data), data)
		}
		x.overwrite(hashName(replaced), []byte("junk"))
		x.remove(hashName(deleted))
		o := o
		o.Lock.For = 30 * day
		s := reopen(t, l, o)
		for _, data := range [][]byte{replaced, deleted} {
			if extended, err := s.Retain(t.Context(), hashName(data)); err != nil || !extended {
				t.Errorf("extended %v, %v", extended, err)
			}
			locks := x.lockOf(hashName(data))
			near(t, locks[len(locks)-1], "GOVERNANCE", 30*day)
			wantContent(t, s, hashName(data), data)
		}
	})
	t.Run("Compliance", func(t *testing.T) {
		o := o
		o.Lock = s3.Lock{For: day, Compliance: true}
		s := reopen(t, l, o)
		data := []byte("in compliance")
		put(t, s, hashName(data), data)
		near(t, x.lockOf(hashName(data))[0], "COMPLIANCE", day)
		if err := x.removeVersion(hashName(data), x.versions(hashName(data))[0].VersionId, true); err == nil {
			t.Error("a version was deleted that nobody may delete")
		}
		o.Lock = s3.Lock{For: 10 * day} // what is in compliance mode stays there
		if extended, err := reopen(t, l, o).Retain(t.Context(), hashName(data)); err != nil || !extended {
			t.Errorf("extended %v, %v", extended, err)
		}
		near(t, x.lockOf(hashName(data))[0], "COMPLIANCE", 10*day)
	})
	t.Run("Delete", func(t *testing.T) { // as prune does: the version stays until its time has come
		data := []byte("to be pruned")
		put(t, s, hashName(data), data)
		if err := s.Delete(t.Context(), hashName(data)); err != nil {
			t.Fatal(err)
		}
		_, err := s.Stat(t.Context(), hashName(data))
		wantError(t, err, store.ErrNotExist)
		if len(x.versions(hashName(data))) != 1 {
			t.Error("nothing is left of it")
		}
	})
	t.Run("NoLock", func(t *testing.T) {
		l := freshPlace()
		open(t, l, options(t, server))
		s := reopen(t, l, o)
		_, err := s.Put(t.Context(), name, data)
		wantError(t, err, request.ErrNoLock, name)
		_, err = s.Put(t.Context(), "config", data)
		wantError(t, err, request.ErrNoLock, "config")
		put(t, open(t, l, options(t, server)), name, data)
		_, err = s.Retain(t.Context(), name)
		wantError(t, err, request.ErrNoLock, name)
		if strings.Contains(err.Error(), "attempts") {
			t.Errorf("it was tried again: %v", err)
		}
	})
	t.Run("ClockAhead", func(t *testing.T) {
		w := s3test.NewWeather(t, server)
		w.Becomes(s3test.Always(s3test.Fate{Ahead: 8 * time.Hour}))
		o := o
		o.Endpoint = w.Endpoint
		s := reopen(t, l, o)
		data := []byte("by another clock")
		put(t, s, hashName(data), data)
		near(t, x.lockOf(hashName(data))[0], "GOVERNANCE", day+8*time.Hour)
	})
}

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"nightjar/internal/s3test"
	"nightjar/repo/maintain/locks"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
)

// Locks are extended of the packs that are named, and of all that is no pack.
func TestExtendLocks(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *s3test.Server{
		"MinIO": s3test.MinIO, "Versity": func(t testing.TB) *s3test.Server { return s3test.Versity(t, "us-east-1") },
	} {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			server.Setenv(t)
			extendLocks(t, server)
		})
	}
}

func extendLocks(t *testing.T, server *s3test.Server) {
	const day = 24 * time.Hour
	open := func(lock time.Duration) *s3.Store {
		s, err := s3.Create(t.Context(), store.Location{Scheme: "s3", Path: "locked/web1"}, s3.Options{
			Options: request.Options{Endpoint: server.Endpoint, Region: server.Region}, Lock: s3.Lock{For: lock},
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(2 * day)
	put := func(kind string) string {
		data := []byte("this is " + kind)
		sum := sha256.Sum256(data)
		name := kind + "/" + hex.EncodeToString(sum[:])
		if kind == "content" || kind == "metadata" {
			name = kind + "/" + hex.EncodeToString(sum[:1]) + "/" + hex.EncodeToString(sum[:])
		}
		if kind == "config" || kind == "keys/000001" {
			name = kind
		}
		if _, err := s.Put(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
		return name
	}
	needed := []string{put("config"), put("keys/000001"), put("index"), put("archive"), put("content")}
	useless := put("metadata")
	packs := []string{needed[4], "content/00/" + hex.EncodeToString(make([]byte, 32))} // one is gone

	client := awss3.New(awss3.Options{
		Region: server.Region, BaseEndpoint: &server.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
	})
	left := func(name string) time.Duration {
		out, err := client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("locked"), Key: aws.String("web1/" + name)})
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(aws.ToTime(out.ObjectLockRetainUntilDate))
	}
	extend := func(s store.Store, want locks.Extended) {
		t.Helper()
		if done, err := locks.Extend(t.Context(), s, slices.Values(packs), 2); err != nil || done != want {
			t.Errorf("extended %+v, %v, want %+v", done, err, want)
		}
	}
	extend(s, locks.Extended{Objects: 5})
	extend(open(30*day), locks.Extended{Objects: 5, Extended: 5})
	extend(open(30*day), locks.Extended{Objects: 5})
	extend(open(0), locks.Extended{})
	extend(store.NewMemory(nil), locks.Extended{})
	for _, name := range needed {
		if left(name) < 29*day {
			t.Errorf("%s is locked for %v", name, left(name))
		}
	}
	if left(useless) > 2*day+time.Hour {
		t.Errorf("what nobody needs is locked for %v", left(useless))
	}
}

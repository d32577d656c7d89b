package recover_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	nightjars3 "nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
)

// TestFromBucket recovers a repository in a bucket from plain downloads: each object to a file of its key.
func TestFromBucket(t *testing.T) {
	server := s3test.Versity(t, "eu-west-1")
	server.Setenv(t)
	location := store.Location{Scheme: "s3", Path: "night-bucket/web1"}
	in, err := nightjars3.Create(t.Context(), location, nightjars3.Options{Options: request.Options{Endpoint: server.Endpoint, Region: server.Region}})
	must(t, err)
	f := newFixtureIn(t, in, filepath.Join(t.TempDir(), "downloaded"), true)
	fill(t, f.src)
	f.backup(t)
	want := look(t, f.src)
	download(t, server, "night-bucket", "web1/", f.dir)
	s := newShell(t, f.dir, f.kit(t, ""))
	s.open()
	if err := s.restore(s.page.steps[6], f.src); err != nil || strings.Contains(s.said, "PROBLEM") {
		t.Fatalf("%v\n%s", err, s.said)
	}
	compare(t, want, look(t, s.path("target")))
}

// download does what any S3 client does with a prefix.
func download(t *testing.T, server *s3test.Server, bucket, prefix, dir string) {
	t.Helper()
	client := s3.New(s3.Options{
		BaseEndpoint: &server.Endpoint, Region: server.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
	})
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		must(t, err)
		for _, o := range page.Contents {
			key := aws.ToString(o.Key)
			answer, err := client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
			must(t, err)
			content, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			must(t, err)
			write(t, filepath.Join(dir, strings.TrimPrefix(key, prefix)), content)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
}

package place

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/s3test"
	"nightjar/repo"
	"nightjar/repo/store"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantUsage(t *testing.T, what string, err error, says string) {
	t.Helper()
	var wrong usage.Error
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want a wrong command line that says %q", what, err, says)
	}
}

func parse(t *testing.T, url string) store.Location {
	t.Helper()
	l, err := Parse(url)
	must(t, err)
	return l
}

func options() *Options {
	return &Options{
		Now:  func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		Warn: func(error) {},
	}
}

func TestParse(t *testing.T) {
	for url, want := range map[string]string{
		"/srv/backups":            "/srv/backups",
		"/srv/../backups/":        "/backups",
		"file:///srv/a%20b":       "/srv/a b",
		"s3://bucket/web1":        "s3://bucket/web1",
		"s3://bucket/web1/":       "s3://bucket/web1",
		"s3+http://bucket/prefix": "s3://bucket/prefix", // duplicity's word
	} {
		if l, err := Parse(url); err != nil || Shown(l) != want {
			t.Errorf("Parse(%q) is shown as %q, %v, want %q", url, Shown(l), err, want)
		}
	}
	for url, says := range map[string]string{
		"":                       "a path begins with / or ./",
		"backups":                "a path begins with / or ./",
		"sftp:me@host:/backups":  "sftp://user@host/path",
		"rclone://u:hunter2@h/p": "repository rclone://…: only /path, file:///path",
		"s3://u:hunter2@b/p":     "repository s3://…: ",
		"file://u:hunter2@h/p":   "names no host",
		"s3://":                  "repository s3://…: ",
		"h unter2://u:hunter2@h": "malformed scheme",
	} {
		_, err := Parse(url)
		wantUsage(t, url, err, says)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Parse(%q) repeats the password: %v", url, err)
		}
	}
}

func TestNameAndAddress(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		url, name, address string
		endpoint           string // by AWS_ENDPOINT_URL
		bucket             Bucket
	}{
		{url: "/srv/b", name: "/srv/b", address: "/srv/b", endpoint: "http://localhost:9000"},
		{url: "s3://bucket/p", name: "s3://bucket/p", address: "s3://bucket/p"},
		{url: "s3://bucket/p", name: "s3://bucket/p", address: "s3://bucket/p --region eu-west-1 --requester-pays", bucket: Bucket{Region: "eu-west-1", RequesterPays: true}},
		{url: "s3://bucket/p", name: "s3://bucket/p", address: "s3://bucket/p", bucket: Bucket{PathStyle: &no}},
		{
			url: "s3://bucket/p", name: "s3://bucket/p --endpoint https://s3.example", address: "s3://bucket/p --endpoint https://s3.example --path-style",
			endpoint: "http://localhost:9000", bucket: Bucket{Endpoint: "https://S3.example/", PathStyle: &yes},
		},
		{
			url: "s3://bucket/p", name: "s3://bucket/p --endpoint http://localhost:9000", address: "s3://bucket/p --endpoint http://localhost:9000 --path-style=false",
			endpoint: "http://localhost:9000", bucket: Bucket{PathStyle: &no},
		},
	} {
		s3test.Setenv(t, "me", "not-a-secret", "")
		t.Setenv("AWS_ENDPOINT_URL", c.endpoint)
		o, l := options(), parse(t, c.url)
		o.Bucket = c.bucket
		if got := o.Name(t.Context(), l); got != c.name {
			t.Errorf("the name of %s is %q, want %q", c.url, got, c.name)
		}
		if got := o.Address(t.Context(), l); got != c.address {
			t.Errorf("the address of %s is %q, want %q", c.url, got, c.address)
		}
	}
}

func TestDirectory(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "deep", "repo")
	l, o := parse(t, path), options()
	if _, err := o.Open(ctx, l); !errors.Is(err, store.ErrNoStore) {
		t.Errorf("a missing directory opens with %v", err)
	}
	s, err := o.Create(ctx, l)
	must(t, err)
	Close(s)
	s, err = o.Open(ctx, l)
	must(t, err)
	if Requests(s) != nil {
		t.Error("a directory is asked by requests")
	}
	Close(s)
	for name, b := range map[string]Bucket{
		"region": {Region: "r"}, "endpoint": {Endpoint: "e"}, "class": {StorageClasses: []string{"content=STANDARD"}}, "lock": {ObjectLock: "30D"}, "as of": {AsOf: "3D"}, "limit": {LimitUpload: "1M"},
	} {
		o.Bucket = b
		_, err := o.Open(ctx, l)
		wantUsage(t, name, err, "options for buckets have no place")
		wantUsage(t, name, o.CheckEmpty(ctx, l, false), "options for buckets have no place")
	}
	o.Bucket = Bucket{}
	wantUsage(t, "create bucket", o.CheckEmpty(ctx, l, true), "options for buckets have no place")
}

func TestCheckEmpty(t *testing.T) {
	for _, c := range []struct {
		holds string
		want  error
	}{
		{"", nil},
		{"lost+found", nil},
		{"config", nil}, // of an init that died: repo.Init judges
		{"keys", nil},
		{".tmp-1 keys/.tmp-2", nil},
		{"keys/000001", repo.ErrExists},
		{"photos", ErrNotEmpty},
		{".hidden", ErrNotEmpty},
		{"photos keys/000001", repo.ErrExists},
		{"lost+found photos", ErrNotEmpty},
	} {
		dir := t.TempDir()
		for _, name := range strings.Fields(c.holds) {
			must(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
		}
		if err := options().CheckEmpty(t.Context(), parse(t, dir), false); !errors.Is(err, c.want) {
			t.Errorf("a directory with %q: %v, want %v", c.holds, err, c.want)
		}
	}
	if err := options().CheckEmpty(t.Context(), parse(t, filepath.Join(t.TempDir(), "missing")), false); err != nil {
		t.Errorf("a missing directory: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if err := options().CheckEmpty(t.Context(), parse(t, file), false); err == nil {
		t.Error("a file is a place for a repository")
	}
}

// What is undone is what was made: a directory that was there before stays, and so does what somebody else put into it.
func TestBeginUndo(t *testing.T) {
	ctx, there := context.Background(), t.TempDir()
	for _, c := range []struct {
		path, foreign string
		stays         bool
	}{
		{path: filepath.Join(there, "new", "repo")},
		{path: filepath.Join(there, "new", "repo"), foreign: "photo", stays: true},
		{path: there, stays: true},
	} {
		s, undo, err := options().Begin(ctx, parse(t, c.path), false)
		must(t, err)
		_, err = s.Put(ctx, "keys/000001", []byte("signed"))
		must(t, err)
		must(t, s.Delete(ctx, "keys/000001"))
		Close(s)
		if c.foreign != "" {
			must(t, os.WriteFile(filepath.Join(c.path, c.foreign), nil, 0o600))
		}
		undo()
		if _, err := os.Stat(filepath.Join(c.path, "keys")); err == nil {
			t.Errorf("%s: the folder of keys is there after undo", c.path)
		}
		if _, err := os.Stat(c.path); (err == nil) != c.stays {
			t.Errorf("%s: after undo: %v, want it to stay: %v", c.path, err, c.stays)
		}
	}
}

func TestCheckConnections(t *testing.T) {
	for n, ok := range map[int]bool{0: true, 1: true, 64: true, -1: false, 65: false} {
		o := options()
		o.Connections = n
		if err := o.CheckConnections(); (err == nil) != ok {
			t.Errorf("%d connections: %v", n, err)
		}
	}
}

func TestNeedsClaim(t *testing.T) {
	for url, want := range map[string]bool{"/srv/b": false, "s3://bucket/p": true, "nonsense": false} {
		if got := NeedsClaim(url); got != want {
			t.Errorf("NeedsClaim(%q) = %v", url, got)
		}
	}
}

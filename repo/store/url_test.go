package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/repo/store"
)

func TestParseLocation(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	file := func(path string) store.Location { return store.Location{Scheme: store.SchemeFile, Path: path} }
	for url, want := range map[string]store.Location{
		"/a/b":                 file("/a/b"),
		"/tmp//./../c/":        file("/c"),
		"/a b#c?d%20":          file("/a b#c?d%20"),
		"/a://b":               file("/a:/b"),
		"./a":                  file(filepath.Join(wd, "a")),
		"../a":                 file(filepath.Join(filepath.Dir(wd), "a")),
		".":                    file(wd),
		"file:///a/b":          file("/a/b"),
		"file:///a%20b%23":     file("/a b#"),
		"file://localhost/a":   file("/a"),
		"s3://bucket/prefix":   {Scheme: "s3", Path: "bucket/prefix"},
		"s3+http://host:1/b/p": {Scheme: "s3+http", Path: "host:1/b/p"},
	} {
		if got, err := store.ParseLocation(url); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", url, got, err, want)
		}
	}
}

func TestParseLocationRefuses(t *testing.T) {
	for _, url := range []string{
		"", "repo", "a/b", "~/repo", "s3:bucket", "://a", "S3://bucket", "1s3://bucket", "s 3://bucket", ".hidden",
		"file://", "file://a", "file://host/a", "file://user:hunter2@localhost/a", "file:///a?b", "file:///a#b", "file:///%zz",
		"/a\x00b", "file:///a%00b", "file:/a", "/a//b/../c", "file:///a/../c",
	} {
		l, err := store.ParseLocation(url)
		if err == nil {
			t.Errorf("%q: accepted as %+v", url, l)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats a password: %v", err)
		}
	}
}

func FuzzParseLocation(f *testing.F) {
	for _, url := range []string{"/a", "./a", "file:///a%20b", "file://h/a", "s3://b/p", "", "file:///%2e%2e/x"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		l, err := store.ParseLocation(url)
		if err == nil && l.Scheme == store.SchemeFile && (!filepath.IsAbs(l.Path) || filepath.Clean(l.Path) != l.Path) {
			t.Errorf("%q gave the path %q", url, l.Path)
		}
	})
}

func FuzzValidName(f *testing.F) {
	for _, name := range []string{"config", "content/ab/0123", "a/../b", ".tmp-1", "/a", "a//b", "A", "a\x00"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !store.ValidName(name) {
			return
		}
		if !filepath.IsLocal(name) || filepath.Clean(name) != name || len(name) > store.MaxName || strings.Contains("/"+name, "/.") {
			t.Errorf("%q is valid", name)
		}
		if err := store.CheckPrefix(name); err != nil {
			t.Errorf("a name is no prefix: %v", err)
		}
	})
}

package main

import (
	"net/http"
	"strings"
	"testing"

	"nightjar/internal/s3test"
)

// TestAnswers has every command meet answers that no S3 server gives, or half ones: it fails, names what came, and changes nothing.
func TestAnswers(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t, "eu-west-1")
	w := s3test.NewWeather(t, server)
	s := newSite(t, server, w.Endpoint, "s3://answers/web1", 200_000)
	s.write(200_000)
	s.wants(0, "", "backup", s.src)
	s.wants(0, "", "key", "grace", "1s", "--key", s.path("kit.txt"))
	s.env = append(s.env, "AWS_MAX_ATTEMPTS=2")
	other := s.path("copy")
	s.wants(0, "note: ", "copy", "--to", other, "--create")

	archives := func(f s3test.Fate) func(int, *http.Request) s3test.Fate { // only where it would do harm
		return func(_ int, r *http.Request) s3test.Fate {
			if strings.Contains(r.URL.Query().Get("prefix"), "web1/archive") {
				return f
			}
			return s3test.Fate{}
		}
	}
	edit := func(old, new string) s3test.Fate {
		return s3test.Fate{Edit: func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), old, new)) }}
	}
	for i, c := range []struct {
		name string
		hook func(int, *http.Request) s3test.Fate
		says string
	}{
		{"a portal", s3test.Always(s3test.Fate{Page: "<html><title>Please sign in</title>"}), `web page with status 200, "Please sign in"`},
		{"a proxy's own 404", s3test.Always(s3test.Fate{Page: "<html><title>404</title>", Status: 404}), "web page with status 404"},
		{"nothing", archives(s3test.Fate{Edit: func([]byte) []byte { return nil }}), "is empty"},
		{"truncated, no token", archives(edit("<IsTruncated>false", "<IsTruncated>true")), "truncated, and has no token"},
		{"half a body", archives(s3test.Fate{Edit: func(b []byte) []byte { return b[:len(b)/2] }}), "no whole XML"},
		{"an archive left out", archives(s3test.Fate{Edit: func(b []byte) []byte { return dropFirst(b) }}), "keys and says"},
		{"another kind of answer", archives(edit("ListBucketResult", "ListAllMyBucketsResult")), "not a ListBucketResult"},
	} {
		for j, command := range []string{
			"list", "check", "forget --keep-last 1", "prune", "copy --to " + other, "copy --delete --to " + other, "check --repair", "stats", "find x",
			"backup " + s.src, "restore latest --target " + s.path("target"),
		} {
			if !tried(i, j, 3) {
				continue
			}
			t.Run(c.name+"/"+strings.Fields(command)[0], func(t *testing.T) {
				s.t = t
				w.Becomes(c.hook)
				s.wants(1, "(?s)s3:ListBucket on s3://answers/web1.*"+c.says+".*hint: something else than the server answered", strings.Fields(command)...)
				for _, r := range w.Log() {
					if strings.HasPrefix(r, "DELETE") {
						t.Errorf("it deleted something: %s", r)
					}
				}
				w.Becomes(nil)
			})
		}
	}
	s.t = t
	s.wants(0, "", "check")
	if n := s.archives(); n != 2 {
		t.Errorf("%d archives are left", n)
	}
}

// dropFirst leaves the first key out of an answer to a listing.
func dropFirst(body []byte) []byte {
	before, rest, _ := strings.Cut(string(body), "<Contents>")
	_, rest, _ = strings.Cut(rest, "</Contents>")
	return []byte(before + rest)
}

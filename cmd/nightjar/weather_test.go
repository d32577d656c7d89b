package main

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/internal/s3test"
)

// A site is a machine with something to save, and a repository in a bucket.
type site struct {
	t    testing.TB
	dir  string
	env  []string
	src  string
	next int
}

const twoPacks = 18 << 20 // bytes of content

// newSite makes a repository in a server, behind an endpoint, and saves the source in it, which has that many bytes.
func newSite(t testing.TB, server *s3test.Server, endpoint, repository string, size int) *site {
	t.Helper()
	s := emptySite(t, server, endpoint, repository)
	s.write(size)
	s.wants(0, "public access", "init", "--create-bucket", "--kit-file", s.path("kit.txt"))
	s.wants(0, "", "backup", s.src)
	return s
}

func emptySite(t testing.TB, server *s3test.Server, endpoint, repository string) *site {
	s := &site{t: t, dir: t.TempDir()}
	s.src = s.path("src")
	s.env = slices.Concat(os.Environ(), server.Environ(), []string{"AWS_ENDPOINT_URL=" + endpoint, "AWS_REGION=eu-west-1", "NIGHTJAR_REPO=" + repository,
		"NIGHTJAR_STATE_DIR=" + s.path("state"), "NIGHTJAR_CACHE_DIR=" + s.path("cache"), "TZ=UTC"})
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write changes the source: size bytes, which do not compress.
func (s *site) write(size int) {
	s.t.Helper()
	s.next++
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(s.next)}).Read(data)
	for name, content := range map[string][]byte{"large": data[len(data)/4:], "folder/half": data[:len(data)/4], "folder/small": fmt.Appendf(nil, "night %d", s.next)} {
		name = filepath.Join(s.src, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	c := exec.Command("nightjar", args...)
	var out, errs bytes.Buffer
	c.Env, c.Stdout, c.Stderr = s.env, &out, &errs
	err := c.Run()
	if c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// wants runs a command, which must end with the code and say on standard error what the pattern asks for; nothing if it is empty.
func (s *site) wants(code int, pattern string, args ...string) (stdout string) {
	s.t.Helper()
	got, stdout, stderr := s.run(args...)
	if got != code || !regexp.MustCompile(pattern).MatchString(stderr) || pattern == "" && stderr != "" {
		s.t.Fatalf("nightjar %s: exit code %d, want %d and %q:\n%s", strings.Join(args, " "), got, code, pattern, stderr)
	}
	return stdout
}

// same fails unless a restored tree is the source.
func (s *site) same(target string) {
	s.t.Helper()
	if out, err := exec.Command("diff", "-r", s.src, filepath.Join(target, "src")).CombinedOutput(); err != nil {
		s.t.Fatalf("restored another tree: %v\n%.1000s", err, out)
	}
}

// restores fails unless the newest archive comes back, on a machine that remembers nothing.
func (s *site) restores() {
	s.t.Helper()
	target := s.t.TempDir()
	s.wants(0, "", "restore", "latest:"+s.dir, "--target", target, "--cache-dir", s.t.TempDir())
	s.same(target)
}

func (s *site) archives() int {
	s.t.Helper()
	return strings.Count(s.wants(0, "", "list"), s.src)
}

// objectOf returns the folder of the repository that holds the object of a request, "" if it is for no object.
func objectOf(r *http.Request) (folder string) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 4 { // bucket, prefix, kind, hash
		return ""
	}
	return parts[2]
}

// from is a fate for all requests of a method to a folder, from the nth on, counted from 1.
func from(method, folder string, n int, f s3test.Fate) func(int, *http.Request) s3test.Fate {
	seen := 0
	return func(_ int, r *http.Request) s3test.Fate {
		if r.Method == method && objectOf(r) == folder {
			if seen++; seen >= n {
				return f
			}
		}
		return s3test.Fate{}
	}
}

// once is a hook's first fate that is no fine day.
func once(hook func(int, *http.Request) s3test.Fate) func(int, *http.Request) s3test.Fate {
	var done bool
	return func(n int, r *http.Request) s3test.Fate {
		f := hook(n, r)
		if done || f.Status == 0 && !f.Reset && !f.Lost && f.Cut == 0 {
			return s3test.Fate{}
		}
		done = true
		return f
	}
}

// oneInFive has every fifth request fail, in different ways.
func oneInFive(n int, _ *http.Request) s3test.Fate {
	fates := []s3test.Fate{{Reset: true}, {Status: 503, Code: "SlowDown"}, {Lost: true}, {Status: 500, Code: "InternalError"}}
	if n%5 == 0 {
		return fates[n/5%len(fates)]
	}
	return s3test.Fate{}
}

// gone is a server that ends in the middle of a run.
func gone(after int) func(int, *http.Request) s3test.Fate {
	return func(n int, _ *http.Request) s3test.Fate { return s3test.Fate{Reset: n > after} }
}

// TestWeather backs up and restores in bad weather. After it, nothing is lost: the archive before restores, and the next run completes.
func TestWeather(t *testing.T) {
	t.Parallel()
	need(t, "diff")
	server := s3test.Versity(t, "eu-west-1")
	w := s3test.NewWeather(t, server)
	s := newSite(t, server, w.Endpoint, "s3://weather/web1", twoPacks)
	type hook = func(int, *http.Request) s3test.Fate
	var (
		expired = s3test.Fate{Status: 400, Code: "ExpiredToken"}
		denied  = s3test.Fate{Status: 403, Code: "AccessDenied"}
		lost    = s3test.Fate{Lost: true}
	)
	for _, c := range []struct {
		name      string
		hook      hook
		code      int
		says      string
		onRestore bool
		size      int // bytes that are written before; 0: 1 MiB
	}{
		{name: "one request in five fails", hook: oneInFive, size: twoPacks},
		{name: "an answer is lost after the deed", hook: s3test.Nth("PUT", 1, lost)},
		{name: "the archive's answer is lost", hook: once(from("PUT", "archive", 1, lost))},
		{name: "credentials expire", hook: from("PUT", "content", 2, expired), size: twoPacks, code: 1, says: "(?s)error: .*credentials.*expired.*hint: renew"},
		{name: "credentials expire before the archive", hook: from("PUT", "archive", 1, expired), code: 1, says: "(?s)error: .*expired.*hint: renew"},
		{name: "may not put", hook: from("PUT", "content", 1, denied), code: 1, says: "(?s)s3:PutObject on s3://weather/web1/content/.*permission denied.*hint: .*policy"},
		{name: "may not put an index", hook: from("PUT", "index", 1, denied), code: 1, says: "s3:PutObject on s3://weather/web1/index/.*permission denied"},
		{name: "may not get", hook: from("GET", "archive", 1, denied), code: 1, says: "s3:GetObject on s3://weather/web1/archive/.*permission denied"},
		{name: "gone", hook: gone(0), code: 1, says: "(?s)error: .*" + regexp.QuoteMeta(strings.TrimPrefix(w.Endpoint, "http://")) + ".*hint: is the network up"},
		{name: "gone in the middle", hook: gone(12), size: twoPacks, code: 1, says: "(?s)error: .*hint: is the network up"},
		{name: "gone before the archive", hook: from("PUT", "archive", 1, s3test.Fate{Reset: true}), size: twoPacks, code: 1, says: "(?s)error: .*hint: is the network up"},
		{name: "one request in five fails", hook: oneInFive, onRestore: true},
		{name: "an answer breaks off", hook: once(from("GET", "content", 2, s3test.Fate{Cut: 3 << 20})), onRestore: true},
		{name: "credentials expire", hook: from("GET", "content", 2, expired), code: 1, says: "(?s)expired.*hint: renew", onRestore: true},
		{name: "may not get", hook: from("GET", "content", 1, denied), code: 1, says: "s3:GetObject on s3://weather/web1/content/.*permission denied", onRestore: true},
		{name: "gone in the middle", hook: from("GET", "content", 2, s3test.Fate{Reset: true}), code: 1, says: "hint: is the network up", onRestore: true},
	} {
		name := "backup: " + c.name
		if c.onRestore {
			name = "restore: " + c.name
		}
		t.Run(name, func(t *testing.T) {
			s.t = t
			if c.code != 0 {
				s.env = append(s.env, "AWS_MAX_ATTEMPTS=3")
				defer func() { s.env = s.env[:len(s.env)-1] }()
			}
			if c.onRestore {
				target := t.TempDir()
				w.Becomes(c.hook)
				s.wants(c.code, c.says, "restore", "latest:"+s.dir, "--target", target, "--cache-dir", t.TempDir())
				w.Becomes(nil)
				if c.code == 0 {
					s.same(target)
				} else {
					noWrongFiles(t, s.src, filepath.Join(target, "src"))
				}
				return
			}
			before := s.archives()
			if c.code != 0 {
				s.restores()
			}
			s.write(cmp.Or(c.size, 1<<20))
			w.Becomes(c.hook)
			s.wants(c.code, c.says, "backup", s.src, "--cache-dir", t.TempDir())
			w.Becomes(nil)
			if c.code == 0 {
				s.restores()
				return
			}
			if n := s.archives(); n != before {
				t.Fatalf("%d archives after a failure, %d before", n, before)
			}
			s.wants(0, "", "backup", s.src)
			s.restores()
		})
	}
	s.t = t
	s.wants(0, "", "check", "--read-data")
}

// noWrongFiles fails if a file has other content than the original. A restore that failed may lack some.
func noWrongFiles(t *testing.T, want, got string) {
	t.Helper()
	err := filepath.WalkDir(got, func(name string, e os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(got, name)
		if err != nil {
			return err
		}
		is, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		was, err := os.ReadFile(filepath.Join(want, rel))
		if err != nil {
			return err
		}
		if !bytes.Equal(is, was) {
			t.Errorf("%s holds wrong bytes", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestClockSkew uses a server whose clock is not that of the machine.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t, "eu-west-1")
	for i, ahead := range []time.Duration{-26 * time.Hour, -time.Hour, -10 * time.Minute, 10 * time.Minute, time.Hour, 26 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			w := s3test.NewWeather(t, server)
			w.Becomes(s3test.Always(s3test.Fate{Ahead: ahead}))
			s := newSite(t, server, w.Endpoint, fmt.Sprintf("s3://weather%d/web1", i), 1<<20)
			s.restores()
			s.write(1 << 20)
			s.wants(0, "", "backup", s.src)
			s.restores()
			s.wants(0, "", "check", "--read-data")
		})
	}
}

// TestNoConditions uses a server that ignores If-None-Match: never silently.
func TestNoConditions(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t, "eu-west-1")
	w := s3test.NewWeather(t, server)
	s := newSite(t, server, w.Endpoint, "s3://weather/web1", twoPacks)
	w.Becomes(s3test.Always(s3test.Fate{Strip: []string{"If-None-Match"}}))
	s.wants(0, "warning: the server does not honor If-None-Match", "--repo", "s3://weather/web2", "init")
	s.wants(1, "a repository is there already", "--repo", "s3://weather/web2", "init")
	s.wants(0, "", "--repo", "s3://weather/web2", "backup", s.src)
	s.write(1 << 20)
	s.wants(0, "", "backup", s.src)
	w.Becomes(nil)
	s.restores()
}

// TestLaggingLists uses a server whose lists lack what was stored lately.
func TestLaggingLists(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t, "eu-west-1")
	w := s3test.NewWeather(t, server)
	s := newSite(t, server, w.Endpoint, "s3://weather/web1", twoPacks)
	old := t.TempDir()
	if out, err := exec.Command("cp", "-a", s.src, old).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	known := keysIn(server, "weather/web1")
	s.write(1 << 20)
	s.wants(0, "", "backup", s.src)
	hide := func(kinds string) func(int, *http.Request) s3test.Fate {
		contents := regexp.MustCompile(`(?s)<Contents>.*?</Contents>`)
		key := regexp.MustCompile(`<Key>([^<]*)</Key>`)
		count := regexp.MustCompile(`<KeyCount>[0-9]+</KeyCount>`)
		edit := s3test.Fate{Edit: func(body []byte) []byte {
			left := 0
			body = contents.ReplaceAllFunc(body, func(entry []byte) []byte {
				name := string(key.FindSubmatch(entry)[1])
				if !known[name] && strings.Contains(kinds, strings.Split(name, "/")[1]) {
					return nil
				}
				left++
				return entry
			})
			return count.ReplaceAll(body, fmt.Appendf(nil, "<KeyCount>%d</KeyCount>", left))
		}}
		return func(_ int, r *http.Request) s3test.Fate {
			if r.URL.Query().Has("list-type") {
				return edit
			}
			return s3test.Fate{}
		}
	}

	// Nothing of the second night is listed: the first one comes back.
	w.Becomes(hide("archive index content metadata"))
	target := t.TempDir()
	s.wants(0, "", "restore", "latest:"+s.dir, "--target", target, "--cache-dir", t.TempDir())
	if out, err := exec.Command("diff", "-r", filepath.Join(old, "src"), filepath.Join(target, "src")).CombinedOutput(); err != nil {
		t.Fatalf("restored another tree than the first night's: %v\n%.1000s", err, out)
	}

	// The archive is listed and its index is not: that is said, and passes.
	w.Becomes(hide("index"))
	target = t.TempDir()
	s.wants(12, "in no index", "restore", "latest:"+s.dir, "--target", target, "--cache-dir", t.TempDir())
	noWrongFiles(t, s.src, filepath.Join(target, "src"))
	w.Becomes(nil)
	s.restores()

	// A night that sees nothing of the one before costs space, and is whole.
	s.write(1 << 20)
	w.Becomes(hide("archive index content metadata"))
	s.wants(0, "", "backup", s.src, "--cache-dir", t.TempDir())
	w.Becomes(nil)
	s.restores()
	s.wants(0, "", "check", "--read-data")
}

// keysIn returns the keys of a bucket that begin with a prefix.
func keysIn(server *s3test.Server, prefix string) map[string]bool {
	bucket, _, _ := strings.Cut(prefix, "/")
	keys := map[string]bool{}
	_ = filepath.WalkDir(filepath.Join(server.Data, prefix), func(name string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			rel, _ := filepath.Rel(filepath.Join(server.Data, bucket), name)
			keys[rel] = true
		}
		return nil
	})
	return keys
}

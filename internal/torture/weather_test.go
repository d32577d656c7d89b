package torture

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/internal/s3test"
)

// A storm has one request in five fail, each in a way that chance picks.
type storm struct {
	mu     sync.Mutex
	random *rand.Rand
	fates  []s3test.Fate
	struck map[string]int
}

var (
	// passing are failures that a command outlives, if it tries again.
	passing = []s3test.Fate{
		{Status: 500, Code: "InternalError"}, {Status: 503, Code: "SlowDown"}, {Status: 503, Code: "ServiceUnavailable"},
		{Reset: true}, {Lost: true}, {Cut: 100}, {Cut: 20_000}, {Latency: 200 * time.Millisecond},
		{Status: 409, Code: "ConditionalRequestConflict"}, {Status: 429, Code: "TooManyRequests"},
	}
	// serious are failures that may end a command, which then says which.
	serious = []s3test.Fate{
		{Status: 412, Code: "PreconditionFailed"}, {Status: 409, Code: "BucketAlreadyOwnedByYou"}, {Status: 404, Code: "NoSuchKey"},
		{Status: 400, Code: "ExpiredToken"}, {Status: 403, Code: "AccessDenied"}, {Status: 403, Code: "RequestTimeTooSkewed"}, {Status: 400, Code: "BadDigest"},
	}
)

func (s *storm) fate(_ int, r *http.Request) s3test.Fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.random.IntN(5) > 0 {
		return s3test.Fate{}
	}
	f := s.fates[s.random.IntN(len(s.fates))]
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	conflict := f.Status == http.StatusConflict || f.Status == http.StatusPreconditionFailed
	if reads && conflict || !reads && f.Cut > 0 {
		f = s3test.Fate{Lost: true} // only writes are in conflict, only answers to reads are long
	}
	switch {
	case f.Cut > 0:
		s.struck["cut"]++
	case f.Reset:
		s.struck["reset"]++
	case f.Lost:
		s.struck["answer lost"]++
	case f.Latency > 0:
		s.struck["slow"]++
	default:
		s.struck[fmt.Sprint(f.Status, " ", f.Code)]++
	}
	return f
}

// TestStorm runs commands on a bucket while one request in five fails. What passes is outlived; what does not is said; then, in fine weather,
// the same command completes, and nothing that was committed is lost.
func TestStorm(t *testing.T) {
	server := s3test.Versity(t, "eu-west-1")
	server.Setenv(t)
	w := s3test.NewWeather(t, server)
	r := random(600)
	m := newMachine(t, r, "s3://storm/web1", "AWS_ENDPOINT_URL="+w.Endpoint, "AWS_REGION=eu-west-1")
	m.want(0, "public access|^$", "init", "--create-bucket", "--quiet")
	for range kept + 1 {
		m.another()
	}
	whole := func(*machine) []string { return []string{"check", "--read-data"} }
	deeds := []step{
		{"backup", (*machine).night, backupSource, (*machine).newestIsNow},
		{"restore", (*machine).empty, restoreNewest, (*machine).targetIsNewest},
		{"forget", (*machine).another, forgetOld, nil},
		{"check", nil, whole, nil},
		{"prune", (*machine).another, pruneRepository, nil},
	}
	s := &storm{random: r, struck: map[string]int{}}
	total := rounds(500, 10)
	failed := 0
	for round := range total {
		d := deeds[round%len(deeds)]
		if d.prepare != nil {
			d.prepare(m)
		}
		args := d.args(m)
		s.fates = passing
		if round/len(deeds)%2 == 1 {
			s.fates = append(passing[:len(passing):len(passing)], serious...)
		}
		w.Becomes(s.fate)
		got := m.run(args...)
		w.Becomes(nil)
		switch {
		case got.code == 0:
		case len(s.fates) == len(passing):
			t.Fatalf("%s did not outlive what passes: exit code %d\n%s%s", d.name, got.code, got.stdout, got.stderr)
		default:
			failed++
			if !strings.Contains(got.stderr, "error: ") {
				t.Fatalf("%s: exit code %d, and no error:\n%s", d.name, got.code, got.stderr)
			}
		}
		if d.name == "restore" {
			if found := wrong(stateOf(t, m.path("target/to")), m.saved[m.newest()]); len(found) > 0 {
				t.Fatalf("WRONG BYTES: %s", strings.Join(found, "\n"))
			}
		}
		m.learn()
		m.want(0, "", args...)
		m.learn()
		if d.after != nil {
			d.after(m)
		}
	}
	m.whole()
	m.restoreAll()
	struck := 0
	for _, n := range s.struck {
		struck += n
	}
	survived(t, struck, fmt.Sprintf("requests that failed, in %d commands, of which %d gave up with an error: %v", total, failed, s.struck))
}

// TestDrought has every request fail: a command gives up soon, after a bounded number of attempts, which do not come at once.
func TestDrought(t *testing.T) {
	const attempts = 3
	server := s3test.Versity(t, "eu-west-1")
	server.Setenv(t)
	w := s3test.NewWeather(t, server)
	m := newMachine(t, random(700), "s3://drought/web1", "AWS_ENDPOINT_URL="+w.Endpoint, "AWS_REGION=eu-west-1", fmt.Sprint("AWS_MAX_ATTEMPTS=", attempts))
	m.want(0, "public access|^$", "init", "--create-bucket", "--quiet")
	m.another()
	for _, f := range []s3test.Fate{{Status: 503, Code: "SlowDown"}, {Status: 500, Code: "InternalError"}, {Reset: true}, {Lost: true}} {
		w.Becomes(s3test.Always(f))
		m.want(1, "error: ", "backup", m.src)
		if n := len(w.Log()); n < attempts || n > 2*attempts {
			t.Errorf("%+v: %d requests were sent: %q", f, n, w.Log())
		}
	}
	// That no pack can be had says nothing about packs.
	w.Becomes(func(_ int, r *http.Request) s3test.Fate {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/content/") {
			return s3test.Fate{Status: 503, Code: "SlowDown"}
		}
		return s3test.Fate{}
	})
	m.want(1, "(?s)error: .*server fails .*503.*hint: that passes", "check", "--read-data")
	w.Becomes(nil)
	m.another()
	m.restoreAll()
}

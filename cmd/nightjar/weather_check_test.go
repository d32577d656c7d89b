package main

import (
	"net/http"
	"testing"

	"nightjar/internal/s3test"
)

// What a server does not answer is no damage: a check says what it could not ask for, exit code 1, and a repair gives nothing up.
func TestWeatherCheck(t *testing.T) {
	t.Parallel()
	server := s3test.Versity(t, "eu-west-1")
	w := s3test.NewWeather(t, server)
	s := newSite(t, server, w.Endpoint, "s3://weather-check/web1", 1<<20)
	s.wants(0, "", "backup", s.src)
	s.env = append(s.env, "AWS_MAX_ATTEMPTS=1")
	type hook = func(int, *http.Request) s3test.Fate
	for i, folder := range []string{"content", "metadata", "index", "archive"} {
		for j, c := range []struct {
			name string
			fate s3test.Fate
		}{
			{"denied", s3test.Fate{Status: 403, Code: "AccessDenied"}},
			{"failed", s3test.Fate{Status: 500, Code: "InternalError"}},
			{"busy", s3test.Fate{Status: 503, Code: "SlowDown"}},
			{"odd", s3test.Fate{Status: 400, Code: "InvalidRequest"}},
			{"reset", s3test.Fate{Reset: true}},
		} {
			t.Run(folder+" "+c.name, func(t *testing.T) {
				s.t = t
				for n, become := range []hook{from("GET", folder, 1, c.fate), once(from("GET", folder, 1, c.fate))} {
					for m, args := range [][]string{{"check", "--read-data"}, {"check", "--read-data", "--repair"}} {
						if !tried(i+j, n+2*m, 3) {
							continue
						}
						w.Becomes(become)
						code, stdout, stderr := s.run(append(args, "--cache-dir", t.TempDir())...)
						if code != 1 && (code != 0 || n == 0) {
							t.Errorf("%q ends with %d\n%s%s", args, code, stdout, stderr)
						}
					}
				}
				w.Becomes(nil)
			})
		}
	}
	s.t = t
	if left := keysIn(server, "weather-check/web1/lost"); len(left) > 0 {
		t.Errorf("given up: %v", left)
	}
	s.wants(0, "", "check", "--read-data")
}

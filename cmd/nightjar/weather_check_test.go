package main

import (
	"net/http"
	"testing"

	"nightjar/internal/s3test"
)

// What a server does not answer is no damage: a check says what it could not ask for, exit code 1, and a repair gives nothing up.
func TestWeatherCheck(t *testing.T) {
	server := s3test.Versity(t, "eu-west-1")
	server.Setenv(t)
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	w := s3test.NewWeather(t, server)
	s := newSite(t, w.Endpoint, "s3://weather-check/web1", 1<<20)
	s.wants(0, "", "backup", s.src)
	type hook = func(int, *http.Request) s3test.Fate
	for _, folder := range []string{"content", "metadata", "index", "archive"} {
		for name, fate := range map[string]s3test.Fate{
			"denied": {Status: 403, Code: "AccessDenied"},
			"failed": {Status: 500, Code: "InternalError"},
			"busy":   {Status: 503, Code: "SlowDown"},
			"odd":    {Status: 400, Code: "InvalidRequest"},
			"reset":  {Reset: true},
		} {
			t.Run(folder+" "+name, func(t *testing.T) {
				s.t = t
				for n, become := range []hook{from("GET", folder, 1, fate), once(from("GET", folder, 1, fate))} {
					for _, args := range [][]string{{"check", "--read-data"}, {"check", "--read-data", "--repair"}} {
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

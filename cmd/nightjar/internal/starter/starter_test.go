package starter_test

import (
	"fmt"
	"regexp"
	"testing"

	"nightjar/cmd/nightjar/internal/starter"
	"nightjar/job/jobfile"
)

// What is written has no fault, as it is and with all that is switched off in it, a job of every kind; whatever was found.
func TestFile(t *testing.T) {
	const hostile = "x\n[files.evil]\npaths = [\"/\"]\r\x1b[2J"
	off := regexp.MustCompile(`(?m)^#([^ \n])`)
	for i, found := range []starter.Found{
		{Host: "web1", Paths: []string{"/etc"}},
		{
			Host: hostile, Paths: []string{"/etc", "/a'b\"c\\d", hostile}, Repository: [][2]string{{"url", `"s3://bucket/x"`}, {"region", `"eu-west-1"`}}, Limits: [][2]string{{"connections", "3"}},
			Server: &starter.Server{Address: hostile, Version: hostile, Refused: hostile}, Volumes: 1, Instance: "i-01234567", Region: "eu-west-1",
		},
		{Host: "db1", Paths: []string{"/etc"}, Server: &starter.Server{Address: "/run/mysqld/mysqld.sock", Version: "10.11", Hot: true, LogOff: true}, Volumes: 3, Instance: "i-01234567", Region: "us-east-1"},
	} {
		text, err := starter.File(&found)
		if err != nil {
			t.Fatal(err)
		}
		f, err := jobfile.Parse("/x.toml", text)
		if err != nil {
			t.Errorf("%d: %v\n%s", i, err, text)
			continue
		}
		if n := len(f.Jobs()); n != 3+map[bool]int{true: 1}[found.Server != nil] || f.Files["evil"] != nil || f.Doubts() != nil {
			t.Errorf("%d: jobs: %d; %v", i, n, f.Doubts())
		}
		if got, want := fmt.Sprintf("%q", f.Files["system"].Paths), fmt.Sprintf("%q", found.Paths); got != want {
			t.Errorf("%d: paths are %s, not %s", i, got, want)
		}
		if i == 1 {
			continue // what is switched off in it names the host
		}
		all, err := jobfile.Parse("/x.toml", off.ReplaceAll(text, []byte("$1")))
		if err != nil || len(all.Jobs()) != 12 || all.Log.Format == "" || len(all.Hooks.Failure) == 0 {
			t.Errorf("%d, all switched on: %v; %d jobs", i, err, len(all.Jobs()))
		}
	}
}

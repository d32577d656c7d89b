package metrics

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"nightjar/cmd/nightjar/internal/overview"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/job/record"
)

var now = time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)

// line has all that a line may have.
func line(host, job string) overview.Line {
	behind := uint64(89)
	position := &overview.Position{File: "mysql-bin.000123", Offset: 4567, GTIDs: "0-1-5", Time: now, Behind: &behind}
	figures := map[string]uint64{}
	for _, m := range measured {
		figures[m.figure] = 1500
	}
	bytes, price := uint64(3<<30), 0.05
	stored := []record.Stored{{Region: "eu-west-1", Tier: "standard", Snapshots: 14, AtMost: 42 << 30, Bytes: &bytes, Price: &price}, {Region: "sa-east-1", Tier: "archive", Snapshots: 1, AtMost: 1 << 30}}
	drill := &overview.Drill{Ended: now, Outcome: record.Done, Host: "desk", Position: position}
	return overview.Line{
		Host: host, Job: job, Kind: "mysql-dump", State: overview.OK, Success: now, Due: now, Overdue: now, Running: now, Archive: &overview.Archive{Stored: now, Files: 1, Bytes: 2, New: 3, Unread: 4},
		Last: &overview.Run{Ended: now, Outcome: record.Done, Duration: 1.5, Figures: figures, Stored: stored}, Position: position, Drill: drill, Proven: drill,
	}
}

// full has everything that there is a metric of.
func full() *State {
	ended := line("web1", "gone")
	ended.State = overview.Ended
	return &State{
		Lines: []overview.Line{line("db1", "shop"), ended}, Readable: true, Repository: "0f", Version: "v1", Archives: map[string]int{"db1": 3}, Prune: &Prune{2, now}, Pending: 1,
		Sizes: &Sizes{Measured: now, Objects: map[string]show.ObjectSums{"content": {Count: 1, Bytes: 2}}}, Keys: []show.KeyJSON{{Use: "host", Fingerprint: "AB", Host: "db1", Expires: now}},
	}
}

var series = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{([^\n]*)\})? (\S+)$`)

// promtool runs it; there is no such test without it.
func promtool(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED, NOTHING TESTED: ", err)
	}
	c := exec.Command(path, args...)
	c.Stdin = bytes.NewReader(stdin)
	if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), "_") && args[0] == "check" && args[1] == "metrics" {
		t.Errorf("promtool %q: %v\n%s\n%s", args, err, out, stdin)
	}
}

// All metrics are written, each with its labels; promtool finds no fault; and the document has the same ones.
func TestText(t *testing.T) {
	text, err := Text(full())
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Text(full())
	if !bytes.Equal(text, again) {
		t.Error("the same state gives other bytes")
	}
	promtool(t, text, "check", "metrics")
	doc, err := os.ReadFile("../../../../doc/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, m := range series.FindAllSubmatch(text, -1) {
		written[string(m[1])] = true
	}
	var rows []string
	for _, m := range Metrics {
		if !written[m.Name] {
			t.Errorf("%s is not written", m.Name)
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", m.Name, strings.Join(m.Labels, ", "), m.Help))
	}
	if len(written) != len(Metrics) {
		t.Errorf("%d metrics are written of %d", len(written), len(Metrics))
	}
	var documented []string
	for line := range strings.Lines(string(doc)) {
		if strings.HasPrefix(line, "| `nightjar_") {
			documented = append(documented, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(rows, documented) {
		t.Errorf("the table of doc/monitoring.md should be\n%s", strings.Join(rows, "\n"))
	}
	if strings.Contains(string(text), `nightjar_ebs_snapshot_bytes{host="db1",job_name="shop",region="sa-east-1"`) {
		t.Error("what was not counted has a series")
	}
	for _, want := range []string{
		`nightjar_job_last_success_timestamp_seconds{host="db1",job_name="shop"} 1.7959428e+09`, `nightjar_job_binlog_file_number{host="db1",job_name="shop"} 123`, `nightjar_job_lock_seconds{host="db1",job_name="shop"} 1.5`,
		`nightjar_ebs_snapshot_bytes{host="db1",job_name="shop",region="eu-west-1",tier="standard"} 3.221225472e+09`, `nightjar_ebs_snapshots{host="db1",job_name="shop",region="sa-east-1",tier="archive"} 1`,
		`nightjar_ebs_snapshot_cost_dollars{host="db1",job_name="shop",region="eu-west-1",tier="standard"} 0.15`, `nightjar_ebs_snapshot_cost_at_most_dollars{host="db1",job_name="shop",region="eu-west-1",tier="standard"} 2.1`,
		`nightjar_job_binlog_behind_bytes{host="db1",job_name="shop"} 89`, `nightjar_job_ended{host="web1",job_name="gone"} 1`, `nightjar_key_expiry_timestamp_seconds{fingerprint="AB",host="db1",use="host"} 1.`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}

// Whatever hosts call their jobs: a bounded number of series, each on a line of its own.
func TestHostile(t *testing.T) {
	s := full()
	for i := range maxJobs + 10 {
		s.Lines = append(s.Lines, line(fmt.Sprintf("h%d\n\"} 1", i), strings.Repeat("\x1b\xff", 500)))
		s.Sizes.Objects[fmt.Sprintf("kind%c%d", 'a'+i%26, i)] = show.ObjectSums{Count: 1}
		s.Sizes.Objects[strings.Repeat("x", i%40)] = show.ObjectSums{Count: 1}
	}
	text, err := Text(s)
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, text, "check", "metrics")
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if n, most := len(lines), maxJobs*len(Metrics); n > most {
		t.Errorf("%d lines", n)
	}
	for _, l := range lines {
		if !strings.HasPrefix(l, "# ") && !series.MatchString(l) || strings.Contains(l, "\x1b") || !utf8.ValidString(l) || len(l) > 2000 {
			t.Fatalf("a line is %.200q", l)
		}
	}
	if want := fmt.Sprintf("nightjar_jobs_left_out %d", 12); !strings.Contains(string(text), want) {
		t.Errorf("%s is not told", want)
	}
	if n := strings.Count(string(text), "nightjar_repository_objects{"); n > maxKinds {
		t.Errorf("%d kinds of objects", n)
	}
}

// Of what is not known, nothing is said.
func TestUnknown(t *testing.T) {
	text, err := Text(&State{Lines: []overview.Line{{Host: "a", Job: "b", State: overview.Never}}})
	if err != nil || strings.Contains(string(text), "success") || !strings.Contains(string(text), "nightjar_repository_up 0") {
		t.Errorf("%s, %v", text, err)
	}
	promtool(t, text, "check", "metrics")
}

func TestSizes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sizes.json")
	if s, err := ReadSizes(path); err != nil || s.Fresh(now) {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	want := Sizes{Measured: now, Objects: map[string]show.ObjectSums{"content": {Count: 1, Bytes: 1 << 62}}}
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSizes(path)
	if err != nil || !reflect.DeepEqual(got, want) || !got.Fresh(now) || got.Fresh(now.Add(fresh)) || got.Fresh(now.Add(-time.Second)) {
		t.Errorf("%+v comes back as %+v, %v", want, got, err)
	}
	if err := os.WriteFile(path, []byte(`{"version":0,"objects":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadSizes(path); err == nil {
		t.Errorf("nonsense is read as %+v", s)
	}
}

func FuzzParseSizes(f *testing.F) {
	f.Add([]byte(`{"version":0,"measured":"2026-11-29T09:00:00Z","objects":{"content":{"count":1,"bytes":2}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parseSizes(content)
		if err != nil {
			return
		}
		if _, err := Text(&State{Sizes: &s}); err != nil {
			t.Error(err)
		}
	})
}

// The rules are right, and alarm when they should: also when nothing is written any more.
func TestRules(t *testing.T) {
	promtool(t, nil, "check", "rules", "../../../../doc/nightjar.rules.yml")
	promtool(t, nil, "test", "rules", "testdata/rules_test.yml")
}

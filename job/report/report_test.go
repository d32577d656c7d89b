package report_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"nightjar/job/history"
	"nightjar/job/record"
	"nightjar/job/report"
)

var now = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

// nights returns a job of so many nights before now, each as f has it.
func nights(host, name, kind string, count int, f func(i int, n *history.Night)) history.Job {
	j := history.Job{Host: host, Name: name, Kind: kind, Schedule: "0 3 * * *", Zone: "UTC"}
	for i := range count {
		start := now.AddDate(0, 0, i-count+1).Add(-5 * time.Hour)
		n := history.Night{Record: record.Record{Job: name, Kind: kind, Outcome: record.Done, Start: start, End: start.Add(4 * time.Minute), Schedule: "0 3 * * *", Zone: "UTC"}, Host: host, At: start.Add(4 * time.Minute)}
		n.Archive = &history.Archive{
			ID: fmt.Sprintf("%064x", i), Host: host, Job: name, Kind: kind, Source: "/etc /var/www",
			Statistics: map[string]uint64{"files": uint64(1000 + i), "bytes": 5 << 30, "bytes_stored": uint64(i%7+1) << 20}, Start: n.Start, End: n.End, Stored: n.At, Counts: true, Complete: true,
			Labels: map[string]string{},
		}
		f(i, &n)
		j.Nights = append(j.Nights, n)
		if n.Outcome != record.Failed {
			j.Success = n.End
		}
	}
	return j
}

func sample() report.Input {
	files := nights("web1", "www", "files", 60, func(i int, n *history.Night) {
		switch i {
		case 20:
			n.Outcome, n.Exit, n.Error, n.Archive = record.Failed, 1, "store pack: no space left on device", nil
		case 41:
			n.Outcome, n.Exit, n.Error = record.Problems, 3, "/etc/shadow: permission denied"
		}
	})
	proven := files.Nights[50]
	files.Proven = &proven
	shop := nights("db1", "shop", "mysql-dump", 30, func(i int, n *history.Night) {
		n.Archive.Labels["position"] = "mysql-bin.000042:1337"
		if i > 26 {
			n.Outcome, n.Exit, n.Error, n.Archive = record.Failed, 1, "connect to database server: access denied", nil
		}
	})
	shop.Overdue = now.Add(-time.Hour)
	in := report.Input{Repository: "s3://backup/all", Now: now, Jobs: []history.Job{files, shop}, Objects: []report.Objects{{"content", 300, 4 << 30}, {"index", 60, 3 << 20}},
		Monthly: &report.Cost{Amount: 0.09, Basis: "4.0 GiB of content in STANDARD at 0.023 USD a GB"}, Version: "nightjar 1.0",
		Changes: []report.Changes{{Host: "web1", Job: "www", Since: now.AddDate(0, 0, -1), Files: 4, Bytes: 4 << 20, Paths: []report.Change{{"/var/www/uploads", 4, 4 << 20}}}}}
	for _, j := range in.Jobs {
		for _, n := range j.Nights {
			if n.Archive != nil {
				in.Kept = append(in.Kept, *n.Archive)
			}
		}
	}
	return in
}

func write(t *testing.T, in report.Input) string {
	t.Helper()
	var b strings.Builder
	if err := report.Write(&b, in); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite(t *testing.T) {
	in := sample()
	in.Kept = append(in.Kept, history.Archive{Host: "web1", Job: "run www", Kind: record.Run})
	page := write(t, in)
	if path := os.Getenv("REPORT_SAMPLE"); path != "" {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"2 things need attention", "db1 shop is overdue", "db1 shop failed", "no space left on device", "permission denied", "mysql-bin.000042:1337",
		"0.09 USD a month", "/var/www/uploads", "29 November: failed", "What all 86 archives hold together", "430.0 GiB", "99.1 %",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// What snapshots cost is told by region and tier: what was counted, else an upper bound that is called one.
func TestSnapshots(t *testing.T) {
	bytes, price := uint64(30<<30), 0.05
	home := record.Stored{Region: "us-east-1", Tier: "standard", Snapshots: 14, AtMost: 420 << 30, Bytes: &bytes, Price: &price}
	for want, stored := range map[string][]record.Stored{
		"<p>1.50 USD a month.":                     {home},
		"<p>at most 6.50 USD a month.":             {home, {Region: "eu-west-1", Tier: "standard", Snapshots: 7, AtMost: 100 << 30, Price: &price}},
		"1.50 USD a month, and what has no price.": {home, {Region: "sa-east-1", Tier: "archive", Snapshots: 1, AtMost: 1 << 30, Bytes: &bytes}},
		"<p>no price is known.":                    {{Region: "sa-east-1", Tier: "archive", Snapshots: 1, AtMost: 1 << 30, Bytes: &bytes}},
	} {
		job := nights("db1", "volumes", "ebs", 3, func(i int, n *history.Night) {
			n.Archive, n.Notes = nil, map[string]string{"set": "set-1", record.Snapshots: record.EncodeStored(stored)}
		})
		page := write(t, report.Input{Now: now, Jobs: []history.Job{job}})
		if !strings.Contains(page, want) || strings.Count(page, `data-label="Region">`+stored[0].Region) != 1 {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, text := range []string{"", "[]", "nonsense", `[{"region":"<script>","tier":"standard"}]`} {
		job := nights("db1", "volumes", "ebs", 3, func(i int, n *history.Night) { n.Notes = map[string]string{record.Snapshots: text} })
		if page := write(t, report.Input{Now: now, Jobs: []history.Job{job}}); strings.Contains(page, "What they cost") || strings.Contains(page, "<script>") {
			t.Errorf("%q costs something", text)
		}
	}
}

// Each day is there once, also where summer time begins at midnight, and each night is shown on its own day.
func TestDays(t *testing.T) {
	zone, err := time.LoadLocation("America/Santiago")
	if err != nil {
		t.Fatal(err)
	}
	in := sample()
	in.Zone, in.Now = zone, time.Date(2025, 9, 20, 8, 0, 0, 0, zone)
	in.Jobs = in.Jobs[:1]
	for i := range in.Jobs[0].Nights {
		n := &in.Jobs[0].Nights[i]
		n.At, n.Outcome = time.Date(2025, 7, 24+i, 4, 0, 0, 0, zone), record.Done
	}
	in.Jobs[0].Nights[45].Outcome = record.Failed // 7 September, which begins at 1:00
	page := write(t, in)
	for text, want := range map[string]int{`title="6 September: done`: 1, `title="7 September: failed`: 1, `title="8 September: done`: 1, `title="20 September: done`: 1, `title="21 September`: 0} {
		if got := strings.Count(page, text); got != want {
			t.Errorf("%q is there %d times, not %d", text, got, want)
		}
	}
}

// What the page says of all jobs is no more than is known.
func TestVerdict(t *testing.T) {
	job := func(change func(*history.Job)) []history.Job {
		j := nights("web1", "www", "files", 3, func(int, *history.Night) {})
		j.Overdue = now.Add(time.Hour)
		change(&j)
		return []history.Job{j}
	}
	for want, jobs := range map[string][]history.Job{
		"No job is known": nil,
		"The job is well": job(func(*history.Job) {}),
		"when to expect the next is not known of 1 job":            job(func(j *history.Job) { j.Overdue = time.Time{} }),
		"the archive that it made is not there":                    job(func(j *history.Job) { j.Last().Record.Archive, j.Last().Archive = "abc", nil }),
		"the archive that it made does not count: nightjar check ": job(func(j *history.Job) { j.Last().Record.Archive, j.Last().Archive.Counts = "abc", false }),
	} {
		if page := write(t, report.Input{Now: now, Jobs: jobs}); !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// A page of very many days draws each chart as one shape.
func TestManyDays(t *testing.T) {
	in := sample()
	small := write(t, in)
	for len(in.Jobs) < 120 {
		in.Jobs = append(in.Jobs, nights("web1", fmt.Sprint(len(in.Jobs)), "files", 1, func(int, *history.Night) {}))
	}
	page := write(t, in)
	if !strings.Contains(small, "<rect") || strings.Contains(small, "<path") || strings.Contains(page, "<rect") || !strings.Contains(page, `<path d="M`) {
		t.Error("charts are drawn as they are not to be")
	}
}

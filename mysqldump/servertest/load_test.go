package servertest_test

import (
	"fmt"
	"testing"

	"nightjar/mysqldump/servertest"
)

// The sums that the load keeps hold in each snapshot while it runs, and after a crash; a crash does not end it.
func TestLoad(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		load := s.StartLoad(t, servertest.LoadOptions{Writers: 6, Hot: true, PerSecond: 400, MyISAM: true})
		sums := func() {
			t.Helper()
			row := s.QueryRow(t, "SELECT (SELECT SUM(balance) FROM loadtest.accounts) balance, (SELECT n FROM loadtest.hot) hot, (SELECT COUNT(*) FROM loadtest.hits) hits")
			if row["balance"] != "0" || row["hot"] != row["hits"] || row["hot"] == "0" {
				t.Fatalf("not one snapshot: %v", row)
			}
		}
		until := func(commits int) {
			for load.Commits() < commits {
				sums()
			}
		}
		until(50)
		s.Kill()
		s.Restart(t)
		until(load.Commits() + 50)
		report := load.Stop()
		sums()
		if report.Failed == 0 || len(report.Errors) == 0 {
			t.Errorf("nobody saw the crash: %d %v", report.Failed, report.Errors)
		}
		if report.Commits < 100 || report.MaxWait < report.P99 || report.P99 <= 0 || len(report.Waits) < 5*report.Commits {
			t.Errorf("report: %d commits, %v longest, %v P99, %d statements", report.Commits, report.MaxWait, report.P99, len(report.Waits))
		}
		if again := load.Stop(); again.Commits != report.Commits || len(again.Waits) != len(report.Waits) {
			t.Error("it went on after its end")
		}
		if n := s.Query(t, "SELECT COUNT(*) FROM loadtest.journal")[0][0]; n == "0" {
			t.Error("nothing in the journal")
		}
		if sums := servertest.Checksums(t, s); len(sums) != 5 {
			t.Errorf("checksums: %v", fmt.Sprint(sums))
		}
	})
}

// A paused server makes somebody wait about as long, unless no writer is at the server just then.
func TestLoadWaits(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	load := s.StartLoad(t, servertest.LoadOptions{Writers: 2})
	for range 5 {
		s.Pause(t)
		pause(t)
		s.Resume(t)
	}
	if report := load.Stop(); report.MaxWait < paused/2 {
		t.Errorf("the longest wait is %v", report.MaxWait)
	}
}

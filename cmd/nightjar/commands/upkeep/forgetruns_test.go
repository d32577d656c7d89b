package upkeep

import (
	"fmt"
	"testing"
	"time"

	"nightjar/repo"
)

// TestOldRecords keeps records of 400 nights, and gives up what is older once a month.
func TestOldRecords(t *testing.T) {
	t.Parallel()
	var all []repo.Archive
	begin := time.Date(2024, 1, 1, 3, 0, 0, 0, time.UTC)
	passes, kept := 0, 0
	for night := range 500 {
		now := begin.AddDate(0, 0, night)
		for _, kind := range []string{"run", "drill", "files"} {
			all = append(all, repo.Archive{ID: fmt.Sprintf("%064x", len(all)+1), Stored: now, Record: repo.Record{Host: "h", Kind: repo.Text(kind), Job: repo.Text(kind + " etc"), Time: now, Complete: true}})
		}
		if night < 425 {
			continue
		}
		gone := oldRecords(all, &repo.Selection{Job: "etc"}, now.Add(time.Hour))
		if len(gone) > 0 {
			passes++
		}
		for _, d := range gone {
			if d.Archive.Kind == repo.Files || now.Sub(d.Archive.Stored) < 399*day {
				t.Fatalf("of kind %s from %s, %s is given up", d.Archive.Kind, d.Archive.Stored, now)
			}
			d.Archive.Forgotten = now
		}
		kept = 0
		for i := range all {
			if all[i].Kind == "run" && all[i].Forgotten.IsZero() {
				kept++
			}
		}
		if kept > 431 {
			t.Fatalf("after %d nights there are %d records", night, kept)
		}
	}
	if passes != 3 {
		t.Errorf("%d passes", passes)
	}
	if kept < 400 {
		t.Errorf("%d records are left", kept)
	}
	for _, other := range []repo.Selection{{Job: "var"}, {Host: "other"}, {Kinds: []string{"run"}}, {Tags: []string{"x"}}} {
		all[0].Forgotten = time.Time{}
		if gone := oldRecords(all, &other, begin.AddDate(5, 0, 0)); len(gone) > 0 {
			t.Errorf("%+v: %d go", other, len(gone))
		}
	}
}

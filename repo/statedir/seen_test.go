package statedir

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSeen(t *testing.T) {
	s := Dir(t.TempDir())
	id := strings.Repeat("ab", 16)
	if all, err := s.Seen(id); err != nil || len(all) > 0 {
		t.Fatalf("%v, %v", all, err)
	}
	var all []ArchiveSeen
	for i := range 12 {
		for _, job := range []string{"one", "two"} {
			all = append(all, ArchiveSeen{ID: fmt.Sprint(job, i), Host: "web1", Job: job, Time: time.Unix(int64(i), 0).UTC(), Made: true})
		}
	}
	listed := slices.Clone(all) // what a listing says of the same
	for i := range listed {
		listed[i].Made = false
	}
	if err := s.SaveSeen(id, append(listed, all...)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Seen(id)
	if err != nil || len(got) != 2*madeEach {
		t.Fatalf("%d are remembered, %v", len(got), err)
	}
	for _, a := range got {
		if a.Time.Unix() < 4 || !slices.Contains(all, a) {
			t.Errorf("%+v is remembered", a)
		}
	}
	others := Dir(t.TempDir())
	if err := others.SaveSeen(id, listed); err != nil {
		t.Fatal(err)
	}
	if all, err := others.Seen(id); err != nil || len(all) != 2*seenEach || all[0].Time.Unix() != 11 || all[1].Time.Unix() != 11 {
		t.Errorf("of others, %+v are remembered, %v", all, err)
	}
	path := filepath.Join(string(s), id, seenFile)
	if err := s.SaveSeen(id, append(slices.Clone(got), ArchiveSeen{ID: got[0].ID, URL: "/elsewhere", Host: "web1", Job: "one"})); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Seen(id); err != nil || len(all) != len(got)+1 {
		t.Errorf("with another place, %d are remembered, %v", len(all), err)
	}
	if err := s.SaveSeen(id, got); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SaveSeen(id, got); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("nothing new is written again: %v", err)
	}
	for _, bad := range []string{"{", strings.Repeat(" ", seenBytes) + "[]"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Seen(id); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got error %v", err)
		}
	}
	if err := s.SaveSeen(id, all[:1]); err != nil {
		t.Errorf("what cannot be read is not replaced: %v", err)
	}
	if err := s.SaveSeen("../x", nil); err == nil {
		t.Error("a folder elsewhere is taken")
	}
}

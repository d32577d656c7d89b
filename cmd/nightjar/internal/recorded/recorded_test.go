package recorded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/recorded"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/sessiontest"
	"nightjar/job/record"
)

func TestPut(t *testing.T) {
	m, _ := sessiontest.WithRepository(t)
	s := m.Open(t, session.Write)
	objects := func() (n int, size int64) {
		if err := filepath.Walk(m.Repo, func(_ string, info os.FileInfo, err error) error {
			if err == nil && info.Mode().IsRegular() {
				n, size = n+1, size+info.Size()
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n, size
	}
	r := record.Record{Job: "etc", Kind: "files", Outcome: record.Failed, Exit: 1, Error: "disk full", Start: time.Now(), End: time.Now()}
	if _, err := recorded.Put(context.Background(), s, record.Run, &r, time.Now); err != nil {
		t.Fatal(err)
	}
	before, size := objects()
	if _, err := recorded.Put(context.Background(), s, record.Run, &r, time.Now); err != nil {
		t.Fatal(err)
	}
	after, now := objects()
	t.Logf("a record costs %d objects of %d bytes", after-before, now-size)
	if after-before > 3 {
		t.Errorf("a record costs %d objects", after-before)
	}
	all, err := recorded.History(context.Background(), s)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d archives are listed: %v", len(all), err)
	}
	back, err := record.Parse(all[1].Labels)
	if err != nil || back.Error != r.Error || all[1].Kind != record.Run || all[1].Host != "web1" {
		t.Errorf("it comes back as %+v of %+v: %v", back, all[1], err)
	}
}

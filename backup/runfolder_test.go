package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"nightjar/backup"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/record"
)

// A folder is kept with all that is in it, at the price of a file, and nothing is mixed into it. Where something is lost,
// files are looked at one by one.
func TestRunKeepFolder(t *testing.T) {
	s := newSite(t)
	want, below := map[string]string{"logs/new": "1"}, backup.Below{}
	for i := range 3000 {
		data := fmt.Sprint("log ", i)
		want[fmt.Sprintf("logs/old/deep/%d", i)] = data
		below.Files, below.Bytes = below.Files+1, below.Bytes+uint64(len(data))
	}
	s.run(files(want))
	mtime := s.node("logs/old").Mtime
	keep := func(folder, file bool) writer {
		return func(_ context.Context, run *backup.Run) (repo.Labels, error) {
			must(t, put(run, "logs/new", "2"))
			if ok, err := run.KeepFolder("logs/old", below); ok != folder || err != nil {
				t.Errorf("keep a folder: %v, %v", ok, err)
			}
			if ok, err := run.KeepFolder("logs/none", below); ok || err != nil {
				t.Errorf("keep a folder that is not there: %v, %v", ok, err)
			}
			if ok, err := run.KeepFolder("logs/new", below); ok || err != nil {
				t.Errorf("keep a file as a folder: %v, %v", ok, err)
			}
			ok, err := run.Keep("logs/old/deep/7")
			if ok != file || errors.Is(err, fs.ErrExist) == file {
				t.Errorf("keep a file: %v, %v", ok, err)
			}
			if !folder {
				return nil, nil
			}
			for _, path := range []string{"logs/old", "logs/old/other", "logs/old/deep/7/x"} {
				if err := put(run, path, "x"); !errors.Is(err, fs.ErrExist) {
					t.Errorf("put %q: %v", path, err)
				}
			}
			must(t, run.Rename("logs/old", "moved"))
			must(t, run.Rename("moved", "logs/old"))
			return nil, nil
		}
	}
	st := s.run(keep(true, false))
	want["logs/new"] = "2"
	s.wants(want)
	if st.Unchanged != below.Files || st.Files != below.Files+1 || st.Bytes != below.Bytes+1 || st.Deleted != 0 || st.MetadataNew > 2000 || s.node("logs/old").Mtime != mtime {
		t.Errorf("%+v", st)
	}
	s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		if ok, err := run.KeepFolder("logs", backup.Below{}); !ok || err != nil {
			t.Errorf("keep a folder that was kept in part: %v, %v", ok, err)
		}
		return nil, nil
	})
	s.wants(want)
	content, err := record.Encode(&record.Lost{Packs: []index.ObjectID{{1}}})
	must(t, err)
	_, err = s.Repo.PutRecord(t.Context(), record.LostKind, content)
	must(t, err)
	s.run(keep(false, true))
	s.wants(map[string]string{"logs/new": "2", "logs/old/deep/7": want["logs/old/deep/7"]})
}

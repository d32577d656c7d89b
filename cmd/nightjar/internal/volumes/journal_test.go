package volumes

import (
	"os"
	"path/filepath"
	"testing"

	"nightjar/chunk"
)

func TestJournal(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "ebs")
	open := func(region, snapshot string) *Journal {
		t.Helper()
		j, err := OpenJournal(folder, region, snapshot)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		return j
	}
	want := func(j *Journal, index int32, id chunk.ID, known bool) {
		t.Helper()
		if got, ok := j.Get(index); ok != known || ok && got != id {
			t.Errorf("block %d: %v, %v", index, got, ok)
		}
	}
	j, id := open("us-east-1", "snap-1"), chunk.ID{1, 2, 3}
	for index, of := range map[int32]chunk.ID{7: id, 0: {}, 134_217_727: id} { // the last of 64 TiB
		if err := j.Put(index, of); err != nil {
			t.Fatal(err)
		}
	}
	again := open("us-east-1", "snap-1")
	want(again, 7, id, true)
	want(again, 0, chunk.ID{}, true)
	want(again, 134_217_727, id, true)
	want(again, 6, id, false)
	want(again, -1, id, false)
	want(open("eu-west-1", "snap-1"), 7, id, false)
	if err := os.Rename(filepath.Join(folder, "snap-1"), filepath.Join(folder, "snap-2")); err != nil {
		t.Fatal(err)
	}
	want(open("us-east-1", "snap-2"), 7, id, false)
	if err := os.Truncate(filepath.Join(folder, "snap-2"), 7*40+39); err != nil { // torn
		t.Fatal(err)
	}
	want(j, 7, id, false)
	want(j, 0, chunk.ID{}, true)
	again = open("us-east-1", "snap-3")
	if err := again.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := OpenJournal(folder, "us-east-1", "../snap-1"); err == nil {
		t.Error("a journal elsewhere")
	}
	var none *Journal
	want(none, 0, id, false)
	if none.Put(0, id) != nil || none.Remove() != nil || none.Close() != nil {
		t.Error("a journal that is none")
	}
}

// Whatever is in the file, only what was put there is known.
func FuzzJournal(f *testing.F) {
	f.Add([]byte{}, int32(0))
	f.Add(make([]byte, 400), int32(3))
	f.Fuzz(func(t *testing.T, text []byte, index int32) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "snap-1"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := OpenJournal(folder, "us-east-1", "snap-1")
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if id, known := j.Get(index); known {
			t.Errorf("block %d is known: %v", index, id)
		}
	})
}

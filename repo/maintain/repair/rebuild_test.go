package repair_test

import (
	"bytes"
	"context"
	"path"
	"slices"
	"testing"
	"time"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/repair"
	"nightjar/repo/pack"
	"nightjar/repo/record"
)

func TestRebuildIndex(t *testing.T) {
	ctx := context.Background()
	s := maintaintest.New(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(700_000)}
	s.Night()
	s.Files["gamma"] = maintaintest.Random(10)
	s.Night()
	for _, n := range s.Names("index") {
		s.Put(n, nil)
	}
	if _, err := repair.RebuildIndex(ctx, s.Open(false), repair.RebuildOptions{}); err == nil {
		t.Error("an index was rebuilt without a recovery key")
	}
	damaged := s.Names("content")[0]
	good := s.Read(damaged)
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	s.Put(damaged, bad)
	var reported []string
	done, err := repair.RebuildIndex(ctx, s.Open(true), repair.RebuildOptions{Damaged: func(name string, err error) { reported = append(reported, name) }})
	if err != nil || done.Packs != 3 || done.Damaged != 1 || !slices.Equal(reported, []string{damaged}) {
		t.Fatalf("%+v, %q, %v", done, reported, err)
	}
	s.Put(damaged, good)
	if done, err = repair.RebuildIndex(ctx, s.Open(true), repair.RebuildOptions{}); err != nil || done.Packs != 1 || done.Objects != 1 {
		t.Fatalf("second time: %+v, %v", done, err)
	}
	if done, err = repair.RebuildIndex(ctx, s.Open(true), repair.RebuildOptions{}); err != nil || done.Packs != 0 || done.Objects != 0 {
		t.Fatalf("third time: %+v, %v", done, err)
	}
	if sum, found := s.Check(true, check.Options{ReadData: true}); len(found) > 0 || sum.Archives != 2 {
		t.Errorf("after rebuilding: %q, %+v", found, sum)
	}
	// What the root vouches for is known to a backup.
	before := len(s.Names("content"))
	s.Night()
	if after := len(s.Names("content")); after != before {
		t.Errorf("a backup sent %d packs again", after-before)
	}
}

// What merged index objects stand for is no fault, whatever it names; what it alone names is left over.
func TestCheckMerged(t *testing.T) {
	ctx := context.Background()
	s := maintaintest.New(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000)}
	given := s.Night()
	dropped := s.Names("content")[0]
	s.Files = map[string][]byte{"beta": maintaintest.Random(3000)}
	s.Night()
	s.Put("archive/"+given.ID, nil)
	for _, n := range s.Names("index") {
		s.Put(n, nil)
	}
	r := s.Open(true)
	if _, err := repair.RebuildIndex(ctx, r, repair.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	old := s.Names("index")
	var parts []index.Stored
	err := r.IndexObjects(ctx, func(x repo.IndexRecord) error {
		parts = append(parts, index.Stored{ID: x.ID, Time: x.Time, Object: x.Object})
		return x.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	joined := index.Join(parts, func(id index.ObjectID) bool { return repo.PackName(pack.Content, id) == dropped })
	if _, err := r.AddIndex(ctx, &joined); err != nil {
		t.Fatal(err)
	}
	want := func(when string, want ...string) {
		t.Helper()
		if sum, found := s.Check(true, check.Options{ReadData: true}); !slices.Equal(found, want) || sum.Faults > 0 {
			t.Errorf("%s: %q, want %q", when, found, want)
		}
		if done, err := repair.RebuildIndex(ctx, s.Open(true), repair.RebuildOptions{}); err != nil || done.Packs > 0 {
			t.Errorf("%s: rebuilt %+v, %v", when, done, err)
		}
	}
	want("merged", "unindexed "+dropped)
	s.Put(dropped, nil)
	want("pack is deleted")
	for _, n := range old {
		s.Put(n, nil)
	}
	want("replaced objects are deleted")
}

// What prune has dropped is neither missing nor indexed again; what it dropped and did not come to delete is left over.
func TestDropped(t *testing.T) {
	ctx := context.Background()
	s := maintaintest.New(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000)}
	s.Night()
	old := s.Names("content")
	archive := s.Names("archive")[0]
	s.Files = map[string][]byte{"beta": maintaintest.Random(3000)}
	s.Night()
	for _, name := range s.Names("content") {
		if !slices.Contains(old, name) {
			old = append(old, name)
		}
	}
	id, err := index.ParseObjectID(path.Base(old[0]))
	if err != nil {
		t.Fatal(err)
	}
	list, err := record.Encode(&record.Dropped{Packs: []index.ObjectID{id}, View: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(false).PutRecord(ctx, record.DroppedKind, list); err != nil {
		t.Fatal(err)
	}
	s.Put(archive, nil)
	if _, found := s.Check(true, check.Options{ReadData: true}); !slices.Equal(found, []string{"unindexed " + old[0]}) {
		t.Errorf("not deleted yet: %q", found)
	}
	for _, all := range []bool{false, true} {
		done, err := repair.RebuildIndex(ctx, s.Open(true), repair.RebuildOptions{All: all})
		if want := map[bool]int{false: 0, true: 3}[all]; err != nil || done.Packs != want {
			t.Errorf("indexed again: %+v, %v", done, err)
		}
	}
	s.Put(old[0], nil)
	if sum, found := s.Check(true, check.Options{ReadData: true}); len(found) != 0 || sum.Archives != 1 {
		t.Errorf("deleted: %q, %+v", found, sum)
	}
}

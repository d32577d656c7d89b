package repair_test

import (
	"bytes"
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/repair"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
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
	done, err := repair.RebuildIndex(ctx, s.Open(true), repair.RebuildOptions{Skipped: func(info store.Info, err error) { reported = append(reported, info.Name) }})
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
	err := r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		parts = append(parts, index.Stored{ID: x.ID, Time: x.Time, Object: x.Object})
		return x.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	joined := index.Join(parts, func(id index.ObjectID) bool { return sealed.PackName(pack.Content, id) == dropped })
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

// nightsOfRecipes is a site with two nights, the second of which is stored as recipes on the first, content and trees. It returns what the first has stored.
func nightsOfRecipes(t *testing.T) (s *site, first *repo.Archive, stored map[string][]byte) {
	t.Helper()
	s = newSite(t)
	s.ForRecipes()
	first = s.Night()
	stored = s.all(s.Store)
	copy(s.Files["base"][20_000:], "changed in this night")
	s.Files["few001"] = []byte("changed")
	s.Night()
	return s, first, stored
}

// A run that died has left recipes without an index, and what they lean on was dropped since: nobody takes their word.
func TestRebuildAfterDrop(t *testing.T) {
	ctx := context.Background()
	s, _, first := nightsOfRecipes(t)
	for name := range s.all(s.Store) {
		switch kind := sealed.Kind(name); {
		case kind == "archive" || kind == "index", first[name] != nil && (kind == "content" || kind == "metadata"):
			s.Put(name, nil)
		}
	}
	done, err := repair.RebuildIndex(ctx, s.Open(true), repair.RebuildOptions{})
	if err != nil || done.Packs != 2 || done.Useless < 2 || done.Damaged+done.Archived > 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	s.Past, s.Trees = nil, nil
	s.Night()
	s.wants("after the next backup")
}

// What prune has dropped as a tree still has the bytes that a recipe needs: such a recipe is good.
func TestRebuildKeepsRecipes(t *testing.T) {
	ctx := context.Background()
	s, first, _ := nightsOfRecipes(t)
	trees := map[index.ObjectID]record.Keys{}
	r := s.Open(false)
	rd, err := r.NewReader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	at, err := rd.Locations(ctx, first.Root.ID, pack.WholeTree)
	if err != nil || len(at) != 1 {
		t.Fatalf("%d places, %v", len(at), err)
	}
	err = r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		for _, p := range x.Object.Runs[0].Packs {
			for _, f := range p.Directory.Frames {
				for _, b := range f.Blobs {
					if b.Type == pack.WholeTree && p.ID == at[0].Pack.ID {
						trees[p.ID] = append(trees[p.ID], b.Key)
					}
				}
			}
		}
		return x.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	d := record.Dropped{View: time.Now()}
	for id, keys := range trees {
		d.Blobs = append(d.Blobs, record.Blobs{Pack: id, Trees: keys})
	}
	list, err := record.Encode(&d)
	if err == nil {
		_, err = r.PutRecord(ctx, record.DroppedKind, list)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Put("archive/"+first.ID, nil)
	for _, name := range s.Names("index") {
		s.Put(name, nil)
	}
	done, err := repair.RebuildIndex(ctx, s.Open(true), repair.RebuildOptions{})
	if err != nil || done.Packs != 4 || done.Useless > 0 || len(s.Names("lost")) > 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	s.wants("after rebuilding")
}

// Packs in an archive class are no damaged ones: they are passed over, with all that may lean on them, and what an index says of them stays.
func TestRebuildArchived(t *testing.T) {
	ctx := context.Background()
	s, _, _ := nightsOfRecipes(t)
	why := store.ErrArchived
	faulty := &storetest.Faulty{Store: s.Store, Before: []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Get && strings.HasPrefix(c.Name, "content/") {
			return why
		}
		return nil
	}}}
	rebuild := func(o repair.RebuildOptions) repair.Rebuilt {
		t.Helper()
		skipped := 0
		o.Skipped = func(i store.Info, err error) {
			if skipped++; !errors.Is(err, store.ErrArchived) {
				t.Errorf("%s: %v", i.Name, err)
			}
		}
		done, err := repair.RebuildIndex(ctx, s.OpenAt(faulty, true), o)
		if err != nil || done.Archived != skipped || done.Damaged > 0 {
			t.Fatalf("%+v, %d skipped, %v", done, skipped, err)
		}
		return done
	}
	if done := rebuild(repair.RebuildOptions{All: true}); done.Archived != 2 || done.Packs != 2 || done.Useless > 0 {
		t.Errorf("with indexes: %+v", done)
	}
	s.wants("with indexes")
	for _, name := range s.Names("index") {
		s.Put(name, nil)
	}
	if done := rebuild(repair.RebuildOptions{}); done.Archived != 3 || done.Packs != 1 || done.Useless > 0 {
		t.Errorf("without indexes: %+v", done)
	}
	if _, err := repair.Run(ctx, s.OpenAt(faulty, true), repair.Options{}); err != nil || len(s.Names("lost")) > 0 {
		t.Errorf("a repair gives up what has to be thawed: %v", err)
	}
	why = store.ErrUnavailable
	if done, err := repair.RebuildIndex(ctx, s.OpenAt(faulty, true), repair.RebuildOptions{}); !errors.Is(err, why) {
		t.Errorf("out of reach: %+v, %v", done, err)
	}
	why = nil
	if done := rebuild(repair.RebuildOptions{}); done.Archived != 0 || done.Packs != 3 || done.Useless > 0 || len(s.Names("lost")) > 0 {
		t.Errorf("when they have come: %+v", done)
	}
	s.wants("when they have come")
}

// What the root packs anew, and indexes again of packs alone, stays with the hosts whose it was: no archive is made of another's, whatever a host has said of its packs.
func TestRootKeepsOwners(t *testing.T) {
	ctx := context.Background()
	s := maintaintest.NewAt(t, time.Now)
	first := s.Key
	other, err := crypto.Generate("other", time.Now().Add(-time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Change(first, func(d *keyring.Draft) error { return d.AddHost("other", other, keyring.Backup) })
	s.ForRecipes()
	s.Files["alpha"] = maintaintest.Random(50_000)
	s.Night()
	s.Files["base"] = append([]byte("changed"), s.Files["base"]...)
	s.Night()
	s.Key, s.Host, s.Predecessor, s.Past, s.Trees = other, "other", "", nil, nil
	stored := len(s.Names("content"))
	s.Night()
	if len(s.Names("content")) == stored {
		t.Fatal("a host that may build on nobody has stored nothing")
	}
	// The other says that all packs are its own.
	r := s.Open(false)
	var claimed []index.Pack
	if err := r.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		for _, run := range x.Object.Runs {
			for _, p := range run.Packs {
				if p.Directory.Owner == "host" {
					p.Directory.Owner = "other"
					claimed = append(claimed, p)
				}
			}
		}
		return x.Err
	}); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	claim := index.Object{Time: now, Runs: index.RunsOf(claimed)}
	if _, err := r.PutRecord(ctx, "index", claim.Append(nil)); err != nil {
		t.Fatal(err)
	}
	s.Key, s.Host = first, "host"

	r = s.Open(true)
	old := append(s.Names("content"), s.Names("metadata")...)
	refused := 0
	for _, owner := range []string{"host", "other"} {
		for _, kind := range []pack.Kind{pack.Content, pack.Metadata} {
			err := save.Repack(ctx, r, owner, now, new(save.Sent), func(to *save.Repacker) error {
				for _, name := range old {
					if !strings.HasPrefix(name, kind.String()) {
						continue
					}
					info, err := s.Store.Stat(ctx, name)
					if err == nil {
						err = to.Pack(info, func(pack.Blob) bool { return true })
					}
					if errors.Is(err, save.ErrOtherOwner) {
						refused++
						continue
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.SyncIndex(ctx) != nil {
				t.Fatal("the index cannot be read")
			}
		}
	}
	if refused != len(old) { // each is of one of the two
		t.Errorf("of %d packs %d are of somebody else", len(old), refused)
	}
	for _, name := range append(old, s.Names("index")...) {
		if info, err := s.Store.Stat(ctx, name); err != nil {
			t.Fatal(err)
		} else if x := r.ReadIndex(ctx, info); strings.HasPrefix(name, "index/") && x.Signer == r.Keys().Root().Fingerprint() {
			for _, run := range x.Object.Runs {
				if run.Owner == "" {
					t.Errorf("%s has a run of nobody", name)
				}
			}
			continue
		}
		s.Put(name, nil)
	}
	s.Whole()
	for _, name := range s.Names("index") {
		s.Put(name, nil)
	}
	if done, err := repair.RebuildIndex(ctx, s.Open(true), repair.RebuildOptions{}); err != nil || done.Packs == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	s.Whole()
}

package repair_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/repair"
	"nightjar/repo/record"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

type site struct{ *maintaintest.Site }

func newSite(t *testing.T) *site {
	t.Helper()
	return &site{maintaintest.New(t)}
}

// copied returns another copy of the repository.
func (s *site) copied() *store.Memory {
	s.T.Helper()
	to := store.NewMemory(nil)
	for name, data := range s.all(s.Store) {
		if _, err := to.Replace(context.Background(), name, data, s.stat(name).Time); err != nil {
			s.T.Fatal(err)
		}
	}
	return to
}

func (s *site) stat(name string) store.Info {
	s.T.Helper()
	info, err := s.Store.Stat(context.Background(), name)
	if err != nil {
		s.T.Fatal(err)
	}
	return info
}

func (s *site) all(of store.Store) map[string][]byte {
	s.T.Helper()
	all := map[string][]byte{}
	err := of.List(context.Background(), "", func(i store.Info) error {
		b, err := store.ReadAll(context.Background(), of, i.Name, 0)
		all[i.Name] = b
		return err
	})
	if err != nil {
		s.T.Fatal(err)
	}
	return all
}

func (s *site) repair(content bool, o repair.Options) (check.Summary, []string) {
	s.T.Helper()
	o.Check.ReadData, o.AcceptLoss = true, true // of a few packs one is much
	var found []string
	told := map[[4]string]bool{}
	o.Check.Found = func(f check.Finding) {
		if about := [4]string{string(f.What), f.Object, f.Archive, f.Path}; told[about] {
			s.T.Errorf("told twice: %q", about)
		} else {
			told[about] = true
		}
		found = append(found, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.What, f.Object, f.Path)))
	}
	sum, err := repair.Run(context.Background(), s.Open(content), o)
	if err != nil {
		s.T.Fatal(err)
	}
	slices.Sort(found)
	return sum, found
}

// source is a folder that has what the files have now.
func (s *site) source(path string) (repair.SourceFile, error) {
	data, ok := s.Files[path[strings.LastIndexByte(path, '/')+1:]]
	if !ok {
		return nil, errors.New("no such file")
	}
	return struct {
		io.ReaderAt
		io.Closer
	}{bytes.NewReader(data), io.NopCloser(nil)}, nil
}

func (s *site) spoil(name string, at int) {
	s.T.Helper()
	b, info := bytes.Clone(s.Read(name)), s.stat(name)
	b[at] ^= 1
	if _, err := s.Store.Replace(context.Background(), name, b, info.Time); err != nil {
		s.T.Fatal(err)
	}
}

// wants fails unless a check that reads everything finds just that.
func (s *site) wants(when string, want ...string) {
	s.T.Helper()
	if _, found := s.Check(true, check.Options{ReadData: true}); !slices.Equal(found, want) {
		s.T.Errorf("%s: found %q, want %q", when, found, want)
	}
}

func twoNights(t *testing.T) *site {
	s := newSite(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(700_000)}
	s.Night()
	s.Files["gamma"] = maintaintest.Random(3000)
	s.Night()
	return s
}

// TestRepairFromCopy takes away or spoils one object after another, and puts it back from another copy, which nobody touches.
func TestRepairFromCopy(t *testing.T) {
	s := twoNights(t)
	good := s.all(s.Store)
	other := s.copied()
	for name := range good {
		kind, _, _ := strings.Cut(name, "/")
		if kind == "config" || kind == "keys" { // without which nothing can be opened
			continue
		}
		for how, spoil := range map[string]func(){
			"missing":   func() { s.Put(name, nil) },
			"a bit":     func() { s.spoil(name, len(good[name])/2) },
			"last bit":  func() { s.spoil(name, len(good[name])-1) },
			"truncated": func() { s.Put(name, good[name][:len(good[name])/2]) },
		} {
			for _, content := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s %v", kind, how, content), func(t *testing.T) {
					s.T = t
					dated := s.stat(name).Time
					spoil()
					o := repair.Options{From: other, DryRun: true}
					if kind == "archive" { // of one that is missing only a host knows that remembers it
						id, err := index.ParseObjectID(strings.TrimPrefix(name, "archive/"))
						if err != nil {
							t.Fatal(err)
						}
						o.Check.Seen = []check.Seen{{ID: id}}
					}
					dry := s.all(s.Store)
					if sum, found := s.repair(content, o); sum.Faults == 0 || !slices.Contains(found, "mendable "+name) {
						t.Errorf("a dry run finds %q", found)
					}
					if !equal(dry, s.all(s.Store)) {
						t.Error("a dry run writes")
					}
					o.DryRun = false
					sum, found := s.repair(content, o)
					if sum.Faults > 0 || sum.Repaired == 0 || !slices.Contains(found, "repaired "+name) {
						t.Errorf("%+v, %q", sum, found)
					}
					if !equal(good, s.all(s.Store)) {
						t.Error("something else is there than before")
					}
					if how != "missing" && how != "truncated" && !s.stat(name).Time.Equal(dated) {
						t.Error("it has another time")
					}
					s.wants("after repair")
				})
			}
		}
	}
	s.T = t
	if !equal(good, s.all(other)) {
		t.Error("the other copy is not what it was")
	}
}

func equal(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }

// What is only out of reach is not given up: the repair stops.
func TestRepairOutOfReach(t *testing.T) {
	ctx := context.Background()
	s := twoNights(t)
	for _, kind := range []string{"content", "metadata", "index"} {
		denied := errors.New("not allowed")
		faulty := &storetest.Faulty{Store: s.Store}
		r, err := repo.OpenContent(ctx, faulty, s.Keys, keyring.Held(s.Key), repo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		faulty.Before = []storetest.Hook{func(c storetest.Call) error {
			if c.Op == storetest.Get && strings.HasPrefix(c.Name, kind+"/") {
				return denied
			}
			return nil
		}}
		if _, err := repair.Run(ctx, r, repair.Options{Check: check.Options{ReadData: true}}); !errors.Is(err, denied) {
			t.Errorf("%s: got error %v", kind, err)
		}
	}
	if n := len(s.Names("lost")); n > 0 {
		t.Errorf("%d records of losses", n)
	}
}

// A store that gives an archive a new time makes it late: that it is whole all the same is recorded.
func TestRepairLate(t *testing.T) {
	ctx := context.Background()
	s := twoNights(t)
	name := s.Names("archive")[0]
	id, err := index.ParseObjectID(strings.TrimPrefix(name, "archive/"))
	if err != nil {
		t.Fatal(err)
	}
	later := store.NewMemory(func() time.Time { return time.Now().Add(time.Hour) })
	for other, data := range s.all(s.Store) {
		if other == name {
			continue
		}
		if _, err := later.Replace(ctx, other, data, s.stat(other).Time); err != nil {
			t.Fatal(err)
		}
	}
	plain := &storetest.Faulty{Store: later} // cannot give times
	r, err := repo.OpenContent(ctx, plain, s.Keys, keyring.Held(s.Key), repo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o := repair.Options{From: s.Store, Check: check.Options{Seen: []check.Seen{{ID: id}}}}
	if sum, err := repair.Run(ctx, r, o); err != nil || sum.Repaired != 1 || sum.Faults > 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	var v record.Verified
	err = r.Records(ctx, record.VerifiedKind, func(x sealed.Record) error {
		if x.Err != nil {
			return x.Err
		}
		return record.Decode(x.Content, &v)
	})
	if err != nil || !slices.Equal(v.Archives, []index.ObjectID{id}) || v.View.IsZero() {
		t.Errorf("recorded is %+v, %v", v, err)
	}
}

// A copy that is damaged in the same way, or lies about what it has, does no harm.
func TestRepairFromBadCopy(t *testing.T) {
	s := twoNights(t)
	name := s.Names("content")[0]
	other := s.copied()
	if _, err := other.Replace(context.Background(), name, []byte("not it"), s.stat(name).Time); err != nil {
		t.Fatal(err)
	}
	s.spoil(name, 300)
	was := s.Read(name)
	sum, _ := s.repair(false, repair.Options{From: other})
	if sum.Faults == 0 || !bytes.Equal(was, s.Read(name)) {
		t.Errorf("%+v, and the object is %d bytes", sum, len(s.Read(name)))
	}
}

// What source files still have is saved again, signed by the host; and what is lost is recorded, told as known from then on, and saved by the next backup that has it.
func TestRepairFromSource(t *testing.T) {
	for _, content := range []bool{false, true} {
		t.Run(fmt.Sprint(content), func(t *testing.T) {
			s := twoNights(t)
			first := s.packWith("beta")
			alpha := s.Files["alpha"]
			s.Put(first, nil)
			s.Files["alpha"] = maintaintest.Random(2000) // so it is lost
			sum, found := s.repair(content, repair.Options{Source: s.source})
			want := []string{"damaged  /a/alpha", "damaged  /a/alpha", "lost " + first, "repaired  /b/beta", "repaired  /b/beta"}
			if !slices.Equal(found, want) || sum.Faults != 2 {
				t.Fatalf("%+v, %q, want %q", sum, found, want)
			}
			if len(s.Names("lost")) != 1 {
				t.Fatal("nothing is recorded")
			}
			s.wants("after repair", "lost  /a/alpha", "lost  /a/alpha", "lost "+first)
			s.fetch(repo.ErrLost, alpha)
			if again, _ := s.repair(content, repair.Options{}); again.Faults > 0 || len(s.Names("lost")) != 1 {
				t.Errorf("a second repair finds %+v", again)
			}
			s.Files["alpha"] = alpha
			before := len(s.Names("content"))
			s.Night()
			if len(s.Names("content")) != before+1 {
				t.Errorf("the backup sent %d packs", len(s.Names("content"))-before)
			}
			s.wants("after the next backup", "lost "+first)
			s.fetch(nil, alpha)
			before = len(s.Names("content"))
			s.Night()
			if len(s.Names("content")) != before {
				t.Error("the backup after that sends it again")
			}
		})
	}
}

// A pack of the right size, of which frames were given up, is told of by a check that reads no others, until it is whole again.
func TestCheckTellsOfPartsGivenUp(t *testing.T) {
	s := newSite(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000)}
	s.Night()
	name := s.packWith("alpha")
	other := s.copied()
	s.spoil(name, 1500)
	lost := []string{"lost  /a/alpha", "lost " + name}
	if sum, found := s.repair(false, repair.Options{}); sum.Faults != 1 || sum.Lost != 1 {
		t.Fatalf("repair: %q", found)
	}
	if _, found := s.Check(false, check.Options{}); !slices.Equal(found, lost) {
		t.Errorf("check: %q, want %q", found, lost)
	}
	if _, found := s.repair(false, repair.Options{From: other}); !slices.Equal(found, []string{"repaired " + name, "repaired lost"}) {
		t.Errorf("repair from a copy: %q", found)
	}
	if _, found := s.Check(false, check.Options{}); len(found) > 0 {
		t.Errorf("after that: %q", found)
	}
}

// packWith returns the pack that holds a file's chunk.
func (s *site) packWith(file string) string {
	s.T.Helper()
	r := s.Open(true)
	rd, err := r.NewReader(context.Background())
	if err != nil {
		s.T.Fatal(err)
	}
	all, err := rd.Locations(context.Background(), r.Namer().ID(s.Files[file]))
	if err != nil || len(all) != 1 {
		s.T.Fatalf("%d places, %v", len(all), err)
	}
	return sealed.PackName(all[0].Pack.Kind, all[0].Pack.ID)
}

// fetch reads a chunk, with that outcome.
func (s *site) fetch(want error, data []byte) {
	s.T.Helper()
	r := s.Open(true)
	rd, err := r.NewReader(context.Background())
	if err != nil {
		s.T.Fatal(err)
	}
	err = rd.Fetch(context.Background(), []chunk.ID{r.Namer().ID(data)}, func(_ int, got []byte, err error) error {
		if err == nil && !bytes.Equal(got, data) {
			s.T.Error("other bytes")
		}
		return err
	})
	if !errors.Is(err, want) {
		s.T.Errorf("got error %v, want %v", err, want)
	}
}

// The good frames of a damaged pack are packed anew, given a recovery key, since every host believes what comes of it; and it is not told of again.
func TestRepairRepacks(t *testing.T) {
	for _, kind := range []string{"content", "metadata"} {
		for _, content := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, content), func(t *testing.T) {
				s := newSite(t)
				s.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(700_000)}
				s.Night()
				name := s.Names(kind)[0]
				s.spoil(name, len(s.Read(name))-1)
				sum, found := s.repair(content, repair.Options{})
				if content && sum.Repaired != 1 || !content && sum.Lost != 1 || sum.Faults > 0 {
					t.Errorf("%+v, %q", sum, found)
				}
				s.wants("after repair", "lost "+name)
				if content {
					s.Put(name, nil)
					s.wants("without it", "lost "+name)
				}
			})
		}
	}
}

// Of a pack with a spoilt frame all others are kept.
func TestRepairKeepsGoodFrames(t *testing.T) {
	s := newSite(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(700_000), "gamma": maintaintest.Random(600_000)}
	s.Night()
	name := s.packWith("beta")
	s.spoil(name, 400_000)
	sum, found := s.repair(true, repair.Options{})
	if sum.Faults != 1 || !slices.Contains(found, "repaired "+name) {
		t.Fatalf("%+v, %q", sum, found)
	}
	s.Put(name, nil)
	if sum, found := s.Check(true, check.Options{ReadData: true}); sum.Faults != 0 || len(found) != 2 {
		t.Errorf("without the pack: %+v, %q", sum, found)
	}
	kept := 0
	for file, data := range s.Files {
		if slices.ContainsFunc(found, func(f string) bool { return strings.HasSuffix(f, file) }) {
			continue
		}
		kept++
		s.fetch(nil, data)
	}
	if kept != 2 {
		t.Errorf("%d files are kept", kept)
	}
}

// A tree that is gone is lost with what is below, and comes back with the next backup.
func TestRepairTree(t *testing.T) {
	s := newSite(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(100)}
	s.Night()
	name := s.Names("metadata")[0]
	s.Put(name, nil)
	sum, found := s.repair(true, repair.Options{Source: s.source})
	if want := []string{"damaged  /", "lost " + name}; !slices.Equal(found, want) || sum.Faults != 1 {
		t.Fatalf("%+v, %q, want %q", sum, found, want)
	}
	s.wants("after repair", "lost  /", "lost "+name)
	content := len(s.Names("content"))
	s.Night()
	s.wants("after the next backup", "lost "+name) // the first archive has the same trees
	if len(s.Names("content")) != content {
		t.Error("content was sent again")
	}
}

// Indexes that are damaged are made again, and the damaged ones given up.
func TestRepairIndex(t *testing.T) {
	s := twoNights(t)
	for _, n := range s.Names("index") {
		s.spoil(n, 300)
	}
	if sum, _ := s.repair(false, repair.Options{}); sum.Faults == 0 {
		t.Error("indexes were made without a recovery key")
	}
	if n := len(s.Names("lost")); n > 0 {
		t.Error("what only lacks an index is given up")
	}
	damaged := s.Names("index")
	if sum, found := s.repair(true, repair.Options{}); sum.Faults > 0 || sum.Repaired < 3 {
		t.Errorf("%+v, %q", sum, found)
	}
	s.wants("after repair", "lost "+damaged[0], "lost "+damaged[1])
}

// TestGaps hides archives: one that another names as its predecessor, or that the host remembers.
func TestGaps(t *testing.T) {
	s := newSite(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(100)}
	var archives []*repo.Archive
	for range 3 {
		var before string
		if n := len(archives); n > 0 {
			before = archives[n-1].ID
		}
		s.Predecessor = before
		archives = append(archives, s.Night())
	}
	ids := make([]index.ObjectID, len(archives))
	for i, a := range archives {
		var err error
		if ids[i], err = index.ParseObjectID(a.ID); err != nil {
			t.Fatal(err)
		}
	}
	forget := func(i int) {
		r := s.Open(true)
		b, err := record.Encode(record.Forget{Archives: []record.Forgotten{{Archive: ids[i], Host: "host", Job: "job", Predecessor: archives[i].Predecessor, Reason: "test"}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.PutRecord(context.Background(), record.ForgetKind, b); err != nil {
			t.Fatal(err)
		}
	}
	name := func(i int) string { return "archive/" + ids[i].String() }
	find := func(when string, o check.Options, want ...string) {
		t.Helper()
		if _, found := s.Check(false, o); !slices.Equal(found, want) {
			t.Errorf("%s: found %q, want %q", when, found, want)
		}
	}
	find("whole", check.Options{Seen: []check.Seen{{ID: ids[0]}, {ID: ids[2]}}})
	s.Put(name(2), nil)
	find("the newest is hidden, and nobody remembers", check.Options{})
	find("the newest is hidden", check.Options{Seen: []check.Seen{{ID: ids[2]}}}, "missing "+name(2))
	forget(2)
	find("it was forgotten", check.Options{Seen: []check.Seen{{ID: ids[2]}}})
	s.Put(name(1), nil)
	find("a forgotten one names one that is hidden", check.Options{}, "missing "+name(1))
	forget(1)
	find("that was forgotten, too", check.Options{})
	s.Put(name(0), nil)
	find("the first is hidden", check.Options{}, "missing "+name(0))
	if sum, found := s.repair(true, repair.Options{}); sum.Faults != 1 || !slices.Equal(found, []string{"missing " + name(0)}) {
		t.Errorf("a repair finds %q", found)
	}
	find("after a repair", check.Options{}, "lost "+name(0))
	gone, err := check.Vanished(context.Background(), s.Open(false), func(index.ObjectID) bool { return false }, []check.Seen{{ID: ids[0]}, {ID: ids[1]}, {ID: index.ObjectID{9}}})
	if err != nil || len(gone) != 1 || gone[0].ID != (index.ObjectID{9}) {
		t.Errorf("vanished: %v, %v", gone, err)
	}
}

// TestSalvage finds what nothing names, indexed or not: an archive's root, and a folder of which the one above is gone.
func TestSalvage(t *testing.T) {
	ctx := context.Background()
	s := newSite(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000)}
	first := s.Night()
	s.Files["beta"] = maintaintest.Random(3000)
	second := s.Night()
	r := s.Open(true)
	var folder chunk.ID
	err := save.Add(ctx, r, new(save.Sent), func(_ context.Context, w *save.Writer) error {
		saver, err := w.NewSaver()
		if err != nil {
			return err
		}
		e := tree.NewEncoder(r.NameKey(), saver.Tree)
		if err := e.Add(&tree.Node{Name: "empty", Mode: tree.Regular | 0o600, Links: 1}); err != nil {
			return err
		}
		items, err := e.Finish()
		folder = items[0].ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	salvage := func() map[chunk.ID]bool {
		t.Helper()
		r := s.Open(true)
		archives, err := r.Archives(ctx, func(string, error) {})
		if err != nil {
			t.Fatal(err)
		}
		rd, orphans, err := repair.Salvage(ctx, r, archives, func(name string, err error) { t.Errorf("%s: %v", name, err) })
		if err != nil {
			t.Fatal(err)
		}
		whole := map[chunk.ID]bool{}
		for _, o := range orphans {
			whole[o.ID] = o.Whole
			if data, err := rd.Metadata(ctx, o.ID); err != nil || int64(len(data)) != o.Length {
				t.Errorf("orphan of %d bytes: %v", len(data), err)
			}
		}
		return whole
	}
	if got, want := salvage(), map[chunk.ID]bool{folder: false}; !maps.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	for _, name := range append(s.Names("index"), "archive/"+first.ID) {
		s.Put(name, nil)
	}
	if got, want := salvage(), map[chunk.ID]bool{folder: false, first.Root.ID: true}; !maps.Equal(got, want) {
		t.Errorf("without indexes, found %v, want %v", got, want)
	}
	s.Put("archive/"+second.ID, nil)
	if got, want := salvage(), map[chunk.ID]bool{folder: false, first.Root.ID: true, second.Root.ID: true}; !maps.Equal(got, want) {
		t.Errorf("without archives, found %v, want %v", got, want)
	}
}

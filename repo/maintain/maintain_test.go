package maintain_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/store"
	"nightjar/repo/tree"
)

// site is a repository in memory with some archives.
type site struct {
	t     *testing.T
	store *store.Memory
	keys  *keyring.Keyring
	key   *crypto.Key
	files map[string][]byte
	now   func() time.Time         // nil: time.Now
	past  map[string]tree.Contents // what files held in the last night, if deltas are made
	trees map[string][]tree.Item   // what folders did
	sent  *repo.Sent               // of the last night

	predecessor string // of the next archive
	host        string // that writes; "": host
}

func newSite(t *testing.T) *site { return newSiteAt(t, nil) }

func newSiteAt(t *testing.T, now func() time.Time) *site {
	t.Helper()
	s := &site{t: t, store: store.NewMemory(now), files: map[string][]byte{}, now: now}
	var err error
	if s.key, err = crypto.Generate("host", time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if s.keys, err = repo.Init(context.Background(), s.store, repo.InitOptions{HostName: "host", Host: s.key, Recovery: []*crypto.Key{s.key}, Now: now}); err != nil {
		t.Fatal(err)
	}
	return s
}

// change stores new keys, with a recovery key.
func (s *site) change(recovery *crypto.Key, edit func(*keyring.Draft) error) {
	s.t.Helper()
	editor := keyring.Editor{Store: s.store, Now: s.now, Random: rand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return s.keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(recovery))
		}}
	keys, _, err := editor.Change(context.Background(), edit)
	if err != nil {
		s.t.Fatal(err)
	}
	s.keys = keys
}

// open opens the repository with an empty cache; content says with the recovery key.
func (s *site) open(content bool) *repo.Repository {
	s.t.Helper()
	return s.openAt(s.store, content)
}

func (s *site) openAt(at store.Store, content bool) *repo.Repository {
	s.t.Helper()
	with := repo.Open
	if content {
		with = repo.OpenContent
	}
	r, err := with(context.Background(), at, s.keys, keyring.Held(s.key), repo.Options{Now: s.now, Warn: func(err error) { s.t.Logf("warning: %v", err) }})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := r.SetHost(s.key); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Close() })
	return r
}

// night saves the files, each one chunk, in folders of the root by the first letter of their names.
func (s *site) night() *repo.Archive {
	s.t.Helper()
	a, err := s.run(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// run is night with something that happens after the run has taken its view.
func (s *site) run(meanwhile func()) (*repo.Archive, error) {
	s.sent = new(repo.Sent)
	r := s.open(false)
	return r.Write(context.Background(), s.sent, func(ctx context.Context, w *repo.Writer) (*repo.Archive, error) {
		if meanwhile != nil {
			meanwhile()
		}
		saver, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		folders := map[string][]*tree.Node{}
		for name, data := range s.files {
			var before *repo.Past
			if c, ok := s.past[name]; ok {
				before = w.Past([]tree.Contents{c}, nil)
				defer before.Close()
			}
			id, err := saver.ContentAt(data, 0, before)
			if err != nil {
				return nil, err
			}
			n := &tree.Node{Name: name, Mode: tree.Regular | 0o600, Links: 1, Size: uint64(len(data)), Contents: tree.Contents{Items: []tree.Item{{ID: id, Length: int64(len(data))}}}}
			if s.past != nil {
				s.past[name] = n.Contents
			}
			folders[name[:1]] = append(folders[name[:1]], n)
		}
		directory := func(name string, nodes []*tree.Node) (*tree.Node, error) {
			e := tree.NewEncoder(r.NameKey(), func(encoded []byte) (chunk.ID, error) { return saver.TreeLike(encoded, s.trees[name]) })
			slices.SortFunc(nodes, func(a, b *tree.Node) int { return strings.Compare(a.Name, b.Name) })
			for _, n := range nodes {
				if err := e.Add(n); err != nil {
					return nil, err
				}
			}
			items, err := e.Finish()
			if s.trees != nil {
				s.trees[name] = items
			}
			return &tree.Node{Name: name, Mode: tree.Directory | 0o700, Contents: tree.Contents{Items: items}}, err
		}
		var top []*tree.Node
		for name, nodes := range folders {
			n, err := directory(name, nodes)
			if err != nil {
				return nil, err
			}
			top = append(top, n)
		}
		root, err := directory("root", top)
		if err != nil {
			return nil, err
		}
		if root, err = directory("", []*tree.Node{root}); err != nil {
			return nil, err
		}
		return &repo.Archive{Host: cmp.Or(s.host, "host"), Job: "job", Predecessor: s.predecessor, Root: repo.Root{ID: root.Contents.Items[0].ID, Length: root.Contents.Items[0].Length}}, nil
	})
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// names returns the names of the objects of a kind.
func (s *site) names(kind string) []string {
	s.t.Helper()
	var names []string
	if err := s.store.List(context.Background(), kind+"/", func(i store.Info) error {
		names = append(names, i.Name)
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func (s *site) read(name string) []byte {
	s.t.Helper()
	b, err := store.ReadAll(context.Background(), s.store, name, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// put replaces an object, as only somebody with power over the store could; nil removes it.
func (s *site) put(name string, data []byte) {
	s.t.Helper()
	ctx := context.Background()
	if err := s.store.Delete(ctx, name); err != nil {
		s.t.Fatal(err)
	}
	if data == nil {
		return
	}
	if _, err := s.store.Put(ctx, name, data); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) check(content bool, o maintain.CheckOptions) (maintain.Summary, []string) {
	s.t.Helper()
	var found []string
	o.Found = func(f maintain.Finding) {
		found = append(found, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.What, f.Object, f.Path)))
	}
	sum, err := maintain.Check(context.Background(), s.open(content), o)
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(found)
	return sum, found
}

func TestCheckWhole(t *testing.T) {
	s := newSite(t)
	s.files = map[string][]byte{"alpha": random(100), "beta": random(700_000), "gamma": random(5000)}
	s.night()
	s.files["beta"] = random(600_000)
	s.night()
	for _, c := range []struct {
		content bool
		o       maintain.CheckOptions
		read    int
	}{{false, maintain.CheckOptions{}, 0}, {false, maintain.CheckOptions{ReadData: true}, 4}, {true, maintain.CheckOptions{ReadData: true}, 4}} {
		sum, found := s.check(c.content, c.o)
		if len(found) > 0 || sum.Faults+sum.Leftovers > 0 {
			t.Errorf("%+v: %q", c.o, found)
		}
		if sum.Archives != 2 || sum.Files != 4 || sum.Packs != 4 || sum.PacksRead != c.read || sum.Opened != (c.content && c.o.ReadData) {
			t.Errorf("%+v: %+v", c.o, sum)
		}
	}
	some := 0
	for range 40 {
		sum, _ := s.check(false, maintain.CheckOptions{ReadData: true, Sample: 0.5})
		some += sum.PacksRead
	}
	if some < 40 || some > 120 {
		t.Errorf("a sample of half read %d of %d packs", some, 40*4)
	}
}

func TestCheckFinds(t *testing.T) {
	base := func(t *testing.T) (*site, string) {
		s := newSite(t)
		s.files = map[string][]byte{"alpha": random(2000), "beta": random(700_000)}
		s.night()
		return s, s.names("content")[0]
	}
	cases := map[string]struct {
		spoil func(s *site, pack string)
		read  bool
		want  []string // with PACK for the content pack
	}{
		"missing pack":     {func(s *site, p string) { s.put(p, nil) }, false, []string{"damaged  /a/alpha", "damaged  /b/beta", "missing PACK"}},
		"truncated pack":   {func(s *site, p string) { s.put(p, s.read(p)[:1000]) }, true, []string{"damaged  /a/alpha", "damaged  /b/beta", "damaged PACK"}},
		"flip in one file": {func(s *site, p string) { b := s.read(p); b[300_000] ^= 1; s.put(p, b) }, true, []string{"damaged  /b/beta", "damaged PACK"}},
		"flip unread":      {func(s *site, p string) { b := s.read(p); b[300_000] ^= 1; s.put(p, b) }, false, nil},
		"flip in padding":  {func(s *site, p string) { b := s.read(p); b[len(b)-400] ^= 1; s.put(p, b) }, true, []string{"damaged PACK"}},
		"foreign object": {func(s *site, p string) {
			_, err := s.store.Put(context.Background(), "content/strange", []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
		}, false, []string{"foreign content/strange"}},
		"no index": {func(s *site, p string) { s.put(s.names("index")[0], nil) }, false, []string{"damaged  /", "unindexed METADATA", "unindexed PACK"}},
		"damaged index": {func(s *site, p string) { n := s.names("index")[0]; b := s.read(n); b[len(b)/2] ^= 1; s.put(n, b) }, false,
			[]string{"damaged  /", "damaged INDEX", "unindexed METADATA", "unindexed PACK"}},
		"damaged archive":  {func(s *site, p string) { n := s.names("archive")[0]; b := s.read(n); b[len(b)/2] ^= 1; s.put(n, b) }, false, []string{"damaged ARCHIVE"}},
		"missing metadata": {func(s *site, p string) { s.put(s.names("metadata")[0], nil) }, false, []string{"damaged  /", "missing METADATA"}},
		"swapped pack":     {func(s *site, p string) { s.put(p, s.read(s.names("metadata")[0])) }, true, []string{"damaged  /a/alpha", "damaged  /b/beta", "damaged PACK"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, packName := base(t)
			replace := strings.NewReplacer("PACK", packName, "METADATA", s.names("metadata")[0], "INDEX", s.names("index")[0], "ARCHIVE", s.names("archive")[0])
			c.spoil(s, packName)
			sum, found := s.check(false, maintain.CheckOptions{ReadData: c.read})
			want := []string{}
			for _, w := range c.want {
				want = append(want, replace.Replace(w))
			}
			slices.Sort(want)
			if !slices.Equal(found, want) {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
			}
			if faults := slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(w, "damaged") || strings.HasPrefix(w, "missing") }); faults != (sum.Faults > 0) {
				t.Errorf("%d faults", sum.Faults)
			}
		})
	}
}

// A tree that two archives share is reported for both when it is damaged.
func TestCheckNamesEveryArchive(t *testing.T) {
	s := newSite(t)
	s.files = map[string][]byte{"alpha": random(2000), "beta": random(100)}
	a := s.night()
	content := s.names("content")[0]
	s.files["beta"] = random(100)
	b := s.night()
	s.put(content, nil)
	var touched []string
	_, err := maintain.Check(context.Background(), s.open(false), maintain.CheckOptions{Found: func(f maintain.Finding) {
		if f.Path == "/a/alpha" {
			touched = append(touched, f.Archive)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(touched, []string{a.ID, b.ID}) {
		t.Errorf("touched %q, want %q and %q", touched, a.ID, b.ID)
	}
}

func TestRebuildIndex(t *testing.T) {
	ctx := context.Background()
	s := newSite(t)
	s.files = map[string][]byte{"alpha": random(2000), "beta": random(700_000)}
	s.night()
	s.files["gamma"] = random(10)
	s.night()
	for _, n := range s.names("index") {
		s.put(n, nil)
	}
	if _, err := maintain.RebuildIndex(ctx, s.open(false), maintain.RebuildOptions{}); err == nil {
		t.Error("an index was rebuilt without a recovery key")
	}
	damaged := s.names("content")[0]
	good := s.read(damaged)
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	s.put(damaged, bad)
	var reported []string
	done, err := maintain.RebuildIndex(ctx, s.open(true), maintain.RebuildOptions{Damaged: func(name string, err error) { reported = append(reported, name) }})
	if err != nil || done.Packs != 3 || done.Damaged != 1 || !slices.Equal(reported, []string{damaged}) {
		t.Fatalf("%+v, %q, %v", done, reported, err)
	}
	s.put(damaged, good)
	if done, err = maintain.RebuildIndex(ctx, s.open(true), maintain.RebuildOptions{}); err != nil || done.Packs != 1 || done.Objects != 1 {
		t.Fatalf("second time: %+v, %v", done, err)
	}
	if done, err = maintain.RebuildIndex(ctx, s.open(true), maintain.RebuildOptions{}); err != nil || done.Packs != 0 || done.Objects != 0 {
		t.Fatalf("third time: %+v, %v", done, err)
	}
	if sum, found := s.check(true, maintain.CheckOptions{ReadData: true}); len(found) > 0 || sum.Archives != 2 {
		t.Errorf("after rebuilding: %q, %+v", found, sum)
	}
	// What the root vouches for is known to a backup.
	before := len(s.names("content"))
	s.night()
	if after := len(s.names("content")); after != before {
		t.Errorf("a backup sent %d packs again", after-before)
	}
}

// What merged index objects stand for is no fault, whatever it names; what it alone names is left over.
func TestCheckMerged(t *testing.T) {
	ctx := context.Background()
	s := newSite(t)
	s.files = map[string][]byte{"alpha": random(2000)}
	given := s.night()
	dropped := s.names("content")[0]
	s.files = map[string][]byte{"beta": random(3000)}
	s.night()
	s.put("archive/"+given.ID, nil)
	for _, n := range s.names("index") {
		s.put(n, nil)
	}
	r := s.open(true)
	if _, err := maintain.RebuildIndex(ctx, r, maintain.RebuildOptions{}); err != nil {
		t.Fatal(err)
	}
	old := s.names("index")
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
		if sum, found := s.check(true, maintain.CheckOptions{ReadData: true}); !slices.Equal(found, want) || sum.Faults > 0 {
			t.Errorf("%s: %q, want %q", when, found, want)
		}
		if done, err := maintain.RebuildIndex(ctx, s.open(true), maintain.RebuildOptions{}); err != nil || done.Packs > 0 {
			t.Errorf("%s: rebuilt %+v, %v", when, done, err)
		}
	}
	want("merged", "unindexed "+dropped)
	s.put(dropped, nil)
	want("pack is deleted")
	for _, n := range old {
		s.put(n, nil)
	}
	want("replaced objects are deleted")
}

// What prune has dropped is neither missing nor indexed again; what it dropped and did not come to delete is left over.
func TestDropped(t *testing.T) {
	ctx := context.Background()
	s := newSite(t)
	s.files = map[string][]byte{"alpha": random(2000)}
	s.night()
	old := s.names("content")
	archive := s.names("archive")[0]
	s.files = map[string][]byte{"beta": random(3000)}
	s.night()
	for _, name := range s.names("content") {
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
	if _, err := s.open(false).PutRecord(ctx, record.DroppedKind, list); err != nil {
		t.Fatal(err)
	}
	s.put(archive, nil)
	if _, found := s.check(true, maintain.CheckOptions{ReadData: true}); !slices.Equal(found, []string{"unindexed " + old[0]}) {
		t.Errorf("not deleted yet: %q", found)
	}
	for _, all := range []bool{false, true} {
		done, err := maintain.RebuildIndex(ctx, s.open(true), maintain.RebuildOptions{All: all})
		if want := map[bool]int{false: 0, true: 3}[all]; err != nil || done.Packs != want {
			t.Errorf("indexed again: %+v, %v", done, err)
		}
	}
	s.put(old[0], nil)
	if sum, found := s.check(true, maintain.CheckOptions{ReadData: true}); len(found) != 0 || sum.Archives != 1 {
		t.Errorf("deleted: %q, %+v", found, sum)
	}
}

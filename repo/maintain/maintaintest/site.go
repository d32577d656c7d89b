// Package maintaintest makes repositories to try maintenance on.
package maintaintest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/check"
	"nightjar/repo/save"
	"nightjar/repo/store"
	"nightjar/repo/tree"
)

// A Site is a repository in memory with some archives.
type Site struct {
	T     *testing.T
	Store *store.Memory
	Keys  *keyring.Keyring
	Key   *crypto.Key
	Files map[string][]byte        // what a night saves
	Now   func() time.Time         // nil: time.Now
	Past  map[string]tree.Contents // what files held in the last night, if deltas are made
	Trees map[string][]tree.Item   // what folders did
	Sent  *save.Sent               // of the last night

	Predecessor string // of the next archive
	Host        string // that writes; "": host
}

// New returns one that is empty.
func New(t *testing.T) *Site { return NewAt(t, nil) }

// NewAt returns one whose store, and host, have a clock of their own; nil: time.Now.
func NewAt(t *testing.T, now func() time.Time) *Site {
	t.Helper()
	s := &Site{T: t, Store: store.NewMemory(now), Files: map[string][]byte{}, Now: now}
	var err error
	if s.Key, err = crypto.Generate("host", time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if s.Keys, err = repo.Init(context.Background(), s.Store, repo.InitOptions{HostName: "host", Host: s.Key, Recovery: []*crypto.Key{s.Key}, Now: now}); err != nil {
		t.Fatal(err)
	}
	return s
}

// Change stores new keys, with a recovery key.
func (s *Site) Change(recovery *crypto.Key, edit func(*keyring.Draft) error) {
	s.T.Helper()
	editor := keyring.Editor{Store: s.Store, Now: s.Now, Random: rand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return s.Keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(recovery))
		}}
	keys, _, err := editor.Change(context.Background(), edit)
	if err != nil {
		s.T.Fatal(err)
	}
	s.Keys = keys
}

// Open opens the repository with an empty cache; content says with the recovery key.
func (s *Site) Open(content bool) *repo.Repository {
	s.T.Helper()
	return s.OpenAt(s.Store, content)
}

// OpenAt opens it in a store that stands before its own.
func (s *Site) OpenAt(at store.Store, content bool) *repo.Repository {
	s.T.Helper()
	with := repo.Open
	if content {
		with = repo.OpenContent
	}
	r, err := with(context.Background(), at, s.Keys, keyring.Held(s.Key), repo.Options{Now: s.Now, Warn: func(err error) { s.T.Logf("warning: %v", err) }})
	if err != nil {
		s.T.Fatal(err)
	}
	if err := r.SetHost(s.Key); err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { r.Close() })
	return r
}

// Night saves the files, each one chunk, in folders of the root by the first letter of their names.
func (s *Site) Night() *repo.Archive {
	s.T.Helper()
	a, err := s.Run(nil)
	if err != nil {
		s.T.Fatal(err)
	}
	return a
}

// Run is Night with something that happens after the run has taken its view.
func (s *Site) Run(meanwhile func()) (*repo.Archive, error) {
	s.Sent = new(save.Sent)
	r := s.Open(false)
	return save.Write(context.Background(), r, s.Sent, func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		if meanwhile != nil {
			meanwhile()
		}
		saver, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		folders := map[string][]*tree.Node{}
		for name, data := range s.Files {
			var before *save.Past
			if c, ok := s.Past[name]; ok {
				before = w.Past([]tree.Contents{c}, nil)
				defer before.Close()
			}
			id, err := saver.ContentAt(data, save.Place{}, before)
			if err != nil {
				return nil, err
			}
			n := &tree.Node{Name: name, Mode: tree.Regular | 0o600, Links: 1, Size: uint64(len(data)), Contents: tree.Contents{Items: []tree.Item{{ID: id, Length: int64(len(data))}}}}
			if s.Past != nil {
				s.Past[name] = n.Contents
			}
			folders[name[:1]] = append(folders[name[:1]], n)
		}
		directory := func(name string, nodes []*tree.Node) (*tree.Node, error) {
			e := tree.NewEncoder(r.NameKey(), func(encoded []byte) (chunk.ID, error) { return saver.TreeLike(encoded, s.Trees[name]) })
			slices.SortFunc(nodes, func(a, b *tree.Node) int { return strings.Compare(a.Name, b.Name) })
			for _, n := range nodes {
				if err := e.Add(n); err != nil {
					return nil, err
				}
			}
			items, err := e.Finish()
			if s.Trees != nil {
				s.Trees[name] = items
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
		return &repo.Record{Host: cmp.Or(s.Host, "host"), Job: "job", Predecessor: s.Predecessor, Root: repo.Root{ID: root.Contents.Items[0].ID, Length: root.Contents.Items[0].Length}}, nil
	})
}

// ForRecipes lets the next nights store what they change as recipes: of a large file, base, and of a folder of many, which are few000 to few299.
func (s *Site) ForRecipes() {
	s.Past, s.Trees = map[string]tree.Contents{}, map[string][]tree.Item{}
	var text bytes.Buffer
	for i := range 9000 {
		fmt.Fprintf(&text, "line %d of the file, which is long enough to be worth a recipe: %x\n", i, i*i*7919)
	}
	s.Files["base"] = text.Bytes()
	for i := range 300 {
		s.Files[fmt.Sprintf("few%03d", i)] = []byte{byte(i), byte(i >> 8)}
	}
}

// Random returns bytes that nothing can be said of.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// Names returns the names of the objects of a kind.
func (s *Site) Names(kind string) []string {
	s.T.Helper()
	var names []string
	if err := s.Store.List(context.Background(), kind+"/", func(i store.Info) error {
		names = append(names, i.Name)
		return nil
	}); err != nil {
		s.T.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// Read returns what an object holds.
func (s *Site) Read(name string) []byte {
	s.T.Helper()
	b, err := store.ReadAll(context.Background(), s.Store, name, 0)
	if err != nil {
		s.T.Fatal(err)
	}
	return b
}

// Put replaces an object, as only somebody with power over the store could; nil removes it.
func (s *Site) Put(name string, data []byte) {
	s.T.Helper()
	ctx := context.Background()
	if err := s.Store.Delete(ctx, name); err != nil {
		s.T.Fatal(err)
	}
	if data == nil {
		return
	}
	if _, err := s.Store.Put(ctx, name, data); err != nil {
		s.T.Fatal(err)
	}
}

// Check returns what a check finds, each in a line without the reason.
func (s *Site) Check(content bool, o check.Options) (check.Summary, []string) {
	s.T.Helper()
	var found []string
	o.Found = func(f check.Finding) {
		found = append(found, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.What, f.Object, f.Path)))
	}
	sum, err := check.Run(context.Background(), s.Open(content), o)
	if err != nil {
		s.T.Fatal(err)
	}
	slices.Sort(found)
	return sum, found
}

// Whole wants all that archives need to be there, down to the last byte.
func (s *Site) Whole() {
	s.T.Helper()
	if sum, found := s.Check(true, check.Options{ReadData: true}); sum.Faults > 0 {
		s.T.Errorf("%d archives, found %q", sum.Archives, found)
	}
}

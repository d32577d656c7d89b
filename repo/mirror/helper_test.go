package mirror_test

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/mirror"
	"nightjar/repo/record"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/tree"
)

// clock is one that all stores of a test share, and that goes on when it is told to.
type clock struct {
	sync.Mutex
	t time.Time
}

func (c *clock) now() time.Time {
	c.Lock()
	defer c.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.Lock()
	defer c.Unlock()
	c.t = c.t.Add(d)
}

// site is a repository in memory.
type site struct {
	t     *testing.T
	clock clock
	home  *store.Memory
	keys  *keyring.Keyring
	key   *crypto.Key // of the host, and the recovery key
	rand  *rand.ChaCha8
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, rand: rand.NewChaCha8([32]byte{1})}
	s.clock.t = time.Now()
	s.home = store.NewMemory(s.clock.now)
	var err error
	if s.key, err = crypto.Generate("host", time.Now().Add(-time.Hour), nil); err != nil {
		t.Fatal(err)
	}
	s.keys, err = repo.Init(t.Context(), s.home, repo.InitOptions{HostName: "host", Host: s.key, Recovery: []*crypto.Key{s.key}, Now: s.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// in opens the repository as it is in a store; root says with the recovery key.
func (s *site) in(at store.Store, root bool) *repo.Repository {
	s.t.Helper()
	open := repo.Open
	if root {
		open = repo.OpenContent
	}
	r, err := open(s.t.Context(), at, s.keys, keyring.Held(s.key), repo.Options{Now: s.clock.now})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := r.SetHost(s.key); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Close() })
	return r
}

func (s *site) random(n int) []byte {
	b := make([]byte, n)
	_, _ = s.rand.Read(b)
	return b
}

// night saves files, each one chunk, in one directory. A part of each must be new, or it takes no pack.
func (s *site) night(files map[string][]byte) *repo.Archive {
	s.t.Helper()
	return s.nightIn(s.home, files)
}

func (s *site) nightIn(at store.Store, files map[string][]byte) *repo.Archive {
	s.t.Helper()
	s.clock.pass(time.Hour)
	r := s.in(at, false)
	a, err := save.Write(s.t.Context(), r, new(save.Sent), func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		saver, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		directory := func(nodes ...*tree.Node) ([]tree.Item, error) {
			e := tree.NewEncoder(r.NameKey(), saver.Tree)
			slices.SortFunc(nodes, func(a, b *tree.Node) int { return strings.Compare(a.Name, b.Name) })
			for _, n := range nodes {
				if err := e.Add(n); err != nil {
					return nil, err
				}
			}
			return e.Finish()
		}
		var nodes []*tree.Node
		for name, data := range files {
			id, err := saver.Content(data)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, &tree.Node{
				Name: name, Mode: tree.Regular | 0o600, Links: 1, Size: uint64(len(data)),
				Contents: tree.Contents{Items: []tree.Item{{ID: id, Length: int64(len(data))}}},
			})
		}
		items, err := directory(nodes...)
		if err != nil {
			return nil, err
		}
		items, err = directory(&tree.Node{Name: "root", Mode: tree.Directory | 0o700, Contents: tree.Contents{Items: items}})
		if err != nil {
			return nil, err
		}
		return &repo.Record{Host: "host", Job: "job", Root: repo.Root{ID: items[0].ID, Length: items[0].Length}}, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// wantArchives checks that a store holds these archives, that all of each can be read there, and that they are as old as at home.
func (s *site) wantArchives(at store.Store, want ...*repo.Archive) {
	s.t.Helper()
	r := s.in(at, true)
	all, err := r.Archives(s.t.Context(), func(name string, err error) { s.t.Errorf("%s: %v", name, err) })
	if err != nil {
		s.t.Fatal(err)
	}
	if want != nil && len(all) != len(want) {
		s.t.Errorf("%d archives, want %d", len(all), len(want))
	}
	for _, w := range want {
		if !slices.ContainsFunc(all, func(a repo.Archive) bool { return a.ID == w.ID && a.Stored.Equal(w.Stored) }) {
			s.t.Errorf("archive %s is not there, or not as old as at home", w.ID)
		}
	}
	rd, err := r.NewReader(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range all {
		if err := readAll(s.t.Context(), rd, all[i].Root.ID); err != nil {
			s.t.Errorf("archive %s: %v", all[i].ID, err)
		}
	}
}

func readAll(ctx context.Context, rd *repo.Reader, id chunk.ID) error {
	encoded, err := rd.Metadata(ctx, id)
	if err != nil {
		return err
	}
	nodes, err := tree.Decode(encoded)
	if err != nil {
		return err
	}
	var ids []chunk.ID
	for i := range nodes {
		for _, item := range nodes[i].Contents.Items {
			if !nodes[i].IsDir() {
				ids = append(ids, item.ID)
			} else if err := readAll(ctx, rd, item.ID); err != nil {
				return err
			}
		}
	}
	return rd.Fetch(ctx, ids, func(_ int, _ []byte, err error) error { return err })
}

// copy runs a Mirror, and returns what it found as "name: error".
func (s *site) copy(to store.Carrier, o mirror.Options, f func(*mirror.Mirror) error) (sum mirror.Summary, found []string, err error) {
	o.Now = s.clock.now
	o.Found = func(f mirror.Finding) {
		where := "home"
		if f.Copy {
			where = "copy"
		}
		found = append(found, fmt.Sprintf("%s %s: %v", where, f.Object, f.Err))
	}
	m := mirror.New(s.home, to, s.keys, o)
	err = f(m)
	return m.Summary(), found, err
}

// all copies everything, which must succeed without a finding.
func (s *site) all(to store.Carrier) mirror.Summary {
	s.t.Helper()
	sum, found, err := s.copy(to, mirror.Options{Create: true}, func(m *mirror.Mirror) error { return m.All(s.t.Context()) })
	if err != nil || len(found) > 0 {
		s.t.Fatalf("copy: %v, found %q", err, found)
	}
	return sum
}

// prune is all with what it deletes.
func (s *site) prune(to store.Carrier) (mirror.Summary, []string) {
	s.t.Helper()
	sum, found, err := s.copy(to, mirror.Options{}, func(m *mirror.Mirror) error {
		if err := m.All(s.t.Context()); err != nil {
			return err
		}
		return m.Prune(s.t.Context(), s.in(s.home, false))
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return sum, found
}

// write stores a record of maintenance at home.
func (s *site) write(kind string, v any) {
	s.t.Helper()
	content, err := record.Encode(v)
	if err == nil {
		_, err = s.in(s.home, false).PutRecord(s.t.Context(), kind, content)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) forget(a *repo.Archive) {
	s.t.Helper()
	s.write(record.ForgetKind, &record.Forget{Archives: []record.Forgotten{{Archive: objectID(s.t, a.ID), Host: a.Host, Job: a.Job, Time: a.Time}}})
}

func objectID(t *testing.T, name string) index.ObjectID {
	t.Helper()
	id, err := index.ParseObjectID(path.Base(name))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func contents(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.List(t.Context(), "", func(i store.Info) error {
		b, err := store.ReadAll(t.Context(), s, i.Name, 0)
		all[i.Name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// names returns the names with a prefix that are in one store and not in another, which may be nil.
func names(t *testing.T, in, notIn store.Store, prefix string) []string {
	t.Helper()
	var all []string
	err := in.List(t.Context(), prefix, func(i store.Info) error {
		if notIn != nil {
			if _, err := notIn.Stat(t.Context(), i.Name); !errors.Is(err, store.ErrNotExist) {
				return err
			}
		}
		all = append(all, i.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// put replaces an object as only somebody with power over the store could; nil removes it.
func put(t *testing.T, s store.Store, name string, data []byte) {
	t.Helper()
	err := s.Delete(t.Context(), name)
	if err == nil && data != nil {
		_, err = s.Put(t.Context(), name, data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flipped(t *testing.T, s store.Store, name string) []byte {
	t.Helper()
	b, err := store.ReadAll(t.Context(), s, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

// enroll adds a host that makes backups.
func (s *site) enroll(name string, key *crypto.Key) {
	s.t.Helper()
	s.rekey(func(d *keyring.Draft) error { return d.AddHost(name, key, keyring.Backup) })
}

func (s *site) rekey(edit func(*keyring.Draft) error) {
	s.t.Helper()
	next, _, err := keyring.Editor{
		Store: s.home, Now: s.clock.now, Random: cryptorand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return s.keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(s.key))
		},
	}.Change(s.t.Context(), edit)
	if err != nil {
		s.t.Fatal(err)
	}
	s.keys = next
}

// object returns an index object at home.
func (s *site) object(name string) (*index.Object, error) {
	var o *index.Object
	err := s.in(s.home, false).IndexObjects(s.t.Context(), func(x sealed.IndexRecord) error {
		if x.Name == name {
			o = &x.Object
		}
		return x.Err
	})
	return o, err
}

// index stores an index object at home, signed by a host.
func (s *site) index(key *crypto.Key, o *index.Object) store.Info {
	s.t.Helper()
	r := s.in(s.home, false)
	err := r.SetHost(key)
	o.Time = s.clock.now()
	var info store.Info
	if err == nil {
		info, err = r.PutRecord(s.t.Context(), "index", o.Append(nil))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return info
}

// wantIndexed checks that indexes name only packs that are there, or that are said to be dropped: a backup into the place would build on them.
func (s *site) wantIndexed(at store.Store) {
	s.t.Helper()
	r := s.in(at, false)
	dropped := map[index.ObjectID]bool{}
	err := r.Records(s.t.Context(), "dropped", func(x sealed.Record) error {
		var d record.Dropped
		if x.Err == nil {
			x.Err = record.Decode(x.Content, &d)
		}
		for _, id := range d.Packs {
			dropped[id] = true
		}
		return x.Err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	err = r.IndexObjects(s.t.Context(), func(x sealed.IndexRecord) error {
		if x.Err != nil {
			return x.Err
		}
		for _, run := range x.Object.Runs {
			for _, p := range run.Packs {
				name := sealed.PackName(p.Directory.Kind, p.ID)
				if _, err := at.Stat(s.t.Context(), name); err != nil && !dropped[p.ID] {
					s.t.Errorf("%s names %s: %v", x.Name, name, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// bucket is a store whose times are its own, and that carries home times beside them.
type bucket struct {
	*store.Memory
	mu      sync.Mutex
	home    map[string]time.Time
	claim   []byte
	claimed time.Time
	now     func() time.Time
	trusted bool
}

func (s *site) newBucket() *bucket {
	return &bucket{Memory: store.NewMemory(s.clock.now), now: s.clock.now, home: map[string]time.Time{}}
}

func (b *bucket) PutAt(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.home[name] = at
	return b.Put(ctx, name, data)
}

func (b *bucket) HomeTime(_ context.Context, info store.Info) (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.home[info.Name]; ok && b.trusted {
		return at, nil
	}
	return info.Time, nil
}

func (b *bucket) Place() string { return "s3://bucket/copy" }

func (b *bucket) SetClaim(_ context.Context, claim []byte) error {
	b.claim, b.claimed = claim, b.now()
	return nil
}

func (b *bucket) Claim(context.Context) ([]byte, time.Time, error) { return b.claim, b.claimed, nil }

func (b *bucket) TrustTimes() { b.trusted = true }

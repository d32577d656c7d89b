package restore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/backup/restore"
	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/save"
	"nightjar/repo/store"
	"nightjar/repo/tree"
	"nightjar/repo/walk"
)

// A maker stores trees made by hand.
type maker struct {
	t     *testing.T
	key   []byte
	saver *save.Saver
}

func (m *maker) dir(name string, nodes ...tree.Node) tree.Node {
	m.t.Helper()
	e := tree.NewEncoder(m.key, m.saver.Tree)
	for _, n := range nodes {
		must(m.t, e.Add(&n))
	}
	items, err := e.Finish()
	must(m.t, err)
	return tree.Node{Name: name, Mode: tree.Directory | 0o755, Contents: tree.Contents{Items: items}}
}

// raw is a directory of bytes that no encoder makes.
func (m *maker) raw(name string, encoded []byte) tree.Node {
	m.t.Helper()
	id, err := m.saver.Tree(encoded)
	must(m.t, err)
	return tree.Node{Name: name, Mode: tree.Directory | 0o755, Contents: tree.Contents{Items: []tree.Item{{ID: id, Length: int64(len(encoded))}}}}
}

// encoded returns the bytes of a directory.
func (m *maker) encoded(nodes ...tree.Node) (b []byte) {
	m.t.Helper()
	e := tree.NewEncoder(m.key, func(encoded []byte) (chunk.ID, error) {
		b = slices.Clone(encoded)
		return chunk.ID{}, nil
	})
	for _, n := range nodes {
		must(m.t, e.Add(&n))
	}
	_, err := e.Finish()
	must(m.t, err)
	return b
}

// handMade commits an archive as a host would that has been taken over.
func handMade(t *testing.T, r *repo.Repository, f func(*maker) tree.Node) *repo.Archive {
	t.Helper()
	a, err := save.Write(context.Background(), r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		saver, err := w.NewSaver()
		must(t, err)
		m := &maker{t, r.NameKey(), saver}
		root := m.dir("", f(m))
		item := root.Contents.Items[0]
		return &repo.Record{Host: "host", Job: "job", Root: repo.Root{ID: item.ID, Length: item.Length}}, nil
	})
	must(t, err)
	return a
}

func TestHostileArchive(t *testing.T) {
	r := backuptest.NewRepository(t, store.NewMemory(nil))
	outer := t.TempDir()
	file := func(name string) tree.Node { return tree.Node{Name: name, Mode: tree.Regular | 0o644, Links: 1} }
	link := func(name, target string) tree.Node {
		return tree.Node{Name: name, Mode: tree.Symlink | 0o777, Target: target, Links: 1}
	}
	// swap makes another name of one that the encoder takes.
	swap := func(b []byte, old, new string) []byte {
		if len(old) != len(new) || strings.Count(string(b), old) != 1 {
			t.Fatalf("cannot make %q of %q", new, old)
		}
		return []byte(strings.Replace(string(b), old, new, 1))
	}
	a := handMade(t, r, func(m *maker) tree.Node {
		return m.dir("root",
			m.dir("a good", file("file")),
			m.raw("dot", swap(m.encoded(file("@")), "@", ".")),
			m.raw("dots", swap(m.encoded(file("@@")), "@@", "..")),
			m.raw("dotsdir", swap(m.encoded(m.dir("@@", file("up"))), "@@", "..")),
			m.raw("duplicate", swap(m.encoded(link("@1", outer), m.dir("@2", file("in"))), "@2", "@1")),
			m.raw("nul", swap(m.encoded(file("@@@")), "@@@", "a\x00b")),
			m.raw("slash", swap(m.encoded(file("@@@@")), "@@@@", "../x")),
			m.raw("truncated", m.encoded(file("abc"))[:10]),
			m.dir("z good", link("absolute", outer), link("up", "../../.."), file("x")),
			// Names of one file that was never saved itself, of another type, and of itself.
			tree.Node{Name: "z1", Mode: tree.Regular | 0o600, Links: 9, Inode: 7, Device: 1},
			tree.Node{Name: "z2", Mode: tree.Symlink | 0o777, Target: outer, Links: 9, Inode: 7, Device: 1},
			tree.Node{Name: "z3", Mode: tree.Regular | 0o600, Links: 9, Inode: 7, Device: 1},
		)
	})
	rd, err := r.NewReader(context.Background())
	must(t, err)
	top := t.TempDir()
	target := top + "/target"
	log := new(backuptest.Problems)
	backuptest.NoLeak(t, func() {
		_, err = restore.Run(context.Background(), rd, a, restore.Options{Target: target, Problem: log.Add})
	})
	must(t, err)
	log.Only(t, "/dot", "/dots", "/dotsdir", "/duplicate", "/nul", "/slash", "/truncated")
	if got := backuptest.List(t, top); !slices.Equal(got, []string{
		"target/", "target/a good/", "target/a good/file", "target/dot/", "target/dots/", "target/dotsdir/", "target/duplicate/", "target/nul/", "target/slash/", "target/truncated/",
		"target/z good/", "target/z good/absolute", "target/z good/up", "target/z good/x", "target/z1", "target/z2", "target/z3",
	}) {
		t.Errorf("restored %q", got)
	}
	if got := backuptest.List(t, outer); len(got) > 0 {
		t.Errorf("outside there is %q", got)
	}
}

// Inode numbers are used again: what had one number when each was read is not one file.
func TestInodeReused(t *testing.T) {
	ctx := context.Background()
	r := backuptest.NewRepository(t, store.NewMemory(nil))
	a := handMade(t, r, func(m *maker) tree.Node {
		file := func(name, content string, sec int64) tree.Node {
			id, err := m.saver.Content([]byte(content))
			must(t, err)
			n := tree.Node{Name: name, Mode: tree.Regular | 0o644, Links: 2, Inode: 5, Device: 1, Size: uint64(len(content)), Mtime: tree.Time{Sec: sec}}
			n.Contents.Items = []tree.Item{{ID: id, Length: int64(len(content))}}
			return n
		}
		return m.dir("root", file("a", "first", 1), file("b", "other", 2), file("c", "other", 2))
	})
	rd, err := r.NewReader(ctx)
	must(t, err)
	target := t.TempDir()
	_, err = restore.Run(ctx, rd, a, restore.Options{Target: target, Ownership: 2, Problem: func(p string, err error) { t.Error(p, err) }})
	must(t, err)
	got := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		got[name] = backuptest.Content(t, target+"/"+name)
	}
	b, err := os.Lstat(target + "/b")
	must(t, err)
	c, err := os.Lstat(target + "/c")
	must(t, err)
	if !os.SameFile(b, c) {
		t.Error("two names of one file became two files")
	}
	if want := map[string]string{"a": "first", "b": "other", "c": "other"}; !maps.Equal(got, want) {
		t.Errorf("restored %q", got)
	}
}

// Folders that name each other more often than anybody can count end what goes by paths, with an error; so does each archive of which that is so alone.
func TestTreeBomb(t *testing.T) {
	ctx := context.Background()
	r := backuptest.NewRepository(t, store.NewMemory(nil))
	a := handMade(t, r, func(m *maker) tree.Node {
		d := m.dir("d", tree.Node{Name: "file", Mode: tree.Regular | 0o644, Links: 1})
		for range 20 {
			one, other := d, d
			one.Name, other.Name = "a", "b"
			d = m.dir("d", one, other)
		}
		return m.dir("root", d)
	})
	rd, err := r.NewReader(ctx)
	must(t, err)
	problem := func(at string, err error) { t.Error(at, err) }
	for name, walk := range map[string]func() error{
		"restore": func() error {
			_, err := restore.Run(ctx, rd, a, restore.Options{DryRun: true, Problem: problem})
			return err
		},
		"needs": func() error { return restore.Needs(ctx, rd, a, restore.Options{}, func(string, int64) {}) },
		"list":  func() error { return browse.List(ctx, rd, a, "", true, func(string, *tree.Node) error { return nil }) },
		"find": func() error {
			o := browse.FindOptions{Problem: func(_, at string, err error) { problem(at, err) }, Filter: backuptest.Filter(t, filter.Options{Include: []string{"nothing"}})}
			return browse.Find(ctx, rd, []repo.Archive{*a}, o, func(browse.Found) error { return nil })
		},
	} {
		if err := walk(); !errors.Is(err, crypto.ErrIntegrity) || !strings.Contains(err.Error(), a.ID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Lists that name each other, and in the end what is not there, end the search for an entry and a restore.
func TestListBomb(t *testing.T) {
	ctx := context.Background()
	r := backuptest.NewRepository(t, store.NewMemory(nil))
	a := handMade(t, r, func(m *maker) tree.Node {
		d := tree.Node{Name: "d", Mode: tree.Directory | 0o755, Contents: tree.Contents{Level: 1, Items: []tree.Item{{ID: chunk.ID{1}, Length: 1}}}}
		for range 3 {
			c := tree.Contents{Items: slices.Repeat(d.Contents.Items, 4096)}
			id, err := m.saver.Tree(tree.EncodeList(c.Items))
			must(t, err)
			d.Contents = tree.Contents{Level: d.Contents.Level + 1, Items: []tree.Item{{ID: id, Length: c.Size()}}}
		}
		return m.dir("root", d)
	})
	rd, err := r.NewReader(ctx)
	must(t, err)
	if _, _, err := browse.LookUp(ctx, rd, a, "/d/x"); !errors.Is(err, walk.ErrBomb) {
		t.Errorf("look up: %v", err)
	}
	problem := func(string, error) {}
	if _, err := restore.Run(ctx, rd, a, restore.Options{DryRun: true, Problem: problem}); !errors.Is(err, walk.ErrBomb) {
		t.Errorf("restore: %v", err)
	}
}

// However many large folders lie in one another, a search holds few of them, and finds all in order.
func TestFindHoldsFewFolders(t *testing.T) {
	const levels, beside = 600, 700
	r := backuptest.NewRepository(t, store.NewMemory(nil))
	a := handMade(t, r, func(m *maker) tree.Node {
		d := tree.Node{Name: "d", Mode: tree.Directory | 0o755}
		for range levels {
			nodes := []tree.Node{d}
			for i := range beside {
				name := fmt.Sprintf("a%04d", i)
				if i > 0 {
					name = fmt.Sprintf("z%04d", i)
				}
				nodes = append(nodes, tree.Node{Name: name, Mode: tree.Symlink | 0o777, Target: "a long target that is nowhere", Links: 1})
			}
			nodes[0], nodes[1] = nodes[1], nodes[0]
			d = m.dir("d", nodes...)
		}
		return m.dir("root", d)
	})
	rd, err := r.NewReader(t.Context())
	must(t, err)
	o := browse.FindOptions{Problem: func(_, at string, err error) { t.Error(at, err) }, Filter: backuptest.Filter(t, filter.Options{Include: []string{"*"}})}
	held := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	count, last, most := 0, "", uint64(0)
	must(t, browse.Find(t.Context(), rd, []repo.Archive{*a}, o, func(f browse.Found) error {
		count, last = count+1, f.Path
		if count%20_000 == 0 {
			most = max(most, held())
		}
		return nil
	}))
	if count != 1+levels*(1+beside) || last != "/d/z0699" || most > before+96<<20 {
		t.Errorf("found %d, the last %.100q, with %d bytes", count, last, most-before)
	}
}

// What is deeper than a path may be long is passed over by all that goes by paths, and told.
func TestTooDeepArchive(t *testing.T) {
	ctx := context.Background()
	r := backuptest.NewRepository(t, store.NewMemory(nil))
	name := strings.Repeat("d", 255)
	a := handMade(t, r, func(m *maker) tree.Node {
		d := m.dir(name)
		for range tree.MaxPath/256 + 1 {
			d = m.dir(name, d, tree.Node{Name: "file", Mode: tree.Regular | 0o644, Links: 1})
		}
		return m.dir("root", d)
	})
	rd, err := r.NewReader(ctx)
	must(t, err)
	target := t.TempDir()
	log := new(backuptest.Problems)
	st, err := restore.Run(ctx, rd, a, restore.Options{Target: target, Problem: log.Add})
	must(t, err)
	if st.Files != tree.MaxPath/256-1 || log.Count != 1 || !errors.Is(log.All[log.Paths()[0]], tree.ErrLong) {
		t.Errorf("%d files, %d problems", st.Files, log.Count)
	}
	found, told := 0, 0
	o := browse.FindOptions{Problem: func(_, _ string, err error) { told++ }, Filter: backuptest.Filter(t, filter.Options{Include: []string{"file"}})}
	must(t, browse.Find(ctx, rd, []repo.Archive{*a}, o, func(browse.Found) error { found++; return nil }))
	if found != tree.MaxPath/256-1 || told != 1 {
		t.Errorf("found %d, told of %d", found, told)
	}
	if err := browse.List(ctx, rd, a, "", true, func(string, *tree.Node) error { return nil }); !errors.Is(err, tree.ErrLong) {
		t.Errorf("list: %.100v", err)
	}
}

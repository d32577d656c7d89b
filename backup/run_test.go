package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/backup/content"
	"nightjar/backup/read"
	"nightjar/chunk"
	"nightjar/internal/child"
	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

type writer func(ctx context.Context, run *backup.Run) (repo.Labels, error)

// run saves what f writes, beside what was saved last.
func (s *site) run(f writer, change ...func(*backup.Options)) backup.Statistics {
	s.T.Helper()
	st, err := s.tryRun(s.T.Context(), f, change...)
	must(s.T, err)
	return st
}

func (s *site) tryRun(ctx context.Context, f writer, change ...func(*backup.Options)) (backup.Statistics, error) {
	s.Log = new(backuptest.Problems)
	o := backup.Options{Previous: s.Last, Problem: s.Log.Add}
	for _, c := range change {
		c(&o)
	}
	a, st, err := backup.Save(ctx, s.Repo, &repo.Record{Host: "host", Job: "run", Labels: repo.Labels{"kind": "test", "at": "?"}}, o, f)
	if err == nil {
		s.Last = a
	}
	return st, err
}

// files writes a content for each path.
func files(all map[string]string) writer {
	return func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		for _, path := range slices.Sorted(maps.Keys(all)) {
			if err := put(run, path, all[path]); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
}

func put(run *backup.Run, path, data string) error {
	c, err := run.Create(path, content.Hint{})
	if err != nil {
		return err
	}
	defer c.Abort()
	if _, err := io.WriteString(c, data); err != nil {
		return err
	}
	return c.Close()
}

// wants fails unless the last archive has these files and no others.
func (s *site) wants(want map[string]string) {
	s.T.Helper()
	got := map[string]string{}
	rd := s.Reader()
	must(s.T, browse.List(s.T.Context(), rd, s.Last, "/", true, func(p string, n *tree.Node) error {
		if n.IsDir() {
			return nil
		}
		r := read.Open(s.T.Context(), rd, n.Contents, nil)
		defer r.Close()
		b, err := io.ReadAll(r)
		got[strings.TrimPrefix(p, "/")] = string(b)
		return err
	}))
	if maps.Equal(got, want) {
		return
	}
	for name := range got {
		if w, ok := want[name]; !ok || w != got[name] {
			s.T.Errorf("%q has %d bytes, want %d (there: %v)", name, len(got[name]), len(w), ok)
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			s.T.Errorf("%q is missing", name)
		}
	}
}

func (s *site) node(path string) *tree.Node {
	s.T.Helper()
	n, _, err := browse.LookUp(s.T.Context(), s.Reader(), s.Last, path)
	must(s.T, err)
	return n
}

// What is written comes back, by reading and by a restore: bytes, blocks, holes, folders, modes, times. Labels are those of the template and of the end; notes are in the archive
// and in no restored file.
func TestRun(t *testing.T) {
	s := newSite(t)
	long, block := string(backuptest.Random(5<<20)), string(backuptest.Random(512<<10))
	mtime := time.Date(2025, 1, 2, 3, 4, 5, 6, time.UTC)
	large := strings.Repeat("x", content.MaxNote)
	var counted content.Statistics
	st := s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		c, err := run.Create("b/mixed", content.Hint{Mode: 0o640, Mtime: mtime})
		must(t, err)
		other, err := run.Create("b/other/deep/file", content.Hint{})
		must(t, err)
		_, err = c.ReadFrom(iotest.HalfReader(strings.NewReader(long)))
		must(t, err)
		_, err = io.WriteString(other, "other")
		must(t, err)
		must(t, c.Block([]byte(block)))
		must(t, c.Hole(1<<20))
		must(t, c.Hole(0))
		must(t, c.Block(nil))
		_, err = io.WriteString(c, "end")
		must(t, err)
		must(t, c.Note("rows", "7"))
		must(t, c.Note("checksum", "abc"))
		must(t, c.Note("rows", "8"))
		must(t, other.Note("large", large))
		if n := c.Statistics().Bytes; n != uint64(len(long)+len(block)+1<<20+3) {
			t.Errorf("%d bytes so far", n)
		}
		must(t, other.Close())
		must(t, put(run, "a", ""))
		must(t, c.Close())
		counted = c.Statistics()
		return repo.Labels{"at": "binlog.7:120", "rows": "8"}, nil
	})
	want := map[string]string{"a": "", "b/mixed": long + block + strings.Repeat("\x00", 1<<20) + "end", "b/other/deep/file": "other"}
	s.wants(want)
	if l := s.Last.Labels; !maps.Equal(l, repo.Labels{"kind": "test", "at": "binlog.7:120", "rows": "8"}) {
		t.Errorf("labels are %v", l)
	}
	if st.Files != 3 || st.Dirs != 4 || st.New != 3 || st.NewDirs != 4 || st.Bytes != uint64(len(want["b/mixed"])+5) || st.BytesRead != st.Bytes-1<<20 || !s.Last.Complete {
		t.Errorf("%+v", st)
	}
	if counted.Bytes != st.Bytes-5 || counted.BytesNew != counted.Bytes-1<<20 || counted.ChunksNew < 3 || counted.ChunksKnown+counted.ChunksDelta > 0 {
		t.Errorf("%+v", counted)
	}
	n := s.node("b/mixed")
	if n.Mode != tree.Regular|0o640 || n.Mtime.Time() != mtime || s.node("a").Mode != tree.Regular|0o600 {
		t.Errorf("mode %o, mtime %v", n.Mode, n.Mtime.Time())
	}
	notes := map[string]string{}
	for _, x := range n.Xattrs {
		notes[x.Name] = string(x.Value)
	}
	if !maps.Equal(notes, map[string]string{"nightjar.checksum": "abc", "nightjar.rows": "8"}) {
		t.Errorf("notes are %q", notes)
	}
	if x := s.node("b/other/deep/file").XattrContents; x == nil || x.Size() < content.MaxNote {
		t.Errorf("a large note is %v", x)
	}
	target := s.RestoreAll()
	s.Log.None(t)
	for name, data := range want {
		if got := backuptest.Content(t, filepath.Join(target, name)); got != data {
			t.Errorf("%s is restored as %d bytes, not %d", name, len(got), len(data))
		}
		if n, err := unix.Listxattr(filepath.Join(target, name), make([]byte, 1000)); n > 0 || err != nil && !errors.Is(err, unix.ENOTSUP) {
			t.Errorf("%s has %d bytes of attributes, %v", name, n, err)
		}
	}
	if info, err := os.Stat(filepath.Join(target, "b/mixed")); err != nil || info.Mode() != 0o640 || !info.ModTime().Equal(mtime) {
		t.Errorf("restored as %v, %v", info, err)
	}
}

// Where content is cut does not depend on the sizes of writes, on how many are open, or on memory that is short: it is cut as a file is.
func TestRunCutsAsFiles(t *testing.T) {
	s := newSite(t)
	open := backuptest.Scaled(64, 12)
	data := backuptest.Random(3 << 20)
	copy(data[1<<19:], bytes.Repeat([]byte("no boundary "), 150<<10))
	cut := chunk.NewCutter(s.Repo.Rule())
	cut.Reset(bytes.NewReader(data))
	var want []int64
	for {
		c, err := cut.Next(nil)
		if err == io.EOF {
			break
		}
		must(t, err)
		want = append(want, int64(len(c)))
	}
	r := rand.New(rand.NewPCG(1, 1))
	s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		all, at := make([]*content.Content, open), make([]int, open)
		for i := range all {
			var err error
			all[i], err = run.Create(fmt.Sprintf("%d/file", i), content.Hint{})
			must(t, err)
			defer all[i].Abort()
		}
		for left := open; left > 0; {
			i := r.IntN(open)
			if at[i] == len(data) {
				continue
			}
			n := min(1+r.IntN(1<<(11+i%11)), len(data)-at[i])
			_, err := all[i].Write(data[at[i] : at[i]+n])
			must(t, err)
			if at[i] += n; at[i] == len(data) {
				must(t, all[i].Close())
				left--
			}
		}
		return nil, nil
	})
	for i := range open {
		n := s.node(fmt.Sprintf("%d/file", i))
		var got []int64
		for _, item := range n.Contents.Items {
			got = append(got, item.Length)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("content %d is cut into %v, not %v", i, got, want)
		}
	}
	var b bytes.Buffer
	must(t, browse.Cat(t.Context(), s.Reader(), s.Last, "7/file", &b))
	if !bytes.Equal(b.Bytes(), data) {
		t.Error("other bytes came back")
	}
}

// Many write at the same time; nothing of one is in another.
func TestRunConcurrent(t *testing.T) {
	s := newSite(t)
	const open = 64
	want := map[string]string{}
	for i := range open {
		want[fmt.Sprintf("f%d/t%d", i%7, i)] = string(backuptest.Random(backuptest.Scaled(600_000, 300_000) * (i % 3)))
	}
	s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		var g sync.WaitGroup
		for path, data := range want {
			g.Go(func() {
				c, err := run.Create(path, content.Hint{})
				if err != nil {
					t.Error(err)
					return
				}
				for len(data) > 0 {
					n := min(len(data), 100_000)
					if _, err := io.WriteString(c, data[:n]); err != nil {
						t.Error(err)
					}
					_ = c.Statistics()
					data = data[n:]
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		g.Wait()
		return nil, nil
	}, func(o *backup.Options) { o.Workers = 3 })
	s.wants(want)
}

// The second night of many tables that have not changed stores next to nothing; one that has, what changed.
func TestRunNights(t *testing.T) {
	s := newSite(t)
	want := map[string]string{}
	for i := range backuptest.Scaled(10_000, 1000) {
		want[fmt.Sprintf("shop/table%05d.sql", i)] = fmt.Sprintf("INSERT INTO t VALUES (%d)", i)
	}
	var text bytes.Buffer
	for i := range 60_000 {
		fmt.Fprintf(&text, "INSERT INTO orders VALUES (%d, %d, 'some text');\n", i, rand.Uint64())
	}
	data := text.Bytes()
	want["shop/large.sql"] = string(data)
	first := s.run(files(want))
	st := s.run(files(want))
	if st.Unchanged != first.Files || st.New+st.Changed+st.Deleted+st.NewDirs != 0 || st.ChunksNew != 0 || st.MetadataNew != 0 || st.BytesStored > 4<<10 {
		t.Errorf("nothing has changed: %+v", st)
	}
	t.Logf("an unchanged night of %d files stores %d bytes", st.Files, st.BytesStored)
	copy(data[1<<20:], "changed")
	want["shop/large.sql"] = string(data)
	want["shop/new.sql"] = "new"
	delete(want, "shop/table00007.sql")
	st = s.run(files(want))
	if st.Changed != 1 || st.New != 1 || st.Deleted != 1 || st.ChunksDelta != 1 || st.BytesLiteral > 4<<10 || st.MetadataNew > 64<<10 || st.BytesStored > 64<<10 {
		t.Errorf("little has changed: %+v", st)
	}
	s.wants(want)
	// Under another name, if the caller says so.
	copy(data[2<<20:], "changed")
	var counted content.Statistics
	st = s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		c, err := run.Create("other/name", content.Hint{Base: "shop/large.sql"})
		must(t, err)
		_, err = c.Write(data)
		must(t, err)
		must(t, c.Close())
		counted = c.Statistics()
		return nil, nil
	})
	if st.ChunksDelta != 1 || st.BytesLiteral > 4<<10 || counted.ChunksDelta != 1 || counted.BytesLiteral != st.BytesLiteral || counted.BytesDelta != st.BytesNew || counted.ChunksKnown == 0 {
		t.Errorf("under another name: %+v, %+v", st, counted)
	}
	s.wants(map[string]string{"other/name": string(data)})
}

// A content takes the place of its namesake when it is closed, and not before.
func TestRunNames(t *testing.T) {
	s := newSite(t)
	keep := string(backuptest.Random(700_000))
	s.run(files(map[string]string{"kept": keep, "d/gone": "gone"}))
	mtime := s.node("kept").Mtime
	s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		must(t, put(run, "before", "before"))
		must(t, run.Reset())
		must(t, put(run, "retried", "first"))
		c, err := run.Create("retried", content.Hint{})
		must(t, err)
		_, err = io.WriteString(c, "broken off")
		must(t, err)
		c.Abort()
		c.Abort()
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("written after Abort")
		}
		c, err = run.Create("again", content.Hint{New: true})
		must(t, err)
		c.Abort()
		must(t, put(run, "again", "again"))
		must(t, put(run, "twice", "first"))
		must(t, put(run, "twice", "second"))
		if _, err := run.Create("twice", content.Hint{New: true}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a new content in the place of another: %v", err)
		}
		must(t, put(run, "d/X", "old"))
		must(t, put(run, "d/X.new", "new"))
		must(t, run.Rename("d/X.new", "d/X"))
		must(t, put(run, "e/f/g", "moved"))
		must(t, run.Rename("e/f/g", "e"+"2/f")) // e is gone then
		must(t, put(run, "e", "a file where a folder was"))
		must(t, put(run, "removed/x", ""))
		must(t, run.Remove("removed/x"))
		for path, want := range map[string]bool{"kept": true, "d/gone": true, "none": false, "d": false, "": false} {
			if ok, err := run.Keep(path); ok != want || (err != nil) != (path == "") {
				t.Errorf("keep %q: %v, %v", path, ok, err)
			}
		}
		must(t, run.Rename("d/gone", "stays"))
		return nil, nil
	})
	s.wants(map[string]string{"retried": "first", "again": "again", "twice": "second", "d/X": "new", "e2/f": "moved", "e": "a file where a folder was", "kept": keep, "stays": "gone"})
	if s.node("kept").Mtime != mtime {
		t.Error("a file that is kept has another time")
	}
}

// Paths come from servers, and anybody may have chosen them.
func TestRunRefuses(t *testing.T) {
	s := newSite(t)
	s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		for _, path := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a/./b", "a\x00", "a/\x00/b", strings.Repeat("x", 4097), strings.Repeat("a/", 100_000) + "a"} {
			if c, err := run.Create(path, content.Hint{}); err == nil {
				c.Abort()
				t.Errorf("%.20q is created", path)
			}
			if err := run.Rename("x", path); err == nil {
				t.Errorf("renamed to %.20q", path)
			}
			if err := run.Remove(path); err == nil {
				t.Errorf("removed %.20q", path)
			}
		}
		deep := strings.Repeat("a/", 2047) + "a"
		must(t, put(run, deep, "deep"))
		must(t, run.Remove(deep))
		must(t, put(run, "file", ""))
		must(t, put(run, "folder/file", ""))
		open, err := run.Create("open/file", content.Hint{})
		must(t, err)
		for _, tt := range []struct {
			what string
			err  error
			want error
		}{
			{"file below a file", second(run.Create("file/x", content.Hint{})), fs.ErrExist},
			{"file in a folder's place", second(run.Create("folder", content.Hint{})), fs.ErrExist},
			{"below one that is open", second(run.Create("open/file/x", content.Hint{})), fs.ErrExist},
			{"above one that is open", second(run.Create("open", content.Hint{})), fs.ErrExist},
			{"one that is open", second(run.Create("open/file", content.Hint{})), backup.ErrBusy},
			{"rename one that is open", run.Rename("open/file", "x"), backup.ErrBusy},
			{"rename to one that is open", run.Rename("file", "open/file"), backup.ErrBusy},
			{"rename below itself", run.Rename("file", "file/x"), fs.ErrExist},
			{"rename a folder", run.Rename("folder", "x"), fs.ErrNotExist},
			{"rename nothing", run.Rename("nothing", "x"), fs.ErrNotExist},
			{"remove one that is open", run.Remove("open/file"), backup.ErrBusy},
			{"remove nothing", run.Remove("nothing"), fs.ErrNotExist},
			{"remove below a file", run.Remove("file/x"), fs.ErrNotExist},
			{"remove a folder", run.Remove("folder"), fs.ErrNotExist},
			{"begin again", run.Reset(), backup.ErrBusy},
		} {
			if !errors.Is(tt.err, tt.want) {
				t.Errorf("%s: %v", tt.what, tt.err)
			}
		}
		for name, value := range map[string]string{"": "", "acl": "", "a b": "", "A": "", "a\x00": "", strings.Repeat("x", 65): "", "x": strings.Repeat("x", content.MaxNote+1)} {
			if open.Note(name, value) == nil {
				t.Errorf("note %.10q is taken", name)
			}
		}
		for i := range 65 {
			if err := open.Note(fmt.Sprint(i), ""); (err != nil) != (i == 64) {
				t.Errorf("note %d: %v", i, err)
			}
		}
		must(t, open.Close()) // a note that was refused is no harm
		for what, wrong := range map[string]func(*content.Content) error{
			"block": func(c *content.Content) error { return c.Block(make([]byte, chunk.MaxSize+1)) },
			"hole":  func(c *content.Content) error { return c.Hole(-1) },
			"same":  func(c *content.Content) error { _, err := c.Same(-1); return err },
			"stream": func(c *content.Content) error {
				_, err := c.ReadFrom(iotest.ErrReader(io.ErrUnexpectedEOF))
				return err
			},
		} {
			c, err := run.Create(what, content.Hint{})
			must(t, err)
			if err := wrong(c); err == nil || c.Close() == nil {
				t.Errorf("a wrong %s: %v, and then it was closed", what, err)
			}
			c.Abort()
		}
		if _, err := run.Create("mode", content.Hint{Mode: tree.Directory | 0o755}); err == nil {
			t.Error("a mode with a type is taken")
		}
		var all []*content.Content
		for i := range backup.MaxOpen {
			c, err := run.Create(fmt.Sprintf("many/%d/x", i), content.Hint{})
			must(t, err)
			all = append(all, c)
		}
		if _, err := run.Create("many/more/x", content.Hint{}); !errors.Is(err, backup.ErrTooMany) {
			t.Errorf("one more: %v", err)
		}
		for _, c := range all {
			c.Abort()
		}
		return nil, nil
	})
	if got := s.saved("/"); !slices.Equal(got, []string{"file", "folder/", "folder/file", "open/", "open/file"}) {
		t.Errorf("saved %q", got)
	}
}

// A predecessor that cannot be read costs space: it is told once, and the archive is as complete as one of files would be.
func TestRunUnreadPredecessor(t *testing.T) {
	s := newSite(t)
	want := map[string]string{"a": "a", "b/c": "c"}
	s.run(files(want))
	unread := *s.Last
	unread.Root.ID[0] ^= 1
	s.run(files(want), func(o *backup.Options) { o.Previous = &unread })
	s.Log.Only(t, "/")
	if s.Log.Count != 1 || s.Last.Complete {
		t.Errorf("told %d times, complete: %v", s.Log.Count, s.Last.Complete)
	}
	s.wants(want)
}

func second(_ *content.Content, err error) error { return err }

// Changed blocks of a volume: the others are the predecessor's, unread.
func TestRunSame(t *testing.T) {
	s := newSite(t)
	const block, blocks = 512 << 10, 12
	volume := backuptest.Random(block*blocks + 1000)
	clear(volume[3*block : 6*block])
	write := func(c *content.Content, from, to int) {
		for at := from; at < to; at += block {
			must(t, c.Block(volume[at:min(at+block, to)]))
		}
	}
	s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		c, err := run.Create("vol", content.Hint{})
		must(t, err)
		write(c, 0, 3*block)
		must(t, c.Hole(3*block))
		write(c, 6*block, len(volume))
		return nil, c.Close()
	})
	copy(volume[block:], "changed")
	copy(volume[4*block:], "no hole any more")
	var counted content.Statistics
	st := s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		c, err := run.Create("vol", content.Hint{})
		must(t, err)
		same := func(n, want int64) {
			t.Helper()
			got, err := c.Same(n)
			if got != want || errors.Is(err, content.ErrNotSame) != (got < n) || err != nil && got == n {
				t.Errorf("the same %d bytes: %d, %v", n, got, err)
			}
		}
		same(0, 0)
		same(block-1, 0) // no whole chunk
		same(block, block)
		write(c, block, 2*block)
		same(block+100, block+100) // into the hole
		same(block-100, block-100)
		write(c, 4*block, 5*block)
		same(2*block+7, 2*block) // ends within a chunk
		same(block, block)
		_, err = c.Write(volume[8*block : 8*block+9])
		must(t, err)
		same(block, 0) // begins within a chunk
		_, err = c.Write(volume[8*block+9 : 9*block])
		must(t, err)
		same(1<<40, int64(len(volume)-9*block))
		same(1, 0)
		must(t, c.Close())
		counted = c.Statistics()
		return nil, nil
	})
	if st.ChunksNew != 2 || st.Bytes != uint64(len(volume)) || counted.Bytes != st.Bytes || counted.BytesSame != st.Bytes-3*block {
		t.Errorf("%+v, %+v", st, counted)
	}
	s.wants(map[string]string{"vol": string(volume)})
}

// A run that fails commits nothing, leaves nothing open, and the next one uses what it has sent.
func TestRunFails(t *testing.T) {
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s := newSiteOn(t, f)
	want := map[string]string{}
	for i := range 8 {
		want[fmt.Sprint("table", i)] = string(backuptest.Random(700_000))
	}
	fails := func(what string, reason error, w writer, change ...func(*backup.Options)) {
		t.Helper()
		backuptest.NoLeak(t, func() {
			if _, err := s.tryRun(t.Context(), w, change...); err == nil || reason != nil && !errors.Is(err, reason) {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	broken := errors.New("the server is gone")
	fails("an error", broken, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
		if _, err := files(want)(ctx, run); err != nil {
			return nil, err
		}
		_, err := run.Create("open", content.Hint{})
		return nil, errors.Join(err, broken)
	})
	fails("nothing", backup.ErrEmpty, files(nil))
	fails("open", nil, func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		_, err := run.Create("a/open", content.Hint{})
		return nil, err
	})
	fails("labels", nil, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
		return repo.Labels{"x": repo.Text(strings.Repeat("x", 32<<20))}, put(run, "x", "x")
	})
	fails("a program", child.ErrFailed, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
		p, err := child.Start(ctx, child.Command{Args: []string{"sh", "-c", "echo half of it; exit 3"}, Env: os.Environ()})
		if err != nil {
			return nil, err
		}
		defer p.Stop()
		c, err := run.Create("dump", content.Hint{})
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(c, p); err == nil {
			t.Error("a program that failed was read to its end")
		}
		return nil, c.Close() // a caller that overlooks it
	})
	var leaked *backup.Run
	for _, n := range []int64{1, 2} {
		f.Before = []storetest.Hook{storetest.From(storetest.Put, n, syscall.ENOSPC)}
		fails("a full disk", syscall.ENOSPC, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
			leaked = run
			_, err := files(want)(ctx, run)
			if err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("the caller is told %v", err)
			}
			return nil, nil // a caller that overlooks it
		})
	}
	f.Before = nil
	if _, err := leaked.Create("late", content.Hint{}); err == nil {
		t.Error("created after the end")
	}
	ctx, cancel := context.WithCancel(t.Context())
	backuptest.NoLeak(t, func() {
		_, err := s.tryRun(ctx, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
			cancel()
			<-ctx.Done()
			return nil, put(run, "x", "x")
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
	all, err := s.Repo.Archives(t.Context(), func(name string, err error) { t.Error(name, err) })
	if err != nil || len(all) != 0 {
		t.Errorf("committed %v, %v", all, err)
	}
	if st := s.run(files(want)); st.ChunksKnown < 6 {
		t.Errorf("little was known of what had been sent: %+v", st)
	}
	s.wants(want)
	s.run(files(nil), func(o *backup.Options) { o.AllowEmpty = true })
	s.wants(map[string]string{})
}

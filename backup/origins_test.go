package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/repo"
)

// text is n bytes of lines like those of a dump: they compress, and so are signed at first sight.
func text(n int) []byte {
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "INSERT INTO orders VALUES (%d, '%x', 'paid');\n", b.Len(), backuptest.Random(16))
	}
	return b.Bytes()[:n]
}

// retouch changes a few places of content, as an editor, a database or another night's dump would.
func retouch(data []byte) []byte {
	data = bytes.Clone(data)
	copy(data[len(data)/3:], "some other words")
	data = slices.Insert(data, len(data)/2, text(100)...)
	return append(data, text(200)...)
}

// TestOrigins moves, renames and replaces files that change as well. What is stored is about what changed.
func TestOrigins(t *testing.T) {
	const size = 2 << 20
	for name, tt := range map[string]struct {
		first func(s *site)
		then  func(s *site)
	}{
		"rotated": {
			func(s *site) { s.put("log", text(size)); s.put("log.1", text(size)); s.put("log.10", text(size)) },
			func(s *site) {
				s.move("log.10", "log.11")
				s.move("log.1", "log.2")
				s.move("log", "log.1")
				s.put("log", text(2000))
				s.change("log.1", func(b []byte) []byte { return append(b, text(3000)...) })
			},
		},
		"rotated by a copy": {
			func(s *site) { s.put("log", text(size)); s.put("log.1", text(size)) },
			func(s *site) {
				s.move("log.1", "log.2")
				s.put("log.1", append(s.get("log"), text(3000)...))
				s.overwrite("log", text(2000))
			},
		},
		"rotated, with a date": {
			func(s *site) { s.put("log", text(size)) },
			func(s *site) {
				s.move("log", "log-20261124")
				s.put("log", text(2000))
				s.change("log-20261124", retouch)
			},
		},
		"a dump a day": {
			func(s *site) {
				for _, db := range []string{"blog", "crm", "shop"} {
					s.put("2026-11-23-"+db+".sql", text(size))
					s.put("2026-11-24-"+db+".sql", text(size))
				}
			},
			func(s *site) {
				for _, db := range []string{"blog", "crm", "shop"} {
					s.put("2026-11-25-"+db+".sql", retouch(s.get("2026-11-24-"+db+".sql")))
					must(s.T, os.Remove(s.Path("2026-11-23-"+db+".sql")))
				}
			},
		},
		"a dump in place of another": {
			func(s *site) { s.put("shop-2026-11-24.sql", text(size)) },
			func(s *site) {
				s.put("shop-2026-11-25.sql", retouch(s.get("shop-2026-11-24.sql")))
				must(s.T, os.Remove(s.Path("shop-2026-11-24.sql")))
			},
		},
		"a folder a day": {
			func(s *site) {
				s.put("dumps/2026-11-24/shop.sql", text(size))
				s.put("dumps/2026-11-24/0001", text(size))
			},
			func(s *site) {
				s.put("dumps/2026-11-25/shop.sql", retouch(s.get("dumps/2026-11-24/shop.sql")))
				s.put("dumps/2026-11-25/0001", retouch(s.get("dumps/2026-11-24/0001")))
			},
		},
		"written anew under its name": {
			func(s *site) { s.put("document", text(size)) },
			func(s *site) {
				s.put("document~", retouch(s.get("document")))
				s.move("document~", "document")
			},
		},
		"another name among many": {
			func(s *site) {
				s.put("a", text(size))
				for i := range 300 {
					s.put(fmt.Sprint("file ", i), []byte{byte(i)})
				}
			},
			func(s *site) { s.move("a", "z"); s.change("z", retouch) },
		},
		"moved further on":  {func(s *site) { s.put("a/x", text(size)) }, func(s *site) { s.move("a/x", "b/y"); s.change("b/y", retouch) }},
		"moved further up":  {func(s *site) { s.put("b/x", text(size)) }, func(s *site) { s.move("b/x", "a/y"); s.change("a/y", retouch) }},
		"a folder moved":    {func(s *site) { s.put("b/old/x", text(size)); s.small("b/old/") }, moveFolder("b/old", "a/new")},
		"a folder moved on": {func(s *site) { s.put("a/old/x", text(size)); s.small("a/old/") }, moveFolder("a/old", "b/new/deep")},
		"swapped": {
			func(s *site) { s.put("a", text(size)); s.put("b", text(size)) },
			func(s *site) {
				s.move("a", "c")
				s.move("b", "a")
				s.move("c", "b")
				s.change("a", retouch)
				s.change("b", retouch)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			tt.first(s)
			s.Save()
			tt.then(s)
			is := backuptest.FactsOf(t, s.Src)
			st := s.Save()
			s.Log.None(t)
			if st.BytesStored > 30_000 {
				t.Errorf("%d bytes stored: %+v", st.BytesStored, st)
			}
			target, _ := s.Restore()
			backuptest.Same(t, backuptest.FactsOf(t, target), is)
		})
	}
}

func moveFolder(from, to string) func(s *site) {
	return func(s *site) {
		s.move(from, to)
		s.change(to+"/x", retouch)
		for i := range 20 { // as an editor does: in the folder, under another inode
			name := fmt.Sprintf("%s/small %d", to, i)
			s.put(name+"~", retouch(s.get(name)))
			s.move(name+"~", name)
		}
	}
}

func (s *site) small(dir string) {
	for i := range 20 {
		s.put(fmt.Sprintf("%ssmall %d", dir, i), text(20_000))
	}
}

func (s *site) put(name string, data []byte) { s.Write(name, string(data)) }

func (s *site) get(name string) []byte { return []byte(backuptest.Content(s.T, s.Path(name))) }

func (s *site) move(from, to string) {
	s.T.Helper()
	must(s.T, os.MkdirAll(filepath.Dir(s.Path(to)), 0o755))
	must(s.T, os.Rename(s.Path(from), s.Path(to)))
}

// overwrite gives a file other content under the same inode.
func (s *site) overwrite(name string, data []byte) {
	s.T.Helper()
	f, err := os.OpenFile(s.Path(name), os.O_WRONLY|os.O_TRUNC, 0)
	must(s.T, err)
	_, err = f.Write(data)
	must(s.T, err)
	must(s.T, f.Close())
}

func (s *site) change(name string, f func([]byte) []byte) { s.overwrite(name, f(s.get(name))) }

// TestKindsOfChange holds what each kind of change in a file, and in a stream, costs: bytes stored, with all that every night stores.
func TestKindsOfChange(t *testing.T) {
	const size = 3 << 20
	source := func() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) } // the kinds are tried side by side
	for name, tt := range map[string]struct {
		edit func([]byte) []byte
		most uint64
	}{
		"nothing":             {func(b []byte) []byte { return b }, 6_000},
		"a line appended":     {func(b []byte) []byte { return append(b, text(100)...) }, 8_000},
		"much appended":       {func(b []byte) []byte { return append(b, text(200_000)...) }, 110_000},
		"a line in front":     {func(b []byte) []byte { return append(text(100), b...) }, 8_000},
		"the front taken off": {func(b []byte) []byte { return b[100_000:] }, 8_000},
		"the end taken off":   {func(b []byte) []byte { return b[:len(b)-100_000] }, 8_000},
		"100 pages written": {func(b []byte) []byte {
			r := source()
			for range 100 {
				copy(b[r.IntN(size/4096)*4096+r.IntN(3000):], text(200))
			}
			return b
		}, 90_000},
		"100 lines put in": {func(b []byte) []byte {
			r := source()
			for range 100 {
				b = slices.Insert(b, r.IntN(len(b)), text(80)...)
			}
			return b
		}, 90_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, in := newSite(t), newSite(t)
			data := text(size)
			s.put("file", data)
			s.Save()
			stream := func(data []byte) backup.Statistics {
				a, st, err := backup.Stream(context.Background(), in.Repo, &repo.Record{Host: "host", Job: "job"}, backup.Source{Name: "dump", Reader: bytes.NewReader(data)}, backup.Options{Previous: in.Last})
				must(t, err)
				in.Last = a
				return st
			}
			stream(data)
			data = tt.edit(data)
			s.overwrite("file", data)
			for where, st := range map[string]backup.Statistics{"file": s.Save(), "stream": stream(data)} {
				if st.BytesStored > tt.most {
					t.Errorf("%s: %d bytes stored: %+v", where, st.BytesStored, st)
				}
			}
			var b bytes.Buffer
			must(t, browse.Cat(context.Background(), in.Reader(), in.Last, "dump", &b))
			if !bytes.Equal(b.Bytes(), data) {
				t.Error("other content came back")
			}
			target, _ := s.Restore()
			backuptest.Same(t, backuptest.FactsOf(t, target), backuptest.FactsOf(t, s.Src))
		})
	}
}

// TestImage changes a sparse disk image night after night: pages written in place, data where holes were, holes where data was.
func TestImage(t *testing.T) {
	s := newSite(t)
	f, err := os.Create(s.Path("image"))
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(1<<30))
	write := func(at int64, data []byte) {
		_, err := f.WriteAt(data, at)
		must(t, err)
	}
	for i := range int64(6) {
		write(i*150<<20, text(1<<20))
	}
	s.Save()
	r := rand.New(rand.NewPCG(2, 2))
	for night := range 8 {
		fresh := uint64(0)
		for range 10 {
			write(r.Int64N(6)*150<<20+r.Int64N(250)*4096, text(500))
			fresh += 500
		}
		if night%3 == 2 {
			write(r.Int64N(200)*5<<20, text(40_000))
			fresh += 40_000
		}
		st := s.Save()
		s.Log.None(t)
		if st.BytesStored > 15_000+fresh {
			t.Errorf("night %d: %d bytes stored for %d: %+v", night, st.BytesStored, fresh, st)
		}
	}
	target, _ := s.Restore()
	backuptest.Same(t, backuptest.FactsOf(t, target), backuptest.FactsOf(t, s.Src))
}

// TestNightsOfMoves renames, moves, copies and changes files at random for some nights. Each archive restores to its own state.
func TestNightsOfMoves(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	name := func() string { return fmt.Sprintf("%c/%c%d", 'a'+r.IntN(3), 'x'+r.IntN(2), r.IntN(4)) }
	for range 12 {
		s.put(name(), text(1+r.IntN(200_000)))
	}
	var nights []night
	deltas := uint64(0)
	for range 12 {
		is := backuptest.FactsOf(t, s.Src)
		st := s.Save()
		s.Log.None(t)
		deltas += st.ChunksDelta
		nights = append(nights, night{s.Last, is})
		for range 6 {
			files := slices.DeleteFunc(backuptest.List(t, s.Src), func(name string) bool { return strings.HasSuffix(name, "/") })
			from, to := files[r.IntN(len(files))], name()
			switch r.IntN(6) {
			case 0:
				s.move(from, to)
			case 1:
				s.put(to, retouch(s.get(from)))
			case 2:
				s.move(from, from+"~")
				s.put(from, retouch(s.get(from+"~")))
				must(t, os.Remove(s.Path(from+"~")))
			case 3:
				if dir := filepath.Dir(from); len(dir) == 1 {
					s.move(dir, fmt.Sprintf("%c/%d", 'a'+(dir[0]-'a'+1)%3, r.Uint32()))
				}
			default:
				s.change(from, retouch)
			}
		}
	}
	if deltas < 5 {
		t.Errorf("only %d chunks were stored as what changed", deltas)
	}
	s.restoreAll(nights)
}

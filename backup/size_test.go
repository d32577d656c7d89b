package backup_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// Files that the kernel makes up hold another number of bytes than it says: with a size of 0 that is as it must be, and all is saved; with another it is told of.
func TestSizeUnknown(t *testing.T) {
	backuptest.NeedRoot(t)
	s := newSite(t)
	const version, short = "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"
	s.Write("empty", "")
	s.Write("version", "")
	backuptest.Mount(t, version, s.Path("version"))
	for range 2 {
		if st := s.Save(); st.Unsettled != 0 || !s.Last.Complete || st.BytesRead == 0 {
			t.Errorf("%+v, complete %v", st, s.Last.Complete)
		}
		s.Log.None(t)
	}
	want := backuptest.Content(t, version)
	target, _ := s.Restore()
	if got := backuptest.Content(t, target+"/version"); got != want || got == "" {
		t.Errorf("restored %q, not %q", got, want)
	}
	if _, err := os.Stat(short); err != nil {
		t.Log("NOT TESTED, a file with less in it than it says:", err)
		return
	}
	s.Write("short", "")
	backuptest.Mount(t, short, s.Path("short"))
	s.Save()
	s.Log.Only(t, s.Path("short"))
	want = backuptest.Content(t, short)
	target, _ = s.Restore()
	if got := backuptest.Content(t, target+"/short"); got != want || got == "" {
		t.Errorf("restored %q, not %q", got, want)
	}
}

// Of a file with holes that is cut off while it is read, what is saved stands where it stood.
func TestSparseShrinks(t *testing.T) {
	const part = 24 << 20
	data := slices.Concat(backuptest.Random(part), make([]byte, part), backuptest.Random(part), make([]byte, part), []byte("end"))
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	// With one connection, reading waits at the second pack until the first is stored: so the file changes before it is read to its end.
	s := newSiteOn(t, f, func(o *repo.Options) { o.Connections = 1 })
	w, err := os.Create(s.Path("file"))
	must(t, err)
	defer w.Close()
	must(t, w.Truncate(int64(len(data))))
	for _, at := range []int{0, 2 * part, 4 * part} {
		_, err := w.WriteAt(data[at:min(at+part, len(data))], int64(at))
		must(t, err)
	}
	must(t, w.Sync())
	var st unix.Stat_t
	if must(t, unix.Stat(s.Path("file"), &st)); st.Blocks*512 > 3*part {
		t.Fatal("the file system knows no holes")
	}
	var once sync.Once
	f.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put && strings.Contains(c.Name, "content") {
			once.Do(func() { must(t, w.Truncate(1000)) })
		}
		return nil
	}}
	s.Save(func(o *backup.Options) { o.Workers = 1 })
	s.Log.Only(t, s.Path("file"))
	target, _ := s.Restore()
	if got := []byte(backuptest.Content(t, target+"/file")); !bytes.HasPrefix(data, got) || len(got) < 10<<20 {
		t.Errorf("restored %d bytes that were never there", len(got))
	}
}

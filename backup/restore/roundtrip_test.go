package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/restore"
	"nightjar/internal/watch"
	"nightjar/repo/tree"

	"golang.org/x/sys/unix"
)

// TestRoundTrip puts back one of everything.
func TestRoundTrip(t *testing.T) {
	backuptest.NeedRoot(t)
	t.Parallel()
	s := backuptest.New(t)
	s.Write("a/small", "small")
	s.Write("a/empty", "")
	s.Write("b/mid", string(backuptest.Random(300<<10)))
	s.Write("b/big", string(backuptest.Random(9<<20)))
	s.Write("c/d/e/f", "f")
	p := s.Path
	must(t, os.Mkdir(p("empty"), 0o711))
	for name, target := range map[string]string{"dangling": "no/where", "todir": "a", "loop": "loop", "long": strings.Repeat("/123456789", 410)[:4095], "raw\xff": "\xfe\xff"} {
		must(t, os.Symlink(target, p(name)))
	}
	must(t, os.Link(p("a/small"), p("b/another name")))
	must(t, os.Link(p("a/small"), p("z")))
	must(t, os.Link(p("dangling"), p("linked link")))
	for name, mode := range map[string]uint32{"fifo": unix.S_IFIFO | 0o620, "socket": unix.S_IFSOCK | 0o755} {
		must(t, unix.Mknod(p(name), mode, 0))
	}
	must(t, os.Link(p("fifo"), p("fifo 2")))
	must(t, unix.Mknod(p("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(p("disk"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 1<<19+7))))
	for i, name := range []string{"\xff\xfe", "new\nline", "\x01", strings.Repeat("n", 255), strings.Repeat("\xf0", 255), " ", "...", "*", "\\", "ä"} {
		s.Write("names/"+name, strings.Repeat("x", i))
	}
	for name, mode := range map[string]uint32{"suid": 0o4755, "sgid": 0o2755, "sticky": 0o1644, "none": 0, "all": 0o7777} {
		s.Write("modes/"+name, name)
		must(t, os.Chown(p("modes/"+name), 1234, 567890))
		must(t, unix.Chmod(p("modes/"+name), mode))
		must(t, os.Mkdir(p("modes/dir "+name), 0o700))
		must(t, unix.Chmod(p("modes/dir "+name), mode))
	}
	must(t, os.Lchown(p("dangling"), 4242, 4343))
	must(t, os.Chown(p("fifo"), 1, 2))

	// Holes: at the front, at the end, everywhere, and much.
	must(t, os.Mkdir(p("sparse"), 0o755))
	sparse := func(name string, size int64, at ...int64) {
		f, err := os.Create(p(name))
		must(t, err)
		for _, off := range at {
			_, err = f.WriteAt(backuptest.Random(8192), off)
			must(t, err)
		}
		must(t, f.Truncate(size))
		must(t, f.Close())
	}
	sparse("sparse/front", 1<<20+8192, 1<<20)
	sparse("sparse/end", 5<<20, 0)
	sparse("sparse/all", 3<<20)
	sparse("sparse/odd", 12345, 8192-4096)
	sparse("sparse/between", 40<<20, 0, 1<<20, 9<<20, 39<<20)
	sparse("sparse/huge", 1<<40, 1<<39, 1<<30)

	set := func(name, key string, value []byte) { must(t, unix.Lsetxattr(p(name), key, value, 0)) }
	set("a/small", "user.one", []byte("1"))
	set("a/small", "user.two", nil)
	for i := range 3 { // more than lie in a tree
		set("a/empty", "user.big"+string(rune('a'+i)), backuptest.Random(1000))
		set("a", "user.big"+string(rune('a'+i)), backuptest.Random(1000))
		set("todir", "trusted.big"+string(rune('a'+i)), backuptest.Random(1000))
		set("fifo", "trusted.big"+string(rune('a'+i)), backuptest.Random(1000))
	}
	set("b/big", "security.capability", []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	acl := "\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x02\x00\x06\x00\x39\x30\x00\x00\x04\x00\x05\x00\xff\xff\xff\xff\x10\x00\x07\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff"
	set("b/mid", "system.posix_acl_access", []byte(acl))
	set("c", "system.posix_acl_access", []byte(acl))
	set("c", "system.posix_acl_default", []byte(acl))

	for i, name := range []string{"a/small", "a", "dangling", "null", "fifo", "c/d/e/f", "c/d"} {
		sec := []int64{-1, -1 << 31, 1, 1 << 32, 1<<32 + 12345, 0, -86400}[i]
		ts := []unix.Timespec{{Sec: 1}, {Sec: sec, Nsec: 999999999 - int64(i)}}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, p(name), ts, unix.AT_SYMLINK_NOFOLLOW))
	}

	want := backuptest.FactsOf(t, s.Src)
	st := s.Save()
	s.Log.None(t)
	if st.BytesRead > 20<<20 {
		t.Errorf("read %d bytes: holes are nothing to read", st.BytesRead)
	}
	if !s.Last.Complete {
		t.Error("the archive says that it is incomplete")
	}
	var target string
	var rs restore.Statistics
	progress := new(watch.Progress)
	target, rs = s.Restore(func(o *restore.Options) { o.Progress = progress })
	s.Log.None(t)
	backuptest.Same(t, backuptest.FactsOf(t, target), want)
	if rs.Files+rs.Links+rs.Others != st.Files+st.Others || rs.Files+rs.Links+rs.Others != progress.Files.Load() || rs.Bytes != progress.Bytes.Load() || rs.Problems != 0 {
		t.Errorf("restored %+v of %+v, progress %d, %d", rs, st, progress.Files.Load(), progress.Bytes.Load())
	}
	unix.Sync()
	for _, name := range []string{"front", "end", "all", "between", "huge"} {
		var a, b unix.Stat_t
		must(t, unix.Stat(p("sparse/"+name), &a))
		must(t, unix.Stat(filepath.Join(target, "sparse", name), &b))
		if b.Blocks > a.Blocks+16 {
			t.Errorf("sparse/%s has %d blocks, not %d", name, b.Blocks, a.Blocks)
		}
	}

	// And once more on top of it all, by every policy.
	for _, policy := range []restore.Overwrite{restore.Always, restore.IfChanged, restore.IfNewer, restore.Never} {
		_, rs := s.Restore(func(o *restore.Options) { o.Target, o.Overwrite = target, policy })
		s.Log.None(t)
		backuptest.Same(t, backuptest.FactsOf(t, target).Below(), want.Below())
		if policy != restore.Always && rs.Kept != st.Files+st.Others {
			t.Errorf("policy %d kept %d of %d", policy, rs.Kept, st.Files+st.Others)
		}
	}
	// An unchanged night reads nothing and restores the same. The directories above the source
	// belong to the machine, whose other work may change one of them in any one night.
	backuptest.Age()
	s.Save()
	still := false
	for range 10 {
		st = s.Save()
		s.Log.None(t)
		if st.BytesRead != 0 || st.Unchanged != st.Files || st.New+st.Changed+st.Deleted+st.NewDirs != 0 || st.ChangedDirs > s.Above() {
			t.Fatalf("an unchanged night: %+v", st)
		}
		if still = st.ChangedDirs == 0; still {
			break
		}
	}
	if !still {
		t.Errorf("no unchanged night in ten: %+v", st)
	}
	target, _ = s.Restore()
	s.Log.None(t)
	backuptest.Same(t, backuptest.FactsOf(t, target), want)
}

// TestDeep puts back what lies deeper than there are handles, and paths that are longer than the kernel takes.
func TestDeep(t *testing.T) {
	backuptest.NeedRoot(t)
	t.Parallel()
	s := backuptest.New(t)
	deep(t, s.Src, "deep", slices.Repeat([]string{"d"}, backuptest.Scaled(3000, 1000)))
	deep(t, s.Src, "far", slices.Repeat([]string{strings.Repeat("d", 250)}, 40))
	want := backuptest.FactsOf(t, s.Src)
	s.Save()
	s.Log.None(t)
	target, _ := s.Restore()
	s.Log.None(t)
	backuptest.Same(t, backuptest.FactsOf(t, target), want)
}

// A backup leaves out what is deeper than a path may be long, and says so; all above that is saved, and put back.
func TestTooDeep(t *testing.T) {
	backuptest.NeedRoot(t)
	t.Parallel()
	s := backuptest.New(t)
	deep(t, s.Src, "far", slices.Repeat([]string{strings.Repeat("d", 255)}, tree.MaxPath/256+2))
	s.Write("z", "beside")
	s.Save()
	if paths := s.Log.Paths(); len(paths) != 1 || !errors.Is(s.Log.All[paths[0]], tree.ErrLong) {
		t.Errorf("problems with %d paths", len(paths))
	}
	target, st := s.Restore()
	s.Log.None(t)
	if st.Dirs < tree.MaxPath/256-5 || backuptest.Content(t, filepath.Join(target, "z")) != "beside" {
		t.Errorf("%d folders", st.Dirs)
	}
}

// deep makes a path of directories with a file at each hundredth, whatever the kernel thinks of such a path.
func deep(t *testing.T, root, first string, names []string) {
	t.Helper()
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	for i, name := range append([]string{first}, names...) {
		must(t, unix.Mkdirat(fd, name, 0o755))
		next, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		must(t, unix.Close(fd))
		fd = next
		if i%100 == 0 || i == len(names) {
			f, err := unix.Openat(fd, "file", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
			must(t, err)
			_, err = unix.Write(f, []byte(strings.Repeat("deep", i)))
			must(t, err)
			must(t, unix.Close(f))
		}
	}
	must(t, unix.Close(fd))
}

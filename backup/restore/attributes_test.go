package restore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/backup/backuptest"
	"nightjar/backup/filter"
	"nightjar/backup/restore"
)

// attributes returns what is to be kept of a directory: all but its time, which goes on when something is put into it.
func attributes(t testing.TB, path string) string {
	t.Helper()
	s := backuptest.FactsOf(t, path)["."]
	before, after, _ := strings.Cut(s, " mtime ")
	_, rest, _ := strings.Cut(after, " ")
	return before + " " + rest
}

// A target that exists is somebody's: /tmp, a web root, a disk. It keeps what it has.
func TestTargetKeepsAttributes(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	s.Write("file", "file")
	must(t, os.Chmod(s.Src, 0o700))
	must(t, unix.Setxattr(s.Src, "user.saved", []byte("saved"), 0))
	s.Save()
	files := s.Last
	s.SaveStream("dump", "dump")
	stream := s.Last
	for what, change := range map[string]func(o *restore.Options){
		"a directory":     func(*restore.Options) {},
		"a stream":        func(o *restore.Options) { s.Last, o.Path = stream, "" },
		"one file":        func(o *restore.Options) { o.Path = s.Path("file") },
		"everything":      func(o *restore.Options) { o.Path = "/" },
		"nothing matched": func(o *restore.Options) { o.Filter = backuptest.Filter(t, filter.Options{Include: []string{"none"}}) },
	} {
		for _, policy := range []restore.Overwrite{restore.Refuse, restore.Always, restore.IfChanged, restore.IfNewer, restore.Never} {
			for _, through := range []string{"", "a link"} {
				target := t.TempDir()
				must(t, os.Chown(target, 7, 8))
				must(t, unix.Chmod(target, 0o1777))
				must(t, unix.Setxattr(target, "user.x", []byte("x"), 0))
				must(t, unix.Setxattr(target, "system.posix_acl_default", []byte("\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x04\x00\x05\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff"), 0))
				want := attributes(t, target)
				to := target
				if through != "" {
					to = filepath.Join(t.TempDir(), "link")
					must(t, os.Symlink(target, to))
				}
				_, _, err := s.TryRestore(overwrite(to, policy), func(o *restore.Options) { s.Last = files; change(o) })
				must(t, err)
				s.Log.None(t)
				if got := attributes(t, target); got != want {
					t.Errorf("%s, policy %d: the target is\n%s, was\n%s", what, policy, got, want)
				}
			}
		}
	}
	s.Last = files
	target, _ := s.Restore() // one that the restore makes is as what was saved
	if got, want := attributes(t, target), attributes(t, s.Src); got != want {
		t.Errorf("a new target is %s, not %s", got, want)
	}
}

// A folder that is there and only on the way to what was asked for is as little to be changed as the target.
func TestOnTheWay(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	s.Write("etc/app/conf", "conf")
	s.Write("etc/app/more", "more")
	s.Write("etc/new/conf", "conf")
	s.Save()
	target := t.TempDir()
	must(t, os.MkdirAll(target+"/etc/app", 0o711))
	want := attributes(t, target+"/etc/app")
	only := func(pattern string) func(*restore.Options) {
		return func(o *restore.Options) { o.Filter = backuptest.Filter(t, filter.Options{Include: []string{pattern}}) }
	}
	s.Restore(overwrite(target, restore.Always), only("conf"))
	s.Log.None(t)
	if got := attributes(t, target+"/etc/app"); got != want {
		t.Errorf("on the way is %s, was %s", got, want)
	}
	if got, want := attributes(t, target+"/etc/new"), attributes(t, s.Path("etc/new")); got != want {
		t.Errorf("made on the way is %s, not %s", got, want)
	}
	s.Restore(overwrite(target, restore.Always), only("app"))
	if got, want := attributes(t, target+"/etc/app"), attributes(t, s.Path("etc/app")); got != want {
		t.Errorf("what was asked for is %s, not %s", got, want)
	}
}

// What a restore made before it stopped gets its attributes by the one that goes on: the target, and folders that are only on the way. Nothing is left that says that it had stopped.
func TestMadeByAStoppedRestore(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	for i := range 20 {
		s.Write(fmt.Sprintf("way/dir/%02d", i), "content")
	}
	for _, name := range []string{".", "way", "way/dir"} {
		must(t, os.Chown(s.Path(name), 7, 8))
		must(t, unix.Setxattr(s.Path(name), "user.saved", []byte(name), 0))
		must(t, os.Chtimes(s.Path(name), time.Time{}, time.Unix(1e9, 5)))
	}
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	only := func(pattern string) func(*restore.Options) {
		return func(o *restore.Options) {
			if pattern != "" {
				o.Filter = backuptest.Filter(t, filter.Options{Include: []string{pattern}})
			}
		}
	}
	for _, pattern := range []string{"", "dir", "1?"} {
		for _, policy := range []restore.Overwrite{restore.IfChanged, restore.IfNewer, restore.Always} {
			ctx, stop := context.WithCancel(context.Background())
			target, _, err := s.RestoreFrom(ctx, s.Reader(), only(pattern), func(o *restore.Options) {
				o.Report = func(path string, _ restore.Action) {
					if filepath.Base(path) == "15" {
						stop()
					}
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%q: stopped with %v", pattern, err)
			}
			if target != "" && backuptest.FactsOf(t, target)["."] == want["."] {
				t.Errorf("%q: it had not stopped", pattern)
			}
			s.Restore(overwrite(target, policy), only(pattern))
			s.Log.None(t)
			got := backuptest.FactsOf(t, target)
			for _, name := range []string{".", "way", "way/dir"} {
				if got[name] != want[name] {
					t.Errorf("%q, policy %d: %s is\n%s, not\n%s", pattern, policy, name, got[name], want[name])
				}
			}
		}
	}

	// The mark alone is nothing: somebody else may have set it, or taken the folder into use.
	target := t.TempDir()
	must(t, unix.Setxattr(target, "user.nightjar.unfinished", []byte{1}, 0))
	must(t, os.Chmod(target, 0o755))
	before := attributes(t, target)
	s.Restore(overwrite(target, restore.IfChanged))
	if got := attributes(t, target); got != before {
		t.Errorf("a folder that is open to others is %s, was %s", got, before)
	}
}

// Never changes nothing that exists, folders included; what is missing is put into them.
func TestNever(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	for _, name := range []string{"dir/sub/file", "dir/new/file", "dir/there"} {
		s.Write(name, "saved")
	}
	must(t, os.Link(s.Path("dir/there"), s.Path("dir/znew")))
	must(t, unix.Setxattr(s.Path("dir"), "user.saved", []byte("saved"), 0))
	s.Save()
	target := t.TempDir()
	put(t, target+"/dir/there", "there")
	must(t, os.MkdirAll(target+"/dir/sub", 0o755))
	for _, name := range []string{"dir/sub", "dir", ""} {
		must(t, os.Chown(filepath.Join(target, name), 7, 8))
		must(t, unix.Chmod(filepath.Join(target, name), 0o2711))
		must(t, unix.Setxattr(filepath.Join(target, name), "user.x", []byte("x"), 0))
	}
	folders := []string{"", "dir", "dir/sub"}
	var want []string
	for _, name := range folders {
		want = append(want, attributes(t, filepath.Join(target, name)))
	}
	there := backuptest.FactsOf(t, target)["dir/there"]
	for range 2 {
		s.Restore(overwrite(target, restore.Never))
		s.Log.None(t)
		for i, name := range folders {
			if got := attributes(t, filepath.Join(target, name)); got != want[i] {
				t.Errorf("%q is\n%s, was\n%s", name, got, want[i])
			}
		}
		if got := backuptest.FactsOf(t, target); got["dir/there"] != there || backuptest.Content(t, target+"/dir/znew") != "saved" {
			t.Errorf("%s, was %s", got["dir/there"], there)
		}
		if got, want := attributes(t, target+"/dir/new"), attributes(t, s.Path("dir/new")); got != want {
			t.Errorf("a new folder is %s, not %s", got, want)
		}
	}
}

// What has its content keeps it, and gets all else: by if-changed, which goes on with a restore that stopped.
func TestPutRight(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	backuptest.Mount(t, "", s.Src) // takes larger attributes than others
	into := t.TempDir()
	backuptest.Mount(t, "", into)
	when := time.Unix(1_600_000_000, 5)
	stamp := func(path string) {
		ts := unix.NsecToTimespec(when.UnixNano())
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}
	names := []string{"capability", "dir/file", "emptied", "fifo", "large", "link", "mode", "null", "owner", "readonly", "suid", "xattr"}
	must(t, os.Mkdir(s.Path("dir"), 0o750))
	for _, name := range names {
		switch name {
		case "link":
			must(t, os.Symlink("target", s.Path(name)))
		case "null":
			must(t, unix.Mknod(s.Path(name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		case "fifo":
			must(t, unix.Mkfifo(s.Path(name), 0o620))
		default:
			s.Write(name, "content of "+name)
		}
		must(t, os.Lchown(s.Path(name), 1, 2))
	}
	must(t, unix.Setxattr(s.Path("xattr"), "user.x", []byte("x"), 0))
	must(t, unix.Setxattr(s.Path("large"), "user.x", backuptest.Random(3000), 0))
	must(t, unix.Setxattr(s.Path("large"), "user.y", backuptest.Random(3000), 0))
	must(t, unix.Setxattr(s.Path("capability"), "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	must(t, unix.Chmod(s.Path("suid"), 0o4755))
	must(t, unix.Chmod(s.Path("readonly"), 0o444))
	for _, name := range names {
		stamp(s.Path(name))
	}
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	target, _ := s.Restore(overwrite(into+"/t", restore.Refuse))
	in := func(name string) string { return target + "/" + name }
	ids := map[string]uint64{}
	for _, name := range names {
		ids[name] = inode(t, in(name))
	}
	must(t, unix.Chmod(in("mode"), 0o777))
	must(t, os.Chown(in("owner"), 5, 5))
	must(t, os.Chown(in("suid"), 5, 5))
	must(t, os.Chown(in("capability"), 5, 5))
	must(t, os.Chown(in("fifo"), 5, 5))
	must(t, unix.Setxattr(in("xattr"), "user.x", []byte("changed"), 0))
	must(t, unix.Setxattr(in("readonly"), "user.more", []byte("more"), 0))
	must(t, unix.Removexattr(in("large"), "user.x"))
	must(t, unix.Setxattr(in("mode"), "system.posix_acl_access", []byte("\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x02\x00\x07\x00\x09\x00\x00\x00\x04\x00\x05\x00\xff\xff\xff\xff\x10\x00\x07\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff"), 0))
	must(t, unix.Chmod(in("dir"), 0o777))
	must(t, os.Remove(in("link")))
	must(t, os.Symlink("elsewhere", in("link")))
	must(t, os.Lchown(in("link"), 1, 2))
	must(t, os.Remove(in("null")))
	must(t, unix.Mknod(in("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 8))))
	must(t, os.Chown(in("null"), 1, 2))
	must(t, os.Truncate(in("emptied"), 0))
	for _, name := range names {
		if name != "dir/file" {
			stamp(in(name))
		}
	}
	outside := into + "/outside"
	must(t, os.Mkdir(outside, 0o700))
	must(t, os.Link(in("owner"), outside+"/precious"))
	precious := backuptest.FactsOf(t, outside)
	before := backuptest.FactsOf(t, target)
	actions := func(dry bool) (map[string]restore.Action, restore.Statistics) {
		all := map[string]restore.Action{}
		_, st := s.Restore(overwrite(target, restore.IfChanged), func(o *restore.Options) {
			o.DryRun, o.Report, o.Verify = dry, func(path string, a restore.Action) { all[strings.TrimPrefix(path, s.Src+"/")] = a }, s.Repo.Namer
		})
		s.Log.None(t)
		return all, st
	}
	planned, _ := actions(true)
	backuptest.Same(t, backuptest.FactsOf(t, target), before)
	done, st := actions(false)
	backuptest.Same(t, backuptest.FactsOf(t, target).Below(), want.Below())
	remade := []string{"emptied", "link", "null", "owner"}
	for _, name := range append(names, "dir") {
		action := restore.Amended
		if slices.Contains(remade, name) {
			action = restore.Replaced
		} else if name == "dir/file" {
			action = restore.Kept
		}
		if planned[name] != action || done[name] != action {
			t.Errorf("%s: %d, planned %d, want %d", name, done[name], planned[name], action)
		}
		if name != "dir" && (inode(t, in(name)) == ids[name]) == slices.Contains(remade, name) {
			t.Errorf("%s is, or is not, what it was", name)
		}
	}
	if st.Amended != 7 || st.Kept != 8 {
		t.Errorf("%+v", st)
	}
	// Of a name elsewhere nothing changes but that it is alone now.
	for name, is := range backuptest.FactsOf(t, outside).Below() {
		if is != precious[name] {
			t.Errorf("%s is %s, was %s", name, is, precious[name])
		}
	}
	// All is well: nothing is touched, so that the next backup has nothing to read.
	var a, b unix.Stat_t
	must(t, unix.Stat(in("xattr"), &a))
	done, st = actions(false)
	must(t, unix.Stat(in("xattr"), &b))
	if done["dir"] != restore.Kept {
		t.Errorf("a folder that is as it was saved: %d", done["dir"])
	}
	if a.Ctim != b.Ctim || st.Amended != 0 || st.Kept != uint64(len(names)) {
		t.Errorf("touched again: %+v", st)
	}
}

// What a file system does not take on is found by reading back.
func TestVerifyAttributes(t *testing.T) {
	at, _ := backuptest.MountCaseless(t, "umask=027") // all have the same mode; times are kept by 100 nanoseconds, which is no difference
	s := backuptest.New(t)
	s.Write("dir/file", "content")
	must(t, os.Chtimes(s.Path("dir/file"), time.Time{}, time.Unix(1_600_000_000, 1)))
	must(t, os.Symlink("x", s.Path("link")))
	must(t, os.Chmod(s.Path("dir"), 0o750))
	must(t, os.Chtimes(s.Path("dir"), time.Time{}, time.Unix(1_600_000_000, 1)))
	s.Save()
	_, st := s.Restore(overwrite(at+"/t", restore.Refuse), func(o *restore.Options) { o.Verify = s.Repo.Namer })
	if err := s.Log.All[s.Path("dir/file")]; err == nil || !strings.Contains(err.Error(), "verify: ") || !strings.HasSuffix(err.Error(), ": mode") || st.Problems == 0 {
		t.Errorf("%v, %+v", s.Log.All, st)
	}
	if err := s.Log.All[s.Path("dir")]; err != nil {
		t.Error(err)
	}
}

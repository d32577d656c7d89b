package where

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	p := func(name string) string { return filepath.Join(base, name) }
	for _, dir := range []string{"app", "real/x/y", "real/x/data", "data", "app/data"} {
		must(t, os.MkdirAll(p(dir), 0o755))
	}
	must(t, os.WriteFile(p("file"), nil, 0o644))
	for name, target := range map[string]string{
		"app/rel": "../real/x/y", "app/cur": "rel/../data", "app/far": p("app/rel") + "/..", "app/up": "..", "app/self": "./cur/.", "app/none": "nowhere/x",
		"app/none2": "none", "app/loop": "loop", "app/tofile": "../file",
	} {
		must(t, os.Symlink(target, p(name)))
	}
	t.Chdir(p("app/rel"))
	t.Setenv("PWD", p("app/rel")) // as a shell has it after cd
	for _, c := range []struct {
		path, absolute, to string
		links              string
		err                error
	}{
		{p("data"), "data", "data", "", nil},
		{p("data") + "/../data/./", "data", "data", "", nil},
		{p("app/cur"), "app/cur", "real/x/data", "app/cur app/rel", nil},
		{p("app/rel") + "/../data", "real/x/data", "real/x/data", "app/rel", nil},
		{p("app/far") + "/data", "app/far/data", "real/x/data", "app/far app/rel", nil},
		{p("app/up") + "/data", "app/up/data", "data", "app/up", nil},
		{p("app/up") + "/../" + filepath.Base(base) + "/data", "data", "data", "app/up", nil},
		{p("app/self"), "app/self", "real/x/data", "app/self app/cur app/rel", nil},
		{"../data", "real/x/data", "real/x/data", "app/rel", nil},
		{"../y/../data/", "real/x/data", "real/x/data", "app/rel", nil},
		{"..", "real/x", "real/x", "app/rel", nil},
		{".", "app/rel", "real/x/y", "app/rel", nil},
		{"../new/sub", "real/x/new/sub", "real/x/new/sub", "app/rel", fs.ErrNotExist},
		{p("data") + "/../new", "new", "new", "", fs.ErrNotExist},
		{p("app/none"), "app/none", "app/nowhere/x", "app/none", fs.ErrNotExist},
		{p("app/none2"), "app/none2", "app/nowhere/x", "app/none2 app/none", fs.ErrNotExist},
		{p("data/none") + "/../x", "", "", "", fs.ErrNotExist},
		{p("app/loop"), "app/loop", "", "", unix.ELOOP},
		{p("app/loop") + "/../x", "", "", "", unix.ELOOP},
		{p("file/x"), "file/x", "", "", unix.ENOTDIR},
		{p("app/tofile"), "app/tofile", "file", "app/tofile", nil},
		{p("file") + "/../data", "", "", "", unix.ENOTDIR},
		{"", "", "", "", nil},
		{"/", "/", "/", "", nil},
		{"/../..//", "/", "/", "", nil},
	} {
		name := func(is string) string {
			if is == "" || is == "/" {
				return is
			}
			return p(is)
		}
		to, err := Resolve(c.path)
		if c.path == "" {
			if err == nil {
				t.Error("an empty path leads somewhere")
			}
		} else if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.path, err)
		}
		if to.Path != name(c.to) || len(to.Through) > 0 {
			t.Errorf("%s leads to %+v", c.path, to)
		}
		if !errors.Is(err, unix.ELOOP) {
			var links []string
			for _, l := range strings.Fields(c.links) {
				links = append(links, p(l))
			}
			if !slices.Equal(to.Links, links) {
				t.Errorf("%s leads through %q, not %q", c.path, to.Links, links)
			}
		}
		absolute, err := Absolute(c.path)
		if absolute != name(c.absolute) || (err == nil) != (c.absolute != "") {
			t.Errorf("%s is called %q, not %q: %v", c.path, absolute, c.absolute, err)
		}
		// What the kernel says is the measure.
		want, err := os.Stat(c.path)
		if got, failed := os.Stat(absolute); err == nil && (failed != nil || !os.SameFile(got, want)) {
			t.Errorf("%s is called %s, which is something else: %v", c.path, absolute, failed)
		}
	}
}

// namespace has a process mount a file system of its own in dir, and returns where its root is seen.
func namespace(t *testing.T, dir string) string {
	t.Helper()
	c := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs none "$1" && mkdir "$1/sub" && touch "$1/there" && echo ready && read end`, "sh", dir)
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() {
		in.Close()
		_ = c.Wait() // which ends by having nothing to read
	})
	_, err = fmt.Fscanln(out, new(string))
	must(t, err)
	return fmt.Sprintf("/proc/%d/root", c.Process.Pid)
}

// In the file system of a process with mounts of its own, a path leads to what that process sees.
func TestOtherNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("must be root")
		}
		t.Skip("SKIPPED, NOTHING TESTED: must be root")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	must(t, os.Mkdir(dir+"/sub", 0o755))
	root := namespace(t, dir)
	to, err := Resolve(root + dir + "/sub/..")
	must(t, err)
	if want := (Place{Path: root + dir, Through: []string{root}}); to.Path != want.Path || !slices.Equal(to.Through, want.Through) || len(to.Links) > 0 {
		t.Errorf("leads to %+v", to)
	}
	if _, err := os.Stat(to.Path + "/there"); err != nil {
		t.Error(err)
	}
	if to, err := Resolve(root + "/../../" + dir); err != nil || to.Path != root+dir {
		t.Errorf("above its root: %+v, %v", to, err)
	}
	if name, err := Absolute(root + "/.." + dir + "/new"); err != nil || name != root+dir+"/new" {
		t.Errorf("%q, %v", name, err)
	}
	// Of our own namespace such a link says the truth.
	if to, err := Resolve("/proc/self/root" + dir); err != nil || to.Path != dir || len(to.Through) > 0 {
		t.Errorf("%+v, %v", to, err)
	}
	f, err := os.Create(dir + "/gone")
	must(t, err)
	defer f.Close()
	must(t, os.Remove(f.Name()))
	if to, err := Resolve(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err == nil {
		t.Errorf("a file without a name is %+v", to)
	}
}

package torture

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const page = 4096

// A disk is a file system in memory, whose size can be changed while it is in use.
type disk struct {
	t    testing.TB
	path string
}

func newDisk(t *testing.T, path string) *disk {
	t.Helper()
	if os.Getenv(alone) == "" {
		skip(t, "must be root, and have unshare")
	}
	must(t, os.MkdirAll(path, 0o700))
	d := &disk{t, path}
	must(t, unix.Mount("none", path, "tmpfs", 0, "size=64m"))
	t.Cleanup(func() { must(t, unix.Unmount(path, unix.MNT_DETACH)) })
	return d
}

// room leaves so many free pages; less than 0: plenty.
func (d *disk) room(pages int) {
	d.t.Helper()
	size := uint64(64 << 20)
	if pages >= 0 {
		size = max(d.used()+uint64(pages)*page, page) // a size of 0 is no limit
	}
	must(d.t, unix.Mount("none", d.path, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", size)))
}

func (d *disk) used() uint64 {
	d.t.Helper()
	var st unix.Statfs_t
	must(d.t, unix.Statfs(d.path, &st))
	return (st.Blocks - st.Bfree) * uint64(st.Bsize)
}

// TestFull fills the disk of the repository, the target, the cache and the temp directory, at one page after another of what a command
// writes. It says which disk is full, and what to do; nothing that was there is lost, and with room the same command completes.
func TestFull(t *testing.T) {
	for i, c := range []struct {
		place   string
		prepare func(m *machine)
		args    func(m *machine) []string
		codes   string // that a full disk may have; empty: nothing is written there
		after   func(m *machine)
	}{
		{"repo", (*machine).night, backupSource, "1", (*machine).newestIsNow},
		{"repo", (*machine).age, forgetOld, "1", nil},
		{"repo", (*machine).age, pruneRepository, "1", nil},
		{"target", (*machine).empty, restoreNewest, "1 3", (*machine).targetIsNewest},
		{"cache", (*machine).night, backupSource, "0", (*machine).newestIsNow},
		{"cache", (*machine).empty, restoreNewest, "", (*machine).targetIsNewest},
		{"temp", (*machine).night, backupSource, "", (*machine).newestIsNow},
		{"temp", (*machine).empty, restoreNewest, "", (*machine).targetIsNewest},
	} {
		r := random(500 + uint64(i))
		m := newMachine(t, r, "")
		d := newDisk(t, m.path(c.place))
		m.want(0, "", "init", "--quiet")
		for range kept + 1 {
			m.night()
			m.backup()
		}
		c.prepare(m)
		before := d.used()
		args := c.args(m)
		name := args[0] + " with a full " + c.place
		m.want(0, "", args...)
		m.learn()
		pages := int((d.used()-min(before, d.used()))/page) + 8 // what is renamed is there twice
		full := 0
		tried := some(r, pages, rounds(pages, 2))
		for _, free := range tried {
			c.prepare(m)
			args := c.args(m)
			d.room(free)
			got := m.run(args...)
			if says := strings.Contains(got.stderr, "no space left on device"); got.code != 0 || got.stderr != "" {
				full++
				if c.codes == "" {
					t.Fatalf("%s, %d free pages: it is written there\n%s", name, free, got.stderr)
				}
				if !strings.Contains("0 "+c.codes, fmt.Sprint(got.code)) || !says {
					t.Fatalf("%s, %d free pages: exit code %d\n%s", name, free, got.code, got.stderr)
				}
				if got.code == 1 && !strings.Contains(got.stderr, "hint: the disk is full") {
					t.Fatalf("%s, %d free pages: no hint\n%s", name, free, got.stderr)
				}
			}
			if c.place == "target" {
				if found := wrong(stateOf(t, m.path("target/to")), m.saved[m.newest()]); len(found) > 0 {
					t.Fatalf("WRONG BYTES: %s, %d free pages: exit code %d\n%s", name, free, got.code, strings.Join(found, "\n"))
				}
			}
			d.room(-1)
			m.learn()
			m.want(0, "", args...)
			m.learn()
			if c.after != nil {
				c.after(m)
			}
		}
		if len(tried) == pages && full == 0 && c.codes != "" {
			t.Errorf("%s: it was never full", name)
		}
		m.whole()
		m.restoreAll()
		survived(t, full, name)
	}
}

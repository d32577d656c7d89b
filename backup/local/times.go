package local

import (
	"crypto/rand"
	"sync"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// Times knows what file systems make of times: some keep whole seconds only, or none after 2038. It asks each with a file that has no name. It is safe for
// concurrent use. nil stands for file systems that keep times as they are.
type Times struct {
	Named bool // where a file has to have a name it may have one for a moment

	mu     sync.Mutex
	probes map[uint64]int // open files, by device
}

// Same reports whether an entry of the directory has the time that it is to have, as far as its file system keeps it. Where that cannot be found out, as no file
// may be made, it keeps two seconds at worst, as FAT does.
func (x *Times) Same(d *Dir, has, want tree.Time) bool {
	if has == want || x == nil {
		return has == want
	}
	kept, known := x.keeps(d, want)
	if known || x.Named {
		return has == kept
	}
	coarse := has.Nsec == 0 || has.Nsec%1e7 == 0 && has.Sec == want.Sec
	return coarse && has.Sec-want.Sec >= -2 && has.Sec-want.Sec <= 2
}

// keeps returns the time that an entry of the directory has after it was given t, if that can be found out.
func (x *Times) keeps(d *Dir, t tree.Time) (kept tree.Time, known bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	id, err := d.ID()
	if err != nil {
		return t, false
	}
	fd, known := x.probes[id.Device]
	if !known {
		if fd, err = x.probe(d); err != nil {
			return t, false
		}
		if x.probes == nil {
			x.probes = map[uint64]int{}
		}
		x.probes[id.Device] = fd
	}
	var st unix.Stat_t
	if (handle{fd: fd}).setTime(t) != nil || fstat(fd, &st) != nil {
		return t, false
	}
	return timeOf(&st), true
}

func (x *Times) probe(d *Dir) (int, error) {
	fd, err := openat(d.fd, ".", unix.O_TMPFILE|unix.O_WRONLY, 0o600)
	if err == nil || !x.Named || err != unix.EOPNOTSUPP && err != unix.EISDIR {
		return fd, err
	}
	name := Beside([]byte(rand.Text()))
	if fd, err = openat(d.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600); err == nil {
		_ = d.Remove(name)
	}
	return fd, err
}

// Close gives up what was opened.
func (x *Times) Close() {
	for _, fd := range x.probes {
		_ = unix.Close(fd)
	}
	x.probes = nil
}

package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"nightjar/backup/local"
	"nightjar/repo/tree"
)

// errAlias says that the file system takes a name for another: it knows no case, or one way to write accents.
var errAlias = errors.New("the file system takes this name for that of another entry, which was put back or kept before")

// seen is what this run has put or kept in a directory that was there before. What is found there by a name that has not had its turn was put or kept by
// another. In a directory that this run has made, that is so of whatever is found, and nothing needs to be remembered.
//
// File systems give inodes out side by side, so it is sets of 64 neighbours. There may be so many; what is more is not remembered.
type seen struct {
	device uint64 // of the directory

	mu    sync.Mutex
	sets  map[uint64]uint64
	twins map[uint64]int // how many names in the directory, of files that have several there, have not had their turn; nil: nobody looked
}

const maxSeen = 1 << 20

func newSeen(device uint64) *seen { return &seen{device: device, sets: map[uint64]uint64{}} }

// key makes one number of an id. Hardly any entry of a directory is on another device.
func (s *seen) key(id local.FileID) uint64 {
	if id.Device == s.device {
		return id.Inode
	}
	return id.Inode ^ (1<<63 | id.Device<<32)
}

// add notes an entry. A nil seen notes none.
func (s *seen) add(id local.FileID) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(s.key(id))
}

func (s *seen) set(key uint64) {
	if _, ok := s.sets[key>>6]; ok || len(s.sets) < maxSeen {
		s.sets[key>>6] |= 1 << (key & 63)
	}
}

// found notes an entry of d that was there.
func (s *seen) found(d *local.Dir, there *tree.Node) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if there.IsHardLinked() && s.twins == nil {
		if err := s.lookForTwins(d); err != nil {
			return err
		}
	}
	key := s.key(local.IDOf(there))
	if s.twins[key] > 1 {
		s.twins[key]--
		return nil
	}
	s.set(key)
	return nil
}

// lookForTwins counts names of files that have several in d.
func (s *seen) lookForTwins(d *local.Dir) error {
	names, err := d.Names()
	if err != nil {
		return err
	}
	s.twins = map[uint64]int{}
	var n tree.Node
	for _, name := range names {
		if err := d.Stat(name, &n); err == nil && n.IsHardLinked() {
			s.twins[s.key(local.IDOf(&n))]++
		}
	}
	for key, count := range s.twins {
		if count == 1 {
			delete(s.twins, key)
		}
	}
	return nil
}

// taken reports whether what was found was noted before, as often as it has names.
func (s *seen) taken(there *tree.Node) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.key(local.IDOf(there))
	return s.sets[key>>6]&(1<<(key&63)) != 0
}

// refused says why a name was not free that had been.
func (h *handle) refused(name string, err error) error {
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	alias := h.fresh
	if !alias {
		var there tree.Node
		if h.Stat(name, &there) == nil {
			alias = h.seen.taken(&there)
		}
	}
	if alias {
		return fmt.Errorf("%w: %w", err, errAlias)
	}
	return err
}

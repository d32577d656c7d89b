package restore

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"unicode"

	"nightjar/backup/local"
	"nightjar/repo/tree"
)

// errAlias says that the file system takes a name for another: it knows no case, or one way to write accents.
var errAlias = errors.New("the file system takes this name for that of another entry, which was put back or kept before")

// seen is what this run has put or kept in a directory that was there before. What is found there by a name that has not had its turn was put or kept by
// another. In a directory that this run has made, that is so of whatever is found, and nothing needs to be remembered.
//
// File systems give inodes out side by side, so it is sets of 64 neighbours. There may be so many; what is more is not remembered.
// A file system that is a program (exFAT, often) may give each spelling of a name an inode of its own. There an entry goes by its name, without case.
type seen struct {
	device uint64 // of the directory

	mu      sync.Mutex
	sets    map[uint64]uint64
	twins   map[uint64]int // how many names in the directory, of files that have several there, have not had their turn; nil: nobody looked
	learned bool           // byName is known
	byName  bool           // inodes tell nothing; twins are names that only case tells apart
}

const maxSeen = 1 << 20

func newSeen(device uint64) *seen { return &seen{device: device, sets: map[uint64]uint64{}} }

// key makes one number of an entry. Hardly any entry of a directory is on another device.
func (s *seen) key(name string, id local.FileID) uint64 {
	if s.byName {
		h := fnv.New64a()
		_, _ = io.WriteString(h, strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, name))
		return h.Sum64()
	}
	if id.Device == s.device {
		return id.Inode
	}
	return id.Inode ^ (1<<63 | id.Device<<32)
}

// learn finds out whether inodes tell entries of d apart, from one that it has by this name. From a name without letters nothing is learned.
func (s *seen) learn(d *local.Dir, name string, id local.FileID) {
	other := strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, name)
	if s.learned || other == name {
		return
	}
	s.learned = true
	var there tree.Node
	if err := d.Stat(other, &there); err != nil || local.IDOf(&there) == id {
		return
	}
	names, err := d.Names()
	s.byName = err == nil && !slices.Contains(names, other)
}

// add notes an entry of d, which has the name at until it is complete. A nil seen notes none.
func (s *seen) add(d *local.Dir, at, name string, id local.FileID) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.learn(d, at, id)
	s.set(s.key(name, id))
}

func (s *seen) set(key uint64) {
	if _, ok := s.sets[key>>6]; ok || len(s.sets) < maxSeen {
		s.sets[key>>6] |= 1 << (key & 63)
	}
}

// found notes an entry of d that was there.
func (s *seen) found(d *local.Dir, name string, there *tree.Node) error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.learn(d, name, local.IDOf(there))
	if s.byName {
		s.set(s.key(name, local.IDOf(there)))
		return nil
	}
	if there.IsHardLinked() && s.twins == nil {
		if err := s.lookForTwins(d); err != nil {
			return err
		}
	}
	key := s.key(name, local.IDOf(there))
	if s.twins[key] > 1 {
		s.twins[key]--
		return nil
	}
	s.set(key)
	return nil
}

// lookForTwins counts names of files that have several in d, or names of the same key.
func (s *seen) lookForTwins(d *local.Dir) error {
	names, err := d.Names()
	if err != nil {
		return err
	}
	s.twins = map[uint64]int{}
	var n tree.Node
	for _, name := range names {
		if s.byName {
			s.twins[s.key(name, local.FileID{})]++
		} else if err := d.Stat(name, &n); err == nil && n.IsHardLinked() {
			s.twins[s.key(name, local.IDOf(&n))]++
		}
	}
	for key, count := range s.twins {
		if count == 1 {
			delete(s.twins, key)
		}
	}
	return nil
}

// taken reports whether what was found in d by this name was noted before, as often as it has names.
func (s *seen) taken(d *local.Dir, name string, there *tree.Node) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.key(name, local.IDOf(there))
	if s.sets[key>>6]&(1<<(key&63)) == 0 {
		return false
	}
	if s.byName && s.twins == nil && s.lookForTwins(d) != nil {
		return true
	}
	return !s.byName || s.twins[key] < 2
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
			alias = h.seen.taken(h.Dir, name, &there)
		}
	}
	if alias {
		return fmt.Errorf("%w: %w", err, errAlias)
	}
	return err
}

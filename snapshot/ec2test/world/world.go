// Package world is what the test server keeps: regions of an account with their instances, volumes, snapshots, images and keys, and the bytes of
// volumes and snapshots in files.
//
// The invariant: all that a region has is read and changed under the one lock of its World, so that a call, however much it does, is one moment.
// The package has no rules of EC2 beyond what becomes of things by themselves: those are of ops.
package world

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Account is the caller's. Others is an account that shares things with it.
const (
	Account = "111122223333"
	Other   = "444455556666"
)

// A World is one account's share of EC2, and what others show it.
type World struct {
	sync.Mutex
	Settings

	dir     string
	ahead   time.Duration
	regions map[string]*Region
	ordinal uint64
	ids     *rand.Rand
	files   int
	later   []Work
}

// Settings change how the server behaves. The zero value is EC2 at its best.
type Settings struct {
	Pending       time.Duration     // how long snapshots, copies and archiving take; 0: they are done when they are described the second time
	Hidden        int               // how many Describe calls do not see a new snapshot, volume or tag yet
	EmptyPages    bool              // every page of a paginated listing is followed by one that is empty, as EC2 allows
	RecycleBin    time.Duration     // how long deleted snapshots are kept there; 0: there is no rule, and they are gone
	SnapshotQuota int               // of each region; 0: 100,000
	VolumeQuota   int               // likewise; 0: 5,000
	CopyLimit     int               // of concurrent copies to a region; 0: 20
	PendingLimit  int               // of concurrent snapshots of a volume; 0: 5
	Encrypt       map[string]bool   // regions with encryption by default
	Block         map[string]string // region → its block public access state; empty: unblocked
	TokenLife     time.Duration     // of block tokens; 0: 7 days
	Freeze        string            // a mounted file system that holds the volumes' files: writing to it is stopped while snapshots are taken
	OnAttach      func(Attachment) error
	OnDetach      func(Attachment) error
	Without       map[string][]string // zone → types of volumes that it has not
}

// New returns a world that keeps its files in a directory.
func New(dir string, seed uint64) *World {
	return &World{dir: dir, regions: map[string]*Region{}, ids: rand.New(rand.NewPCG(seed, 0))}
}

// A Region is one of the account's.
type Region struct {
	*World
	Name      string
	Zones     []string
	Instances Store[*Instance]
	Volumes   Store[*Volume]
	Snapshots Store[*Snapshot]
	Images    Store[*Image]
	Bin       Store[*Snapshot] // the Recycle Bin
	Keys      []*Key
	Tokens    map[string]Replay // of clients
	Uploads   map[string]*Upload
}

// A Replay is what a client token was used for.
type Replay struct {
	Volume     string
	Parameters string
	Answer     any
}

// Regions of the world are these; a signature for another is refused.
var regionNames = []string{"us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1"}

// RegionNames lists the regions that there are.
func RegionNames() []string { return slices.Clone(regionNames) }

// Region returns a region by its name, or nil. The lock is held.
func (w *World) Region(name string) *Region {
	if r := w.regions[name]; r != nil {
		return r
	}
	if !slices.Contains(regionNames, name) {
		return nil
	}
	r := &Region{World: w, Name: name, Tokens: map[string]Replay{}, Uploads: map[string]*Upload{}}
	for _, zone := range "abc" {
		r.Zones = append(r.Zones, name+string(zone))
	}
	w.regions[name] = r
	return r
}

// Now is the world's clock. The lock is held.
func (w *World) Now() time.Time { return time.Now().Add(w.ahead).UTC().Truncate(time.Millisecond) }

// Advance sets the clock forward. The lock is held.
func (w *World) Advance(d time.Duration) { w.ahead += d }

// ID makes an ID: prefix and 17 hexadecimal digits. The lock is held.
func (w *World) ID(prefix string) string {
	return fmt.Sprintf("%s-0%016x", prefix, w.ids.Uint64())
}

// Ordinal returns ever greater numbers. The lock is held.
func (w *World) Ordinal() uint64 {
	w.ordinal++
	return w.ordinal
}

// Work is done when a call is over: Do while the lock is free, before the answer goes out, and After, with what became of it, under the lock again.
type Work struct {
	Do    func() error
	After func(error)
}

// Later has work done when the call is over. The lock is held.
func (w *World) Later(do func() error, after func(error)) { w.later = append(w.later, Work{do, after}) }

// TakeLater returns what Later has collected. The lock is held.
func (w *World) TakeLater() []Work {
	later := w.later
	w.later = nil
	return later
}

// File is the path of a new file. The lock is held.
func (w *World) File(kind string) string {
	w.files++
	return filepath.Join(w.dir, fmt.Sprintf("%s-%d", kind, w.files))
}

// Remove forgets a file that File named; others are left alone. The lock is held.
func (w *World) Remove(path string) {
	if path != "" && filepath.Dir(path) == w.dir {
		os.Remove(path)
	}
}

// ARN of a thing in this region.
func (r *Region) ARN(service, rest string) string {
	return "arn:aws:" + service + ":" + r.Name + ":" + Account + ":" + rest
}

// HasZone tells whether the zone is of this region.
func (r *Region) HasZone(zone string) bool { return slices.Contains(r.Zones, zone) }

// ZoneID is the ID of a zone: use1-az1.
func (r *Region) ZoneID(zone string) string {
	parts := strings.Split(r.Name, "-")
	short := parts[0]
	for _, direction := range []string{"north", "south", "east", "west", "central"} {
		if strings.Contains(parts[1], direction) {
			short += direction[:1]
		}
	}
	return fmt.Sprintf("%s%s-az%d", short, parts[2], slices.Index(r.Zones, zone)+1)
}

// A Thing has an ID and tags.
type Thing interface{ meta() *Meta }

// A Store has things in the order in which they came.
type Store[T Thing] struct {
	list []T
	byID map[string]T
}

// Meta is what things have in common.
type Meta struct {
	ID      string
	Tags    map[string]string
	Ordinal uint64 `json:"-"`
	hidden  int
	old     map[string]string // tags that are seen for the next staleTag calls
	stale   int
}

func (m *Meta) meta() *Meta { return m }

// Add puts a thing in. It has an ID and an ordinal.
func (s *Store[T]) Add(t T) {
	if s.byID == nil {
		s.byID = map[string]T{}
	}
	s.list, s.byID[t.meta().ID] = append(s.list, t), t
	if n := len(s.list); n > 1 && s.list[n-2].meta().Ordinal > t.meta().Ordinal {
		slices.SortFunc(s.list, func(a, b T) int { return int(int64(a.meta().Ordinal) - int64(b.meta().Ordinal)) })
	}
}

// Get returns a thing by its ID.
func (s *Store[T]) Get(id string) (T, bool) {
	t, ok := s.byID[id]
	return t, ok
}

// Len is how many there are.
func (s *Store[T]) Len() int { return len(s.list) }

// Delete takes a thing out.
func (s *Store[T]) Delete(id string) {
	t, ok := s.byID[id]
	if !ok {
		return
	}
	i, _ := slices.BinarySearchFunc(s.list, t.meta().Ordinal, func(t T, o uint64) int { return int(int64(t.meta().Ordinal) - int64(o)) })
	s.list = slices.Delete(s.list, i, i+1)
	delete(s.byID, id)
}

// All calls for each thing whose ordinal is above one, until told to stop.
func (s *Store[T]) All(above uint64) func(yield func(T) bool) {
	i, found := slices.BinarySearchFunc(s.list, above, func(t T, o uint64) int { return int(int64(t.meta().Ordinal) - int64(o)) })
	if found {
		i++
	}
	return slices.Values(s.list[i:])
}

// Of returns the things of some IDs; of none, all above an ordinal.
func (s *Store[T]) Of(ids []string, above uint64) func(yield func(T) bool) {
	if len(ids) == 0 {
		return s.All(above)
	}
	var some []T
	for _, id := range ids {
		if t, ok := s.byID[id]; ok && !slices.ContainsFunc(some, func(o T) bool { return o.meta().ID == id }) {
			some = append(some, t)
		}
	}
	return slices.Values(some)
}

// Shown are the tags that a Describe call would see.
func (m *Meta) Shown() map[string]string {
	if m.stale > 0 {
		return m.old
	}
	return m.Tags
}

// Settle has a thing be seen at once.
func (m *Meta) Settle() { m.hidden, m.stale = 0, 0 }

// Seen tells whether a Describe call sees the thing yet, and counts the call.
func (m *Meta) Seen() bool {
	if m.hidden > 0 {
		m.hidden--
		return false
	}
	return true
}

// SeenTags are the tags that a Describe call sees, and counts the call.
func (m *Meta) SeenTags() map[string]string {
	if m.stale > 0 {
		m.stale--
		return m.old
	}
	return m.Tags
}

// Make gives a thing what new things have.
func (r *Region) Make(m *Meta, prefix string, tags map[string]string) {
	if m.ID == "" {
		m.ID = r.ID(prefix)
	}
	if tags == nil {
		tags = map[string]string{}
	}
	m.Tags, m.Ordinal, m.hidden = tags, r.Ordinal(), r.Hidden
}

// Retag changes tags, which may be seen late.
func (r *Region) Retag(m *Meta, tags map[string]string) {
	if r.Hidden > 0 {
		m.old, m.stale = m.Tags, r.Hidden
	}
	m.Tags = tags
}

// Package register keeps on this machine what the records of a repository said when they were opened, so that each is decrypted and verified once, and says
// of which host each is, so that who asks for one host's need not look at all.
//
// A Register is a folder: the file "roster" names all records that were noted, by group, and each group has a file with what its records say. A group is
// what is asked for together: the records of one kind that are of one host. Files are sealed by AES-256-GCM under a key of the repository's, so they
// tell nothing to who has the folder alone, and what is read is what was noted.
//
// The invariant: it is a cache. A file that is missing, torn, foreign or of another process's making costs time only, and nothing is ever read from a folder
// that was not noted under the same key. Whether a record counts now is its caller's to say: who signed it is noted, not that he may.
//
// The package knows neither records nor stores.
package register

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// FileMax bounds the files that are read, in bytes.
const FileMax = 256 << 20

// ID names a record: the SHA-256 of its stored bytes.
type ID = [32]byte

// A Group is what a record belongs to.
type Group struct {
	Kind string
	Of   string // a host; "": of several, or of none
}

// A Note is what is kept of a record.
type Note struct {
	ID      ID
	Size    int64     // as it is stored, in bytes
	Time    time.Time // what it says of itself
	Signer  string    // fingerprint of the primary key
	Issuer  string    // fingerprint of the key that made the signature: the same, or a subkey
	Content []byte
}

// roster is the file that says what there is.
type roster struct{ Groups []listed }

type listed struct {
	Group Group
	IDs   []byte  // one after another
	Times []int64 // Unix, in nanoseconds
}

type place struct {
	group Group
	time  time.Time
}

// A Register is safe for concurrent use. The zero Register keeps nothing.
type Register struct {
	dir  string
	aead cipher.AEAD

	mu     sync.Mutex
	read   bool // the roster was
	places map[ID]place
	counts map[string]int // of places, by kind
	group  Group          // whose notes are in memory
	notes  map[ID]*Note   // those; nil: of no group
	added  map[ID]*Note   // since the last Flush
	moved  map[Group]bool // groups of which something is new or gone since then
}

// Open returns the Register in a folder, which need not exist: it is made when there is something to write. key has 32 bytes.
func Open(dir string, key []byte) (*Register, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("open register: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("open register: %w", err)
	}
	return &Register{dir: dir, aead: aead}, nil
}

// load reads the roster; r.mu is held.
func (r *Register) load() {
	if r.read {
		return
	}
	r.read, r.places, r.counts, r.added, r.moved = true, map[ID]place{}, map[string]int{}, map[ID]*Note{}, map[Group]bool{}
	var all roster
	if !r.open(rosterName, &all) {
		return
	}
	n := 0
	for _, g := range all.Groups {
		n += len(g.Times)
	}
	r.places = make(map[ID]place, n)
	for _, g := range all.Groups {
		for i := range min(len(g.Times), len(g.IDs)/len(ID{})) {
			r.set(ID(g.IDs[i*len(ID{}):]), place{g.Group, time.Unix(0, g.Times[i])})
		}
	}
}

func (r *Register) set(id ID, p place) {
	if before, ok := r.places[id]; ok {
		r.counts[before.group.Kind]--
	}
	r.places[id] = p
	r.counts[p.group.Kind]++
}

// Place returns the group that a record was noted in, and the time that it says of itself.
func (r *Register) Place(id ID) (of Group, at time.Time, ok bool) {
	if r.dir == "" {
		return of, at, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load()
	p, ok := r.places[id]
	return p.group, p.time, ok
}

// Get returns what was noted of a record. Only one group is in memory at a time, so ask for those of a group together. The content must not be changed.
func (r *Register) Get(id ID) (Note, bool) {
	if r.dir == "" {
		return Note{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load()
	if n := r.added[id]; n != nil {
		return *n, true
	}
	p, ok := r.places[id]
	if !ok {
		return Note{}, false
	}
	if r.notes == nil || r.group != p.group {
		r.group, r.notes = p.group, r.readGroup(p.group)
	}
	n := r.notes[id]
	if n == nil { // another process wrote the file
		return Note{}, false
	}
	return *n, true
}

// Put notes a record. What of was noted before is forgotten.
func (r *Register) Put(of Group, n Note) {
	if r.dir == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load()
	if before, ok := r.places[n.ID]; ok && before.group != of {
		r.moved[before.group] = true
	}
	r.set(n.ID, place{of, n.Time})
	r.added[n.ID], r.moved[of] = &n, true
}

// Count returns how many records of a kind are noted.
func (r *Register) Count(kind string) int {
	if r.dir == "" {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load()
	return r.counts[kind]
}

// Retain forgets the records of a kind that are not there any more.
func (r *Register) Retain(kind string, there func(ID) bool) {
	if r.dir == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load()
	for id, p := range r.places {
		if p.group.Kind == kind && !there(id) {
			delete(r.places, id)
			delete(r.added, id)
			r.counts[kind]--
			r.moved[p.group] = true
		}
	}
}

// Flush writes what is new. What fails costs time only.
func (r *Register) Flush() error {
	if r.dir == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.moved) == 0 {
		return nil
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("keep records: %w", err)
	}
	added := map[Group][]*Note{}
	for id, n := range r.added {
		of := r.places[id].group
		added[of] = append(added[of], n)
	}
	for of := range r.moved {
		notes := r.readGroup(of)
		for _, n := range added[of] {
			notes[n.ID] = n
		}
		var all []Note
		for id, n := range notes {
			if r.places[id].group == of {
				all = append(all, *n)
			}
		}
		if err := r.writeGroup(of, all); err != nil {
			return err
		}
	}
	if err := r.write(rosterName, r.roster()); err != nil {
		return err
	}
	r.notes = nil
	clear(r.added)
	clear(r.moved)
	return nil
}

func (r *Register) roster() *roster {
	at := map[Group]int{}
	var all roster
	for id, p := range r.places {
		i, ok := at[p.group]
		if !ok {
			i = len(all.Groups)
			at[p.group], all.Groups = i, append(all.Groups, listed{Group: p.group})
		}
		g := &all.Groups[i]
		g.IDs, g.Times = append(g.IDs, id[:]...), append(g.Times, p.time.UnixNano())
	}
	return &all
}

func (r *Register) readGroup(of Group) map[ID]*Note {
	notes := map[ID]*Note{}
	var all []Note
	r.open(of.file(), &all)
	for i := range all {
		notes[all[i].ID] = &all[i]
	}
	return notes
}

func (r *Register) writeGroup(of Group, all []Note) error {
	if len(all) == 0 {
		if err := os.Remove(filepath.Join(r.dir, of.file())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep records: %w", err)
		}
		return nil
	}
	slices.SortFunc(all, func(a, b Note) int { return cmp.Or(a.Time.Compare(b.Time), bytes.Compare(a.ID[:], b.ID[:])) })
	return r.write(of.file(), all)
}

const rosterName = "roster"

func (g Group) file() string {
	sum := sha256.Sum256([]byte(g.Kind + "\x00" + g.Of))
	return hex.EncodeToString(sum[:16])
}

// open reads a file into v, and reports whether it is one of ours, and whole.
func (r *Register) open(name string, v any) bool {
	f, err := os.OpenFile(filepath.Join(r.dir, name), os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO would wait for a writer
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > FileMax {
		return false
	}
	sealed := make([]byte, info.Size())
	if _, err := io.ReadFull(f, sealed); err != nil {
		return false
	}
	plain, err := r.aead.Open(sealed[:0], nil, sealed, []byte(name))
	return err == nil && gob.NewDecoder(bytes.NewReader(plain)).Decode(v) == nil
}

// write writes a file beside and renames it: so a reader sees the old one or the new one. Nothing is synced.
func (r *Register) write(name string, v any) error {
	var plain bytes.Buffer
	if err := gob.NewEncoder(&plain).Encode(v); err != nil {
		return fmt.Errorf("keep records: %w", err)
	}
	path := filepath.Join(r.dir, name)
	temp := path + ".new" // two processes that write it at once tear it, at worst
	err := os.WriteFile(temp, r.aead.Seal(nil, nil, plain.Bytes(), []byte(name)), 0o600)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("keep records: %w", err)
	}
	return nil
}

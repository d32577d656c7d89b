// Package lists is what prune has condemned, what it has dropped, and what repair has given up: which places of chunks a writer must
// avoid, and which a reader subtracts from the indexes or tries last.
//
// A place is a pack, or a blob in a pack. A Set is made of all lists that were seen and does not change; asking it costs a look-up of the
// pack, and in a pack that is named for parts of it a binary search. Memory grows with what the lists name: about a hundred bytes for a
// pack and twenty for a blob.
//
// The package neither reads a repository nor judges signers. doc/format.md, section 9, is the format.
package lists

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/record"
)

// A Fate is what lists say of a place; both may hold.
type Fate byte

// The fates. 0: no list names it.
const (
	Condemned Fate = 1 << iota // it will go, unless an archive turns out to need it
	Dropped                    // it is gone
	Lost                       // it cannot be had any more: nobody builds on it, and who reads tries it last
	Disowned                   // a signer whose word counts no more says one of these: nobody builds on it
)

// A List is one record of these kinds.
type List struct {
	Fate  Fate
	Packs []index.ObjectID
	Blobs []record.Blobs

	Replaces []index.ObjectID // lists of what repair gave up that hold no more
	Unread   []index.ObjectID // condemned and dropped lists that nobody can read, and that stop nobody any more
	Chunks   []chunk.ID       // chunks, trees and lists that could be had from nowhere
	Objects  []index.ObjectID // archives and other records that are gone or cannot be read
}

// Parse parses a record of the kind condemned, dropped or lost, as it was stored at that time in a repository with that grace. What a void one names is to be
// avoided, and not taken for gone.
func Parse(kind string, content []byte, stored time.Time, grace time.Duration) (List, error) {
	switch kind {
	case record.CondemnedKind:
		var r record.Condemned
		err := record.Decode(content, &r)
		if r.Void(stored, grace) {
			r.Unread = nil
		}
		return List{Fate: Condemned, Packs: r.Packs, Blobs: r.Blobs, Unread: r.Unread}, err
	case record.DroppedKind:
		var r record.Dropped
		err := record.Decode(content, &r)
		if err == nil && r.Void(stored, grace) {
			// One that counted may have been stored again, by somebody who can do nothing else: what it names may be gone.
			return List{Fate: Condemned, Packs: r.Packs, Blobs: r.Blobs}, nil
		}
		return List{Fate: Dropped, Packs: r.Packs, Blobs: r.Blobs}, err
	case record.LostKind:
		var r record.Lost
		err := record.Decode(content, &r)
		l := List{Fate: Lost, Packs: r.Packs, Blobs: r.Blobs, Objects: r.Objects, Replaces: r.Replaces}
		for _, c := range r.Chunks {
			l.Chunks = append(l.Chunks, c.ID)
		}
		return l, err
	}
	return List{}, fmt.Errorf("parse record: %s is no list", kind)
}

// ParseDisowned parses a record of which the signer's key is marked compromised. What it names may be gone, so nobody builds on that, and nothing else follows from it.
func ParseDisowned(kind string, content []byte) (List, error) {
	l, err := Parse(kind, content, time.Time{}, 0)
	return List{Fate: Disowned, Packs: l.Packs, Blobs: l.Blobs}, err
}

// A Set is what a number of lists say together. The nil Set names nothing. It is safe for concurrent use.
type Set struct {
	lists   map[index.ObjectID]List
	packs   map[index.ObjectID]*parts
	chunks  map[chunk.ID]bool
	objects map[index.ObjectID]bool
	ended   map[index.ObjectID]bool
}

// parts are what is said of one pack.
type parts struct {
	all   Fate
	blobs []blob // in order
}

type blob struct {
	key    chunk.Key
	recipe bool
	fate   Fate
}

// New returns the Set of these lists, by the hashes in their names. It keeps the map.
func New(lists map[index.ObjectID]List) *Set {
	s := &Set{lists: lists, packs: map[index.ObjectID]*parts{}, chunks: map[chunk.ID]bool{}, objects: map[index.ObjectID]bool{}, ended: map[index.ObjectID]bool{}}
	of := func(id index.ObjectID) *parts {
		p := s.packs[id]
		if p == nil {
			p = new(parts)
			s.packs[id] = p
		}
		return p
	}
	replaced := map[index.ObjectID]bool{}
	for _, l := range lists {
		for _, id := range l.Replaces {
			replaced[id] = true
		}
	}
	for id, l := range lists {
		if l.Fate == Lost && replaced[id] {
			continue
		}
		for _, id := range l.Chunks {
			s.chunks[id] = true
		}
		for _, id := range l.Objects {
			s.objects[id] = true
		}
		for _, id := range l.Unread {
			s.ended[id] = true
		}
		for _, id := range l.Packs {
			of(id).all |= l.Fate
		}
		for _, b := range l.Blobs {
			p := of(b.Pack)
			for _, key := range b.Recipes {
				p.blobs = append(p.blobs, blob{key, true, l.Fate})
			}
			for _, keys := range []record.Keys{b.Trees, b.Chunks} { // two domains: no key is in both
				for _, key := range keys {
					p.blobs = append(p.blobs, blob{key, false, l.Fate})
				}
			}
		}
	}
	for _, p := range s.packs {
		slices.SortFunc(p.blobs, func(a, b blob) int { return bytes.Compare(a.key[:], b.key[:]) })
		p.blobs = slices.Clip(slices.Compact(p.blobs))
	}
	return s
}

// Lists returns what the Set was made of, which must not be changed.
func (s *Set) Lists() map[index.ObjectID]List {
	if s == nil {
		return nil
	}
	return s.lists
}

// And returns the Set of the lists of both.
func (s *Set) And(other *Set) *Set {
	all := map[index.ObjectID]List{}
	for _, one := range []*Set{s, other} {
		for id, l := range one.Lists() {
			all[id] = l
		}
	}
	return New(all)
}

// Chunk reports whether repair has given up a chunk, tree or list. It may have been stored again since.
func (s *Set) Chunk(id chunk.ID) bool { return s != nil && s.chunks[id] }

// Object reports whether repair has given up an archive or another record.
func (s *Set) Object(id index.ObjectID) bool { return s != nil && s.objects[id] }

// Ended reports whether what a list may have named that nobody can read is named by others.
func (s *Set) Ended(id index.ObjectID) bool { return s != nil && s.ended[id] }

// Empty reports whether no list names anything.
func (s *Set) Empty() bool { return s == nil || len(s.packs) == 0 }

// Pack returns what holds for all of a pack.
func (s *Set) Pack(id index.ObjectID) Fate {
	if s.Empty() {
		return 0
	}
	if p := s.packs[id]; p != nil {
		return p.all
	}
	return 0
}

// Damaged reports whether a list names what is lost, or may be: unlike prune's lists, those do not name all trees that lean
// on what they name.
func (s *Set) Damaged() bool {
	if s == nil {
		return false
	}
	for _, l := range s.lists {
		if l.Fate&(Lost|Disowned) != 0 && (len(l.Packs) > 0 || len(l.Blobs) > 0) {
			return true
		}
	}
	return false
}

// Touches reports whether a pack is named, be it for a part of it only.
func (s *Set) Touches(id index.ObjectID) bool { return !s.Empty() && s.packs[id] != nil }

// Blob returns what holds for one blob of a pack.
func (s *Set) Blob(id index.ObjectID, key chunk.Key, typ pack.Type) Fate {
	if s.Empty() {
		return 0
	}
	p := s.packs[id]
	if p == nil {
		return 0
	}
	fate := p.all
	if len(p.blobs) == 0 || typ >= pack.SignatureOf { // signatures go with their packs only
		return fate
	}
	i, _ := slices.BinarySearchFunc(p.blobs, key, func(b blob, key chunk.Key) int { return bytes.Compare(b.key[:], key[:]) })
	for ; i < len(p.blobs) && p.blobs[i].key == key; i++ {
		if p.blobs[i].recipe == (typ >= pack.RecipeFor) {
			fate |= p.blobs[i].fate
		}
	}
	return fate
}

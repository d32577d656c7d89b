// Package record is the codec of what maintenance writes into a repository: small records in JSON that say what retention gave
// up, what prune is about to take away and has taken away, and what repair had to give up. doc/format.md, section 9.
//
// The package neither seals, signs nor stores: what it is given to parse has been authenticated, and is checked all the same. Whether
// a signer may say such things is for package sealed.
package record

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"nightjar/chunk"
	"nightjar/internal/versioned"
	"nightjar/repo/index"
)

// MaxSize is how many bytes a record may have. Lists that would be longer are split.
const MaxSize = 16 << 20

// bounds are such that what is split by MaxSize has no more of anything.
var bounds = versioned.Bounds{Bytes: MaxSize, Objects: 1 << 18, Values: 1 << 21}

// The kinds of records: the folders in which they lie.
const (
	ForgetKind    = "forget"
	CondemnedKind = "condemned"
	DroppedKind   = "dropped"
	VerifiedKind  = "verified"
	LostKind      = "lost"
)

// Forget says that retention gave archives up. They go when the record's store time is a grace period ago.
type Forget struct {
	Version  int         `json:"version"`
	Archives []Forgotten `json:"archives"`
}

// Forgotten is an archive that was given up, with what must be known of it when it is gone.
type Forgotten struct {
	Archive     index.ObjectID `json:"archive"`
	Host        string         `json:"host"`
	Job         Text           `json:"job"`
	Time        time.Time      `json:"time"`                  // the archive's
	Predecessor string         `json:"predecessor,omitempty"` // as in the archive
	Reason      string         `json:"reason"`
}

// Condemned names what will go. Whoever has seen the list refers to nothing in it.
type Condemned struct {
	Version int              `json:"version"`
	Packs   []index.ObjectID `json:"packs"`
	Blobs   []Blobs          `json:"blobs,omitempty"`  // in other packs
	Unread  []index.ObjectID `json:"unread,omitempty"` // lists that nobody can read: what they may have named is condemned, and they go with this one
	View    time.Time        `json:"view"`             // store time before what was looked at was listed
}

// Void reports whether a list was stored too late after its view to stand for those that nobody can read.
func (c *Condemned) Void(stored time.Time, grace time.Duration) bool {
	return stored.Sub(c.View) > grace/2
}

// Blobs are parts of a pack that stays, useless or about to be.
type Blobs struct {
	Pack    index.ObjectID `json:"pack"`
	Recipes Keys           `json:"recipes,omitempty"`
	Trees   Keys           `json:"trees,omitempty"`  // and lists
	Chunks  Keys           `json:"chunks,omitempty"` // of content, stored as themselves; only what is lost
}

// Dropped names what is gone: the indexes count without it.
type Dropped struct {
	Version   int              `json:"version"`
	Packs     []index.ObjectID `json:"packs"`
	Blobs     []Blobs          `json:"blobs,omitempty"`
	Condemned index.ObjectID   `json:"condemned"` // the list that it ends
	View      time.Time        `json:"view"`      // store time before what was looked at was listed
}

// Void reports whether a list was stored too late after its view to count: other lists may have said otherwise meanwhile.
func (d *Dropped) Void(stored time.Time, grace time.Duration) bool {
	return stored.Sub(d.View) > grace/2
}

// Verified says of archives that were late, and, if the root signs it, of objects of a signer that lost its trust later, that they count.
type Verified struct {
	Version  int              `json:"version"`
	Archives []index.ObjectID `json:"archives"`          // that count though they are late
	Objects  []index.ObjectID `json:"objects,omitempty"` // archives among them, of a signer that lost its trust: these count all the same
	View     time.Time        `json:"view"`
}

// Lost says what repair gave up: places that nobody may build on any more, though indexes name them, and what could not be had from anywhere else.
type Lost struct {
	Version  int              `json:"version"`
	Packs    []index.ObjectID `json:"packs,omitempty"`   // as a whole
	Blobs    []Blobs          `json:"blobs,omitempty"`   // in other packs
	Objects  []index.ObjectID `json:"objects,omitempty"` // archives and other records that are gone or cannot be read
	Chunks   []LostChunk      `json:"chunks,omitempty"`
	Archives []index.ObjectID `json:"archives,omitempty"` // that are touched
	Replaces []index.ObjectID `json:"replaces,omitempty"` // lost records that hold no more: what is still lost of them is in others
}

// LostChunk is a chunk, tree or list that cannot be had any more, and some of the files that it was in.
type LostChunk struct {
	ID    chunk.ID `json:"id"`
	Paths []Text   `json:"paths"`
}

// Keys are halves of chunk ids; encoded, one string.
type Keys []chunk.Key

// MarshalText encodes the keys, one after another, in base64.
func (k Keys) MarshalText() ([]byte, error) {
	all := make([]byte, 0, len(k)*len(chunk.Key{}))
	for _, key := range k {
		all = append(all, key[:]...)
	}
	return base64.StdEncoding.AppendEncode(nil, all), nil
}

// UnmarshalText undoes MarshalText.
func (k *Keys) UnmarshalText(text []byte) error {
	all, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("parse keys: %w", err)
	}
	if len(all)%len(chunk.Key{}) != 0 {
		return errors.New("parse keys: the last is cut off")
	}
	*k = make(Keys, 0, len(all)/len(chunk.Key{}))
	for ; len(all) > 0; all = all[len(chunk.Key{}):] {
		*k = append(*k, chunk.Key(all))
	}
	return nil
}

// Encode returns v, one of the records, as it is stored.
func Encode(v any) ([]byte, error) {
	return versioned.Encode(v, bounds)
}

// Decode parses a record into v, a pointer to its type. Members that are not known are ignored.
func Decode(b []byte, v any) error {
	return versioned.Parse(b, v, bounds)
}

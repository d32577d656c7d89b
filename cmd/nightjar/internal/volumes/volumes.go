// Package volumes says what an archive of EBS snapshots has of volumes, and reads them straight from the repository, block by block.
//
// The invariant: what is handed on was authenticated, and comes in order with its place. The package writes nothing, and calls no server but the
// repository's.
package volumes

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"path"
	"regexp"
	"strings"

	"golang.org/x/sync/errgroup"

	"nightjar/backup/browse"
	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// An archive of this kind has each volume as a file in the folder, with what is known of it in a note.
const Kind repo.Text = "ebs"

const (
	Folder = "volumes" // of the files
	note   = "ebs"
)

// Labels of such an archive.
const (
	LabelSet         repo.Text = "set"       // id of the set; missing if the snapshot is of none
	LabelRegion      repo.Text = "region"    // of the snapshots
	LabelSnapshots   repo.Text = "snapshots" // VOLUME=SNAPSHOT, separated by spaces
	LabelTime        repo.Text = "time"      // when they were taken
	LabelConsistency repo.Text = "consistency"
	LabelPosition    repo.Text = "position" // FILE:OFFSET
	LabelGTIDs       repo.Text = "gtids"    // the whole set
	LabelServer      repo.Text = "server"
	LabelTags        repo.Text = "set-tags" // JSON: the tags that all snapshots of the set have
)

// Own are the labels that only the archive itself may have.
var Own = []repo.Text{LabelSet, LabelRegion, LabelSnapshots, LabelTime, LabelConsistency, LabelPosition, LabelGTIDs, LabelServer, LabelTags}

// A Volume is what an archive says of one.
type Volume struct {
	ID        string `json:"volume"`
	Snapshot  string `json:"snapshot"`
	Region    string `json:"region"`
	GiB       int64  `json:"gib"`
	Device    string `json:"device,omitempty"`
	Mount     string `json:"mount,omitempty"`
	FS        string `json:"fs,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"`
	KMSKey    string `json:"kms_key,omitempty"`

	Path     string        `json:"-"` // in the archive
	Contents tree.Contents `json:"-"`
}

// Path is where a volume stands in an archive.
func Path(id string) string { return Folder + "/" + id + ".img" }

// Noter takes a note, as a content of a run does.
type Noter interface {
	Note(name, value string) error
}

// Note writes down what is known of a volume.
func (v *Volume) Note(n Noter) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return n.Note(note, string(text))
}

var isID = regexp.MustCompile(`^(vol|snap)-[0-9a-z]{1,60}$`)

// Snapshots reads the label of that name.
func Snapshots(l repo.Labels) map[string]string {
	of := map[string]string{}
	for pair := range strings.FieldsSeq(string(l[LabelSnapshots])) {
		if v, s, ok := strings.Cut(pair, "="); ok && isID.MatchString(v) && isID.MatchString(s) {
			of[v] = s
		}
	}
	return of
}

// List returns the volumes of an archive, sorted by their paths.
func List(ctx context.Context, rd *repo.Reader, a *repo.Archive) (all []Volume, err error) {
	if a.Kind != Kind {
		return nil, fmt.Errorf("read the volumes of archive %.8s: it is of kind %q", a.ID, a.Kind)
	}
	err = browse.List(ctx, rd, a, Folder, true, func(name string, n *tree.Node) error {
		if !n.IsRegular() {
			return nil
		}
		var v Volume
		if err := json.Unmarshal([]byte(n.Notes()[note]), &v); err != nil {
			return fmt.Errorf("read the note of %q: %w", name, err)
		}
		v.Path, v.Contents = strings.TrimPrefix(name, "/"), n.Contents
		if !isID.MatchString(v.ID) || v.Path != Path(v.ID) || n.Contents.Size() != v.GiB<<30 {
			return fmt.Errorf("read the note of %q: it is of another file", name)
		}
		all = append(all, v)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read archive %.8s: %w", a.ID, err)
	}
	return all, nil
}

// Match reports whether a path that somebody has named, or the volume's own id, is this one; an empty path is all.
func (v *Volume) Match(name string) bool {
	return name == "" || name == v.ID || path.Clean("/"+name) == "/"+v.Path || path.Clean("/"+name) == "/"+Folder
}

// A Piece is one chunk of a volume, or a hole.
type Piece struct {
	At     int64
	Length int64
	Hole   bool
	id     chunk.ID
}

// A Source has chunks and lists; a *repo.Reader is one.
type Source interface {
	Fetch(ctx context.Context, ids []chunk.ID, deliver func(i int, data []byte, err error) error) error
	Fetcher(ctx context.Context) func(chunk.ID) ([]byte, error)
}

// Walk yields the pieces of a volume, in order; an error is the last that it yields.
func Walk(ctx context.Context, from Source, c tree.Contents) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		at := int64(0)
		err := tree.Walk(c, from.Fetcher(ctx), func(i tree.Item) error {
			p := Piece{at, i.Length, i.Hole, i.ID}
			at += i.Length
			if !yield(p, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && err != errStop {
			yield(Piece{}, err)
		}
	}
}

var errStop = fmt.Errorf("enough was seen")

// Batches of pieces are fetched while the one before is handed on.
const (
	batchBytes  = 16 << 20
	batchPieces = 1024
)

type batch struct {
	pieces []Piece
	data   [][]byte
}

// Copy hands pieces on in order, each with its content; of a hole that is nil.
func Copy(ctx context.Context, from Source, pieces iter.Seq2[Piece, error], f func(p Piece, data []byte) error) error {
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan *batch)
	g.Go(func() error {
		defer close(ready)
		b, size := new(batch), int64(0)
		send := func() error {
			if err := b.fetch(ctx, from); err != nil {
				return err
			}
			select {
			case ready <- b:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			b, size = new(batch), 0
			return nil
		}
		for p, err := range pieces {
			if err != nil {
				return err
			}
			if b.pieces = append(b.pieces, p); !p.Hole {
				size += p.Length
			}
			if size >= batchBytes || len(b.pieces) == batchPieces {
				if err := send(); err != nil {
					return err
				}
			}
		}
		return send()
	})
	g.Go(func() error {
		for b := range ready {
			for i, p := range b.pieces {
				if err := f(p, b.data[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return g.Wait()
}

func (b *batch) fetch(ctx context.Context, from Source) error {
	b.data = make([][]byte, len(b.pieces))
	var ids []chunk.ID
	var of []int
	for i, p := range b.pieces {
		if !p.Hole && p.id != (chunk.ID{}) {
			ids, of = append(ids, p.id), append(of, i)
		}
	}
	return from.Fetch(ctx, ids, func(i int, data []byte, err error) error {
		p := b.pieces[of[i]]
		if err == nil && int64(len(data)) != p.Length {
			err = fmt.Errorf("chunk %v has %d bytes, not %d", p.id, len(data), p.Length)
		}
		if err != nil {
			return fmt.Errorf("at %d: %w", p.At, err)
		}
		b.data[of[i]] = append([]byte(nil), data...)
		return nil
	})
}

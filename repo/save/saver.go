package save

import (
	"fmt"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/fill"
	"nightjar/repo/pack"
	"nightjar/repo/tree"
)

// A Saver saves what one goroutine has. Chunks that it saves after one another share frames.
type Saver struct {
	w                 *Writer
	frames            *fill.Frames
	encoder           encoder
	content, metadata *chunk.Namer
	encoded           []byte // a recipe or signature in the making
	last              Outcome
}

// An Outcome says what became of a chunk of content.
type Outcome struct {
	Known   bool // it was stored already, or is on its way
	Delta   bool // it is stored as what changed
	Literal int  // that, in bytes before compression
}

// Last returns what became of the chunk that Content or ContentAt saved last.
func (s *Saver) Last() Outcome { return s.last }

// A Place is where a chunk stands in its file.
type Place struct {
	Offset int64
	// Page is the size in bytes of the file's pages, from 1 to 64 KiB, if it has pages that change one by one, as files of
	// databases have: then a page that changes costs less, and a first backup of them some 8% more. Any other number: it has none.
	Page int
	// Fine says that it changes in few bytes at many places, as the rows of a table do that follow one another, one a line: the
	// price and the gain are those of pages, and both are more where lines are short.
	Fine bool
}

// A piece is what is saved at once: a chunk of content, a tree, a list, or the literal of a recipe for one.
type piece struct {
	id   chunk.ID
	typ  pack.Type // as it is stored if it is whole
	data []byte

	// Of content: where its file has it, and what the file held before; nil if nothing is known of that.
	place  Place
	before *Past
	// Of trees and lists: stored ones that it resembles.
	others []tree.Item

	literal bool
	runs    []int // of a literal: lengths after which the grid of its signature restarts
}

func (p *piece) kind() string {
	if p.typ == pack.WholeContent {
		return "chunk"
	}
	return "metadata"
}

// NewSaver returns a Saver for one goroutine, which must have stopped saving when the function that was given the Writer
// returns.
func (w *Writer) NewSaver() (*Saver, error) {
	frames, err := w.packs.NewFrames()
	if err != nil {
		return nil, err
	}
	return &Saver{w: w, frames: frames, encoder: newEncoder(w), content: w.r.Namer(), metadata: chunk.NewNamer(w.r.Secret(), chunk.Metadata)}, nil
}

// Content saves a chunk of content, at most chunk.MaxSize bytes, unless it is known. It keeps nothing of data, as no method
// does.
func (s *Saver) Content(data []byte) (chunk.ID, error) { return s.ContentAt(data, Place{}, nil) }

// ContentAt is Content for a chunk of a file whose earlier content is known: what stands near its place there is
// not sent again. before may be nil.
func (s *Saver) ContentAt(data []byte, at Place, before *Past) (chunk.ID, error) {
	return s.save(piece{typ: pack.WholeContent, data: data, place: at, before: before})
}

// Tree saves a tree unless it is known.
func (s *Saver) Tree(encoded []byte) (chunk.ID, error) { return s.TreeLike(encoded, nil) }

// TreeLike is Tree for one that resembles others that are stored: what they have is not sent again.
func (s *Saver) TreeLike(encoded []byte, others []tree.Item) (chunk.ID, error) {
	return s.save(piece{typ: pack.WholeTree, data: encoded, others: others})
}

// List saves a list unless it is known.
func (s *Saver) List(list []byte) (chunk.ID, error) {
	return s.save(piece{typ: pack.WholeList, data: list})
}

// Again saves a chunk of content as itself, whatever is known of it.
func (s *Saver) Again(data []byte) error {
	return s.frames.Content(pack.ClassOf(data), data, pack.Blob{Key: s.content.ID(data).Key(), Type: pack.WholeContent, Length: len(data)})
}

// save stores a piece in the form that the encoder chooses.
func (s *Saver) save(p piece) (chunk.ID, error) {
	if len(p.data) > chunk.MaxSize {
		return chunk.ID{}, fmt.Errorf("save %s: %d bytes are too many", p.kind(), len(p.data))
	}
	if p.typ == pack.WholeContent {
		p.id = s.content.ID(p.data)
	} else {
		p.id = s.metadata.ID(p.data)
	}
	form, m, err := s.encoder.decide(&p)
	if err != nil {
		return p.id, err
	}
	if p.typ == pack.WholeContent && !p.literal {
		s.last = Outcome{Known: form == known, Delta: form == recipe}
		if form == recipe {
			s.last.Literal = m.Recipe.Literal.Length
		}
		s.w.Sent.count(len(p.data), s.last)
	}
	switch form {
	case known:
		err = s.signKnown(&p)
	case recipe:
		err = s.recipe(&p, m)
	default:
		err = s.whole(&p)
	}
	return p.id, err
}

// whole stores a piece as itself, and its signature if it may be worth it.
func (s *Saver) whole(p *piece) error {
	if p.typ != pack.WholeContent {
		return s.blob(p.typ, p.id, p.data)
	}
	class := pack.ClassOf(p.data)
	if p.signable() && (class != pack.Opaque || p.literal || p.before.changes()) {
		if err := s.sign(p); err != nil {
			return err
		}
	}
	b := pack.Blob{Key: p.id.Key(), Type: p.typ, Length: len(p.data)}
	if p.literal {
		return s.frames.Literal(class, p.data, b)
	}
	return s.frames.Content(class, p.data, b)
}

// recipe stores how a piece is put together, and the literal of that.
func (s *Saver) recipe(p *piece, m *delta.Match) (err error) {
	r := &m.Recipe
	if r.Literal.Length > 0 {
		literal := piece{typ: p.typ, data: m.Literal, literal: true, runs: m.Runs, place: Place{Fine: p.place.Fine}}
		if delta.Paged(p.place.Page) {
			literal.place.Page, literal.runs = p.place.Page, m.PageRuns(p.place.Offset, p.place.Page)
		}
		if r.Literal.ID, err = s.save(literal); err != nil {
			return fmt.Errorf("save literal of %v: %w", p.id, err)
		}
	}
	s.encoded = r.Append(s.encoded[:0])
	return s.blob(pack.RecipeFor+p.typ, p.id, s.encoded)
}

// blob stores metadata under an id.
func (s *Saver) blob(typ pack.Type, id chunk.ID, encoded []byte) error {
	s.w.Sent.Metadata.Add(uint64(len(encoded)))
	return s.frames.Metadata(encoded, pack.Blob{Key: id.Key(), Type: typ, Length: len(encoded)})
}

// count counts a chunk of content.
func (s *Sent) count(length int, o Outcome) {
	if o.Known {
		s.ChunksKnown.Add(1)
		s.PlainKnown.Add(uint64(length))
		return
	}
	s.ChunksNew.Add(1)
	s.PlainNew.Add(uint64(length))
	if o.Delta {
		s.Deltas.Add(1)
		s.Literals.Add(uint64(o.Literal))
	}
}

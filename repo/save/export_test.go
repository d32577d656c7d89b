package save

import (
	"context"
	"time"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/pack"
)

// What tests that lie to a repository, or end a minute, reach for.

func (s *Saver) Put(class pack.Class, data []byte, b pack.Blob) error {
	return s.frames.Content(class, data, b)
}

func (s *Saver) Sign(id chunk.ID, data []byte, runs []int) error {
	return s.sign(&piece{id: id, typ: pack.WholeContent, data: data, runs: runs})
}

func (s *Saver) Recipe(whole pack.Type, id chunk.ID, r *delta.Recipe) error {
	return s.blob(pack.RecipeFor+whole, id, r.Append(nil))
}

func (s *Saver) ID(data []byte) chunk.ID { return s.content.ID(data) }

func (w *Writer) WriteIndex(ctx context.Context) error { return w.writeIndex(ctx, false) }

func (w *Writer) Views() []time.Time { return w.view.Views() }

package prune

import (
	"encoding/binary"
	"testing"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/record"
)

// What is too long for one list comes in several, none too long, with nothing lost and blobs first.
func TestListsAreSplit(t *testing.T) {
	var packs, keys, lists int
	w := &listWriter{put: func(ids []index.ObjectID, blobs []record.Blobs) error {
		content, err := record.Encode(&record.Condemned{Packs: ids, Blobs: blobs})
		if err != nil {
			return err
		}
		if lists++; len(content) < record.MaxSize/2 && packs+len(ids) < 400_000 {
			t.Errorf("list %d has %d bytes only", lists, len(content))
		}
		if packs > 0 && len(blobs) > 0 {
			t.Error("blobs come after packs")
		}
		packs += len(ids)
		for _, b := range blobs {
			keys += len(b.Recipes) + len(b.Trees)
		}
		return nil
	}}
	for i := range 20_000 {
		b := record.Blobs{Recipes: make(record.Keys, 1+i%80), Trees: make(record.Keys, i%3)}
		for j := range b.Recipes {
			b.Recipes[j] = chunk.Key{byte(i), byte(j)}
		}
		if err := w.blob(b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 400_000 {
		var id index.ObjectID
		binary.LittleEndian.PutUint32(id[:], uint32(i))
		if err := w.pack(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	if packs != 400_000 || keys != 20_000/80*81*40+19_999 || lists < 3 || lists != w.lists {
		t.Errorf("%d packs and %d keys in %d lists", packs, keys, lists)
	}
}

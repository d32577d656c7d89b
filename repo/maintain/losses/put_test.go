package losses

import (
	"context"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/record"
	"nightjar/repo/store"
)

// Losses that are too many for one record are in several.
func TestPutSplits(t *testing.T) {
	ctx := context.Background()
	key, err := crypto.Generate("host", time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := store.NewMemory(nil)
	keys, err := repo.Init(ctx, s, repo.InitOptions{HostName: "host", Host: key, Recovery: []*crypto.Key{key}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := repo.OpenContent(ctx, s, keys, keyring.Held(key), repo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l := record.Lost{Packs: []index.ObjectID{{1}}, Archives: []index.ObjectID{{2}}}
	path := record.Text("/" + strings.Repeat("p", 4000))
	const chunks = 10_000
	for i := range chunks {
		l.Chunks = append(l.Chunks, record.LostChunk{ID: chunk.ID{byte(i), byte(i >> 8)}, Paths: []record.Text{path}})
	}
	if err := Put(ctx, r, l); err != nil {
		t.Fatal(err)
	}
	if err := r.SyncIndex(ctx); err != nil {
		t.Fatal(err)
	}
	for i, c := range l.Chunks {
		if !r.Lists().Chunk(c.ID) {
			t.Fatalf("chunk %d is not recorded", i)
		}
	}
	if r.Lists().Pack(index.ObjectID{1}) == 0 || r.Lists().Pack(index.ObjectID{2}) != 0 {
		t.Error("packs are not recorded")
	}
}

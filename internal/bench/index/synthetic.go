package main

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"

	"golang.org/x/sync/errgroup"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

const (
	objectChunks = 250_000 // a writer's index objects hold about as many
	ownFrames    = 16      // frames of a pack, of about a megabyte
	sharedChunks = 64      // small chunks in such a frame
	sessionSize  = 96      // bytes, with curve25519
)

// chunkID spreads numbers like hashes: two rounds of SplitMix64's finalizer.
func chunkID(n int) (id chunk.ID) {
	binary.BigEndian.PutUint64(id[:], mix(uint64(n)))
	binary.BigEndian.PutUint64(id[8:], mix(^uint64(n)))
	return id
}

func mix(z uint64) uint64 {
	z *= 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// object makes an index object of the chunks from first on, in full packs. A share of them, large, has frames to themselves.
func object(first, n int, large float64) *index.Object {
	random := rand.NewChaCha8([32]byte{byte(first), byte(first >> 8), byte(first >> 16), byte(first >> 24), byte(first >> 32)})
	r := rand.New(random)
	var packs []index.Pack
	add := func(end, share int) {
		for first < end {
			p := index.Pack{Size: 16<<20 + 1024, Session: make([]byte, sessionSize),
				Directory: pack.Directory{Kind: pack.Content, Owner: hostName}}
			_, _ = random.Read(p.ID[:]) // which never fails
			_, _ = random.Read(p.Session)
			for range ownFrames {
				f := pack.Frame{Stored: 900_000 + r.IntN(100_000)}
				for range min(share, end-first) {
					b := pack.Blob{Key: chunkID(first).Key(), Type: pack.WholeContent, Length: r.IntN(2 << 20 / share)}
					f.Blobs, f.Plain = append(f.Blobs, b), f.Plain+b.Length
					first++
				}
				var hash [32]byte
				_, _ = random.Read(hash[:])
				p.Directory.Frames, p.Hashes = append(p.Directory.Frames, f), append(p.Hashes, hash)
			}
			packs = append(packs, p)
		}
	}
	end := first + n
	add(first+int(float64(n)*large), 1)
	add(end, sharedChunks)
	return &index.Object{Runs: []index.Run{{Owner: hostName, Packs: packs}}}
}

// fill stores index objects of chunks numbered from first to end, signed by the root.
func fill(ctx context.Context, r *repo.Repository, first, end int, large float64) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for first := first; first < end && gctx.Err() == nil; first += objectChunks {
		g.Go(func() error {
			_, err := r.AddIndex(gctx, object(first, min(objectChunks, end-first), large))
			return err
		})
	}
	return errors.Join(g.Wait(), ctx.Err())
}

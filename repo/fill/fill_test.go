package fill

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var key = sync.OnceValue(func() *crypto.Key { return must(crypto.Generate("host", noon.Add(-time.Hour), nil)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func now() time.Time { return noon }

// A place is where packs go.
type place struct {
	t   testing.TB
	err error // of Put

	mu         sync.Mutex
	packs      []index.Pack // that were put
	stored     int          // of which Packs have told
	blobs      map[chunk.Key][]byte
	compressed atomic.Uint64
}

func (p *place) fill(ctx context.Context) (*Packs, context.Context) {
	p.t.Helper()
	p.blobs = map[chunk.Key][]byte{}
	ctx, fail := context.WithCancelCause(ctx)
	p.t.Cleanup(func() { fail(nil) })
	packs, err := New(ctx, fail, Options{Compression: pack.Default, Connections: 2, Compressed: &p.compressed, Put: p.put,
		Stored: func(index.Pack) error { p.mu.Lock(); defer p.mu.Unlock(); p.stored++; return nil },
		Sealer: func(kind pack.Kind) (*crypto.Sealer, error) {
			return crypto.NewSealer(key().Public(), key(), crypto.Binding{Repository: "place", Kind: kind.String()}, rand.Reader, now)
		}})
	if err != nil {
		p.t.Fatal(err)
	}
	return packs, ctx
}

// put opens a pack and keeps what is in it.
func (p *place) put(entry index.Pack, object []byte) error {
	if p.err != nil {
		return p.err
	}
	kind := entry.Directory.Kind
	opened, err := crypto.NewOpener(key()).Open(bytes.Clone(object), []crypto.Signer{{Key: key()}}, crypto.Binding{Repository: "place", Kind: kind.String()}, noon)
	if err != nil {
		return err
	}
	if damaged := sealed.CheckFrames(object, &entry); len(damaged) > 0 || entry.Size != int64(len(object)) {
		return fmt.Errorf("frames %v are not what the entry says", damaged)
	}
	d := must(pack.NewDecompressor())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packs = append(p.packs, entry)
	plain := opened.Plain
	if len(plain) > pack.FullPlain {
		return fmt.Errorf("a pack of %d bytes", len(plain))
	}
	for _, f := range entry.Directory.Frames {
		data, err := d.Frame(nil, plain[:f.Stored], f.Plain)
		if err != nil {
			return err
		}
		plain = plain[f.Stored:]
		for _, b := range f.Blobs {
			p.blobs[b.Key] = data[:b.Length]
			data = data[b.Length:]
		}
	}
	return nil
}

// frames returns what comes together, pack by pack.
func (p *place) frames() (all []pack.Frame) {
	for _, entry := range p.packs {
		all = append(all, entry.Directory.Frames...)
	}
	return all
}

// What several goroutines put in comes out, in packs that are full but for the last.
func TestPacks(t *testing.T) {
	p := &place{t: t}
	packs, _ := p.fill(t.Context())
	var mu sync.Mutex
	want := map[chunk.Key][]byte{}
	var wait sync.WaitGroup
	for g := range 3 {
		f := must(packs.NewFrames())
		random := mathrand.New(mathrand.NewPCG(1, uint64(g)))
		wait.Go(func() {
			for range 100 {
				n := random.IntN(200_000)
				if random.IntN(10) == 0 {
					n += ownFrame
				}
				data, b := make([]byte, n), pack.Blob{Type: pack.WholeContent, Length: n}
				_, _ = rand.Read(data)
				_, _ = rand.Read(b.Key[:])
				var err error
				switch class := pack.Class(random.IntN(int(pack.Classes))); random.IntN(3) {
				case 0:
					err = f.Content(class, data, b)
				case 1:
					err = f.Literal(class, data, b)
				default:
					b.Type = []pack.Type{pack.WholeTree, pack.WholeList, pack.RecipeFor + pack.WholeContent, pack.SignatureOf + pack.WholeContent}[random.IntN(4)]
					b.Length = min(n, metadataFrame)
					data = data[:b.Length]
					err = f.Metadata(data, b)
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				want[b.Key] = data
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if err := packs.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(p.blobs) != len(want) || p.stored != len(p.packs) {
		t.Errorf("%d of %d blobs came out, %d of %d packs are stored", len(p.blobs), len(want), p.stored, len(p.packs))
	}
	for key, data := range want {
		if !bytes.Equal(p.blobs[key], data) {
			t.Fatalf("blob %x came out as other bytes", key)
		}
	}
	p.wantFilled()
}

// wantFilled fails unless all packs of a kind but one are full, and frames are within their bounds.
func (p *place) wantFilled() {
	p.t.Helper()
	small := map[pack.Kind]int{}
	content := uint64(0)
	for _, entry := range p.packs {
		d := entry.Directory
		if entry.Size < packSize-2*sharedFrame {
			small[d.Kind]++
		}
		for _, f := range d.Frames {
			own := len(f.Blobs) == 1 && f.Plain >= ownFrame
			if d.Kind == pack.Content {
				content += uint64(f.Stored)
			}
			if limit := map[pack.Kind]int{pack.Content: sharedFrame, pack.Metadata: metadataFrame}[d.Kind]; f.Plain > limit && !own {
				p.t.Errorf("a frame of %d bytes in a pack of %v", f.Plain, d.Kind)
			}
		}
	}
	if small[pack.Content] > 1 || small[pack.Metadata] > 1 {
		p.t.Errorf("small packs: %v", small)
	}
	if got := p.compressed.Load(); got != content {
		p.t.Errorf("%d bytes of content counted as %d", content, got)
	}
}

// Literals of several goroutines share frames, in the order in which they came; other chunks share those of their goroutine.
func TestLiterals(t *testing.T) {
	p := &place{t: t}
	packs, _ := p.fill(t.Context())
	one, other := must(packs.NewFrames()), must(packs.NewFrames())
	var literals, ones []chunk.Key
	for i := range byte(10) {
		for g, f := range []*Frames{one, other} {
			literal, chunk := pack.Blob{Key: chunk.Key{i, byte(g), 1}, Type: pack.WholeContent, Length: 5}, pack.Blob{Key: chunk.Key{i, byte(g), 2}, Type: pack.WholeContent, Length: 5}
			if err := errors.Join(f.Literal(pack.Text, []byte("a bit"), literal), f.Content(pack.Text, []byte("a bit"), chunk)); err != nil {
				t.Fatal(err)
			}
			if literals = append(literals, literal.Key); g == 0 {
				ones = append(ones, chunk.Key)
			}
		}
	}
	if err := packs.Flush(); err != nil {
		t.Fatal(err)
	}
	var together [][]chunk.Key
	for _, f := range p.frames() {
		var keys []chunk.Key
		for _, b := range f.Blobs {
			keys = append(keys, b.Key)
		}
		together = append(together, keys)
	}
	for _, want := range [][]chunk.Key{literals, ones} {
		if !slices.ContainsFunc(together, func(keys []chunk.Key) bool { return slices.Equal(keys, want) }) {
			t.Errorf("%x do not share a frame", want)
		}
	}
	if len(together) != 3 {
		t.Errorf("%d frames", len(together))
	}
}

// Of a run that fails, what has become a frame is sent, and nothing that is still open.
func TestSend(t *testing.T) {
	p := &place{t: t}
	packs, _ := p.fill(t.Context())
	f := must(packs.NewFrames())
	large := make([]byte, ownFrame)
	if err := errors.Join(f.Content(pack.Opaque, large, pack.Blob{Key: chunk.Key{1}, Type: pack.WholeContent, Length: len(large)}),
		f.Content(pack.Opaque, large[:9], pack.Blob{Key: chunk.Key{2}, Type: pack.WholeContent, Length: 9})); err != nil {
		t.Fatal(err)
	}
	packs.Send()
	if err := packs.Wait(); err != nil || len(p.blobs) != 1 || p.blobs[chunk.Key{1}] == nil {
		t.Errorf("%d chunks are sent, %v", len(p.blobs), err)
	}
}

// When a pack cannot be stored the run has failed: nobody can go on, and everybody hears why.
func TestPutFails(t *testing.T) {
	p := &place{t: t, err: errors.New("the disk is full")}
	packs, ctx := p.fill(t.Context())
	f := must(packs.NewFrames())
	var err error
	data := make([]byte, chunk.MaxSize)
	for i := range 100 {
		_, _ = rand.Read(data)
		if err = f.Content(pack.Opaque, data, pack.Blob{Key: chunk.Key{byte(i)}, Type: pack.WholeContent, Length: len(data)}); err != nil {
			break
		}
	}
	if !errors.Is(err, p.err) || !errors.Is(packs.Flush(), p.err) || !errors.Is(context.Cause(ctx), p.err) || p.stored > 0 {
		t.Errorf("it ended with %v, the run with %v, %d stored", err, context.Cause(ctx), p.stored)
	}
}

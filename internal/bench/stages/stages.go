// Package stages measures what saving a stream consists of, each stage alone and on all cores: cutting,
// naming, signing, compressing, sealing, storing. It says how fast a stream could be saved at most, if
// the other stages cost nothing. Every stage is the product's own code.
package stages

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/repo/pack"
	"nightjar/repo/store/directory"
)

// As a repository has them: bytes of a signature's block and of a pack's plaintext.
const (
	signBlock = 512
	packSize  = 16 << 20
)

// A Rate is what one stage does on all cores. Bytes are the stream's, also where a stage is
// handed what was compressed.
type Rate struct {
	Stage          string
	BytesPerSecond float64
}

// piece is a stretch of the stream as one stage hands it to the next.
type piece struct {
	plain int // bytes of the stream
	data  []byte
}

// worker is what one core does with each piece; it belongs to one goroutine.
type worker func(ctx context.Context, p piece) error

// path is what the stages share.
type path struct {
	rule   chunk.Rule
	secret chunk.Secret
	sealer *crypto.Sealer
	store  *directory.Store
	stored atomic.Int64 // objects
}

// Measure has every stage work on the sample again and again for about the given time. What it stores, it
// stores below dir, which must not exist and is removed.
func Measure(ctx context.Context, sample []byte, dir string, each time.Duration) (rates []Rate, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("measure stages: %w", err)
		}
	}()
	p, err := newPath(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.store.Close(), os.RemoveAll(dir)) }()
	chunks, err := p.chunks(sample)
	if err != nil {
		return nil, err
	}
	packs, err := packed(chunks, packSize)
	if err != nil {
		return nil, err
	}
	objects, err := p.sealed(packs)
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name   string
		pieces []piece
		worker func() (worker, error)
	}{
		{"cut", sections(sample), p.cut},
		{"name", chunks, p.name},
		{"sign blocks", chunks, p.sign},
		{"compress", chunks, compress},
		{"seal", packs, p.seal},
		{"store", objects, p.put},
	} {
		rate, err := measure(ctx, s.pieces, each, s.worker)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		rates = append(rates, Rate{s.name, rate})
	}
	return rates, nil
}

// Slowest returns the slowest of the rates, of which there is at least one.
func Slowest(rates []Rate) Rate {
	return slices.MinFunc(rates, func(a, b Rate) int {
		if a.BytesPerSecond < b.BytesPerSecond {
			return -1
		}
		return 1
	})
}

// InTurn returns the rate in bytes a second of all stages one after another, when each has all cores:
// what is left when they have to share them.
func InTurn(rates []Rate) float64 {
	var seconds float64
	for _, r := range rates {
		seconds += 1 / r.BytesPerSecond
	}
	return 1 / seconds
}

// measure has one worker a core take piece after piece until the time is up.
func measure(ctx context.Context, pieces []piece, each time.Duration, newWorker func() (worker, error)) (float64, error) {
	var next, done atomic.Int64
	workers, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() error {
			work, err := newWorker()
			if err != nil {
				return err
			}
			for ctx.Err() == nil {
				p := pieces[int(next.Add(1)-1)%len(pieces)]
				if err := work(ctx, p); err != nil {
					return err
				}
				done.Add(int64(p.plain))
				if time.Since(start) >= each {
					return nil
				}
			}
			return ctx.Err()
		})
	}
	if err := workers.Wait(); err != nil {
		return 0, err
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

func newPath(dir string) (*path, error) {
	p := new(path)
	var err error
	if p.rule, err = chunk.NewRule(rand.Reader); err != nil {
		return nil, err
	}
	rand.Read(p.secret[:]) // never fails
	key, err := crypto.Generate("bench", time.Now(), nil)
	if err != nil {
		return nil, err
	}
	binding := crypto.Binding{Repository: "bench", Kind: "content"}
	if p.sealer, err = crypto.NewSealer(key.Public(), key, binding, nil, time.Now); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	p.store, err = directory.Open(filepath.Clean(dir))
	return p, err
}

// sections divides the sample among cores that each cut a stream of their own.
func sections(sample []byte) []piece {
	var pieces []piece
	for s := range slices.Chunk(sample, packSize) {
		pieces = append(pieces, piece{len(s), s})
	}
	return pieces
}

// chunks cuts the whole sample.
func (p *path) chunks(sample []byte) ([]piece, error) {
	var pieces []piece
	c := chunk.NewCutter(p.rule)
	c.Reset(bytes.NewReader(sample))
	var buf []byte
	for at := 0; ; {
		var err error
		if buf, err = c.Next(buf); errors.Is(err, io.EOF) {
			return pieces, nil
		} else if err != nil {
			return nil, err
		}
		pieces = append(pieces, piece{len(buf), sample[at : at+len(buf)]})
		at += len(buf)
	}
}

// packed compresses chunks and joins their frames to packs of at most size bytes, unless one is longer.
func packed(chunks []piece, size int) ([]piece, error) {
	c, err := pack.NewCompressor(pack.Default)
	if err != nil {
		return nil, err
	}
	packs := make([]piece, 1)
	var frame []byte
	for _, ch := range chunks {
		frame = c.Append(frame[:0], ch.data, pack.ClassOf(ch.data))
		open := &packs[len(packs)-1]
		if open.plain > 0 && len(open.data)+len(frame) > size {
			packs = append(packs, piece{})
			open = &packs[len(packs)-1]
		}
		open.plain += ch.plain
		open.data = append(open.data, frame...)
	}
	return packs, nil
}

func (p *path) sealed(packs []piece) ([]piece, error) {
	var objects []piece
	for _, pk := range packs {
		s, err := p.sealer.Seal(pk.data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, piece{pk.plain, s.Object})
	}
	return objects, nil
}

func (p *path) cut() (worker, error) {
	c := chunk.NewCutter(p.rule)
	buf := make([]byte, 0, chunk.MaxSize)
	return func(_ context.Context, s piece) error {
		c.Reset(bytes.NewReader(s.data))
		for {
			if _, err := c.Next(buf); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}, nil
}

func (p *path) name() (worker, error) {
	n := chunk.NewNamer(p.secret, chunk.Content)
	return func(_ context.Context, c piece) error {
		n.ID(c.data)
		return nil
	}, nil
}

// sign passes over what does not compress, as a first backup does.
func (p *path) sign() (worker, error) {
	s := delta.NewSigner(p.secret)
	return func(_ context.Context, c piece) error {
		if pack.ClassOf(c.data) != pack.Opaque {
			s.Sign(chunk.ID{1}, c.data, signBlock, nil)
		}
		return nil
	}, nil
}

func compress() (worker, error) {
	c, err := pack.NewCompressor(pack.Default)
	if err != nil {
		return nil, err
	}
	var frame []byte
	return func(_ context.Context, ch piece) error {
		frame = c.Append(frame[:0], ch.data, pack.ClassOf(ch.data))
		return nil
	}, nil
}

func (p *path) seal() (worker, error) {
	buf := make([]byte, 0, crypto.HeaderMax+pack.FullPlain+crypto.TrailerMax)
	return func(_ context.Context, pk piece) error {
		m, err := p.sealer.Begin(buf)
		if err != nil {
			return err
		}
		m.Buf = append(m.Buf, pk.data...)
		_, err = m.Seal()
		return err
	}, nil
}

func (p *path) put() (worker, error) {
	return func(ctx context.Context, o piece) error {
		_, err := p.store.Put(ctx, fmt.Sprintf("data/%d", p.stored.Add(1)), o.data)
		return err
	}, nil
}

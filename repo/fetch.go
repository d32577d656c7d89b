package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// A read is one request: neighbouring frames of a pack.
type read struct {
	start, length int64
	frames        []wantedFrame
}

type wantedFrame struct {
	at    index.Location // of any of its chunks
	start int64          // of its span in the object
	span  int64
	want  []wanted
}

type wanted struct {
	i              int // place in the ids that Fetch was given
	offset, length int // in the frame
}

// plan turns wanted chunks into as few reads as the limits allow, using the round-th location of each.
func (rd *Reader) plan(ctx context.Context, ids []chunk.ID, want []int, round int) (reads []read, missing []int, err error) {
	frames := map[frameID]*wantedFrame{}
	for _, i := range want {
		locations, err := rd.locate(ctx, ids[i], pack.WholeContent)
		if err != nil {
			return nil, nil, err
		}
		if round >= len(locations) {
			missing = append(missing, i)
			continue
		}
		at := locations[round]
		key := frameID{at.Pack.ID, at.Frame}
		f := frames[key]
		if f == nil {
			start, span := envelope(at).Span(at.FrameOffset, int64(at.Stored))
			f = &wantedFrame{at: at, start: start, span: span}
			frames[key] = f
		}
		f.want = append(f.want, wanted{i, at.Offset, at.Length})
	}
	ordered := make([]*wantedFrame, 0, len(frames))
	for _, f := range frames {
		ordered = append(ordered, f)
	}
	sort.Slice(ordered, func(a, b int) bool {
		if c := bytes.Compare(ordered[a].at.Pack.ID[:], ordered[b].at.Pack.ID[:]); c != 0 {
			return c < 0
		}
		return ordered[a].start < ordered[b].start
	})
	for _, f := range ordered {
		if n := len(reads) - 1; n >= 0 {
			last := &reads[n]
			if last.frames[0].at.Pack.ID == f.at.Pack.ID && f.start <= last.start+last.length+rangeGap && f.start+f.span-last.start <= rangeMax {
				last.length = max(last.length, f.start+f.span-last.start)
				last.frames = append(last.frames, *f)
				continue
			}
		}
		reads = append(reads, read{start: f.start, length: f.span, frames: []wantedFrame{*f}})
	}
	return reads, missing, nil
}

// buffers are a read's memory, used again by the next.
type buffers struct{ object, span, plain []byte }

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

func grown(b []byte, n int64) []byte {
	if int64(cap(b)) < n {
		return make([]byte, n, n+n/4)
	}
	return b[:n]
}

// read does one request and delivers what it was for; failed is told of each chunk that was not as it should be.
func (rd *Reader) read(ctx context.Context, r read, ids []chunk.ID, checked bool, deliver func(int, []byte, error) error, failed func(int, error)) error {
	b := bufferPool.Get().(*buffers)
	defer bufferPool.Put(b)
	var got bool
	var readErr error
	for _, f := range r.frames {
		key := frameID{f.at.Pack.ID, f.at.Frame}
		data, cached := rd.frames.Get(key)
		var err error
		if !cached {
			if !got && readErr == nil {
				b.object = grown(b.object, r.length)
				readErr = missing(rd.r.store.GetInto(ctx, packName(f.at), r.start, b.object))
				got = readErr == nil
				if errors.Is(readErr, ErrUnavailable) {
					return readErr
				}
			}
			span := b.object[f.start-r.start:][:f.span]
			if err = readErr; err != nil && len(r.frames) > 1 {
				// A bad sector, or a missing end, need not take the neighbours with it.
				err = missing(rd.r.store.GetInto(ctx, packName(f.at), f.start, span))
			}
			if err == nil {
				data, err = rd.decodeWanted(f, span, b)
			}
			if rd.r.recovered(ctx, packName(f.at), err) {
				if err = missing(rd.r.store.GetInto(ctx, packName(f.at), f.start, span)); err == nil {
					data, err = rd.decodeWanted(f, span, b)
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, w := range f.want {
			err := err
			var chunk []byte
			if err == nil {
				chunk = data[w.offset : w.offset+w.length]
				if checked {
					err = rd.check(ids[w.i], chunk, pack.WholeContent)
				}
			}
			if err != nil {
				failed(w.i, fmt.Errorf("in %s: %w", packName(f.at), err))
				continue
			}
			if err := deliver(w.i, chunk, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// decodeWanted decodes a frame. One that holds more than is wanted now is kept: its neighbours are likely next.
func (rd *Reader) decodeWanted(f wantedFrame, stored []byte, b *buffers) ([]byte, error) {
	// The spans of neighbours overlap by up to a block, and decoding overwrites.
	b.span = append(b.span[:0], stored...)
	sum := 0
	for _, w := range f.want {
		sum += w.length
	}
	if sum >= f.at.Plain {
		data, err := rd.decode(f.at, b.span, b.plain)
		if err == nil {
			b.plain = data
		}
		return data, err
	}
	data, err := rd.decode(f.at, b.span, nil)
	if err == nil {
		rd.frames.Put(frameID{f.at.Pack.ID, f.at.Frame}, data, len(data))
	}
	return data, err
}

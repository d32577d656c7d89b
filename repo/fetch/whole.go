package fetch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"nightjar/chunk"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// A wholeFetch is chunks on their way that are stored as themselves.
type wholeFetch struct {
	rd      *Reader
	ids     []chunk.ID
	checked bool // against their ids; else they are what a signed index says of their frames
	deliver func(i int, data []byte, err error) error

	mu      sync.Mutex
	failed  []int         // what could not be had where it was looked for last
	reasons map[int]error // of what could not be had somewhere
}

func (rd *Reader) newWholeFetch(ids []chunk.ID, checked bool, deliver func(int, []byte, error) error) *wholeFetch {
	return &wholeFetch{rd: rd, ids: ids, checked: checked, deliver: deliver, reasons: map[int]error{}}
}

// A wantedFrame is a frame with wanted chunks.
type wantedFrame struct {
	at    lookup.Location // of any of its chunks
	start int64           // of its span in the object
	span  int64
	want  []wanted
	bytes int // of want
}

type wanted struct {
	i              int // place in the ids of the fetch
	offset, length int // in the frame
}

func (w *wantedFrame) id() frameID { return frameAt(&w.at) }

// partly reports whether the frame holds more than is wanted now: its neighbours are likely next, so it is kept.
func (w *wantedFrame) partly() bool { return w.bytes < w.at.Plain }

// A read is one request: neighbouring frames of a pack.
type read struct {
	start, length int64
	frames        []*wantedFrame
}

// all delivers all chunks.
func (f *wholeFetch) all(ctx context.Context) error {
	frames, err := f.plan(ctx, 0)
	if err == nil {
		err = f.read(ctx, frames)
	}
	if err == nil {
		err = f.retry(ctx)
	}
	return err
}

// retry tries the further locations of what could not be had at the first.
func (f *wholeFetch) retry(ctx context.Context) error {
	for round := 1; len(f.failed) > 0; round++ {
		frames, err := f.plan(ctx, round)
		if err != nil {
			return err
		}
		if err := f.read(ctx, frames); err != nil {
			return err
		}
	}
	return nil
}

// plan returns the frames in which chunks have their round-th location, as they lie: at first of all chunks, then of what failed. What has no such location
// is delivered with the reason.
func (f *wholeFetch) plan(ctx context.Context, round int) ([]*wantedFrame, error) {
	want := f.failed
	f.failed = nil
	if round == 0 {
		want = make([]int, len(f.ids))
		for i := range want {
			want[i] = i
		}
	}
	frames := map[frameID]*wantedFrame{}
	for _, i := range want {
		locations, err := f.rd.locate(ctx, f.ids[i], pack.WholeContent)
		if err != nil {
			return nil, err
		}
		if round >= len(locations) {
			reason := f.reasons[i]
			if reason == nil {
				reason = f.rd.Absent(ctx, f.ids[i])
			}
			if err := f.deliver(i, nil, fmt.Errorf("read chunk %v: %w", f.ids[i], reason)); err != nil {
				return nil, err
			}
			continue
		}
		at := locations[round]
		key := frameAt(&at)
		w := frames[key]
		if w == nil {
			start, span := envelope(at).Span(at.FrameOffset, int64(at.Stored))
			w = &wantedFrame{at: at, start: start, span: span}
			frames[key] = w
		}
		w.want = append(w.want, wanted{i, at.Offset, at.Length})
		w.bytes += at.Length
	}
	return slices.SortedFunc(maps.Values(frames), func(a, b *wantedFrame) int {
		return cmp.Or(bytes.Compare(a.at.Pack.ID[:], b.at.Pack.ID[:]), bytes.Compare(a.at.Pack.Layout[:], b.at.Pack.Layout[:]), cmp.Compare(a.start, b.start), cmp.Compare(a.at.Frame, b.at.Frame))
	}), nil
}

// read reads planned frames, several at the same time, with as few requests as the limits allow, and delivers what they hold.
func (f *wholeFetch) read(ctx context.Context, frames []*wantedFrame) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(f.rd.connections)
	var next read
	send := func() {
		if r := next; len(r.frames) > 0 && gctx.Err() == nil {
			g.Go(func() error { return f.request(gctx, r) })
		}
	}
	for _, w := range frames {
		if data, ok := f.rd.frames.Get(w.id()); ok {
			g.Go(func() error { return f.arrived(w, data, nil) })
			continue
		}
		if len(next.frames) == 0 || next.frames[0].at.Pack.Layout != w.at.Pack.Layout || w.start > next.start+next.length+rangeGap || w.start+w.span-next.start > rangeMax {
			send()
			next = read{start: w.start}
		}
		next.length = max(next.length, w.start+w.span-next.start)
		next.frames = append(next.frames, w)
	}
	send()
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// buffers are a request's memory, used again by the next. (The collector's own pools are emptied just when memory is short.)
type buffers struct{ object, edge, plain []byte }

func grown(b []byte, n int64) []byte {
	if int64(cap(b)) < n {
		return make([]byte, n, n+n/4)
	}
	return b[:n]
}

// request does one request and delivers what it was for.
func (f *wholeFetch) request(ctx context.Context, r read) error {
	b := <-f.rd.spare
	defer func() { f.rd.spare <- b }()
	b.object = grown(b.object, r.length)
	name := packName(r.frames[0].at)
	readErr := sealed.Missing(f.rd.objects.Ledger().GetInto(ctx, name, r.start, b.object))
	if errors.Is(readErr, store.ErrUnavailable) {
		return readErr
	}
	for n, w := range r.frames {
		span := b.object[w.start-r.start:][:w.span]
		// The spans of neighbours overlap by up to a block, and decoding overwrites.
		b.edge = b.edge[:0]
		if n+1 < len(r.frames) {
			b.edge = append(b.edge, span[min(w.span, r.frames[n+1].start-w.start):]...)
		}
		err := readErr
		if err != nil && len(r.frames) > 1 {
			// A bad sector, or a missing end, need not take the neighbours with it.
			err = sealed.Missing(f.rd.objects.Ledger().GetInto(ctx, name, w.start, span))
		}
		var data []byte
		if err == nil {
			data, err = f.decode(w, span, b)
		}
		if f.rd.objects.Recovered(ctx, name, err) {
			if err = sealed.Missing(f.rd.objects.Ledger().GetInto(ctx, name, w.start, span)); err == nil {
				data, err = f.decode(w, span, b)
			}
		}
		copy(span[len(span)-len(b.edge):], b.edge)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.arrived(w, data, err); err != nil {
			return err
		}
	}
	return nil
}

// decode decodes a frame, and keeps what is likely wanted again. It overwrites span; data is valid until the next one is decoded.
func (f *wholeFetch) decode(w *wantedFrame, span []byte, b *buffers) (data []byte, err error) {
	if w.partly() {
		if data, err = f.rd.decode(w.at, span, nil); err == nil {
			f.rd.frames.Put(w.id(), data, len(data))
		}
		return data, err
	}
	if data, err = f.rd.decode(w.at, span, b.plain); err == nil {
		b.plain = data
	}
	return data, err
}

// arrived delivers what was wanted of a frame, or notes what was wrong with it.
func (f *wholeFetch) arrived(w *wantedFrame, data []byte, err error) error {
	for _, x := range w.want {
		err := err
		var chunk []byte
		if err == nil {
			chunk = data[x.offset : x.offset+x.length]
			if f.checked {
				err = f.rd.check(f.ids[x.i], chunk, pack.WholeContent)
			}
		}
		if err != nil {
			f.mu.Lock()
			f.failed = append(f.failed, x.i)
			f.reasons[x.i] = errors.Join(f.reasons[x.i], fmt.Errorf("in %s: %w", f.rd.said(&w.at), err))
			f.mu.Unlock()
			continue
		}
		if err := f.deliver(x.i, chunk, nil); err != nil {
			return err
		}
	}
	return nil
}

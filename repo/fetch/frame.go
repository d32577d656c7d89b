package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"nightjar/crypto"
	"nightjar/repo/blocks"
	"nightjar/repo/lookup"
	"nightjar/repo/sealed"
)

// Blob returns the bytes of a blob of a metadata pack, which the caller must not change.
func (rd *Reader) Blob(ctx context.Context, at lookup.Location) ([]byte, error) {
	frame, err := rd.frame(ctx, at)
	if err != nil {
		return nil, err
	}
	return frame[at.Offset : at.Offset+at.Length], nil
}

// frame returns a decoded frame of a metadata pack. What is kept of the pack on this machine need not be what it was: then the store is asked, and then for an older version.
func (rd *Reader) frame(ctx context.Context, at lookup.Location) ([]byte, error) {
	key := frameAt(&at)
	if data, ok := rd.frames.Get(key); ok {
		return data, nil
	}
	x := blocks.Object{Sum: at.Pack.ID, Name: packName(at), Size: at.Pack.Size}
	start, length := envelope(at).Span(at.FrameOffset, int64(at.Stored))
	var data []byte
	for try := 0; ; try++ {
		span, err := rd.objects.Blocks().Read(ctx, x, start, length, nil)
		if err = sealed.Missing(err); err == nil {
			if data, err = rd.decode(at, span, nil); err == nil {
				break
			}
		}
		if try > 1 || !errors.Is(err, crypto.ErrIntegrity) || try == 1 && !rd.objects.Recovered(ctx, x.Name, err) {
			return nil, err
		}
		rd.objects.Blocks().Forget(x, start, length)
	}
	rd.frames.Put(key, data, len(data))
	return data, nil
}

func envelope(at lookup.Location) crypto.Envelope {
	return crypto.EnvelopeOf(at.Pack.Session)
}

// decode turns the stored span of a frame, which it overwrites, into its plaintext; buf's memory is used if it suffices.
func (rd *Reader) decode(at lookup.Location, span, buf []byte) ([]byte, error) {
	if sha256.Sum256(span) != at.Hash {
		return nil, fmt.Errorf("frame %d does not have the hash that its index says: %w", at.Frame, crypto.ErrIntegrity)
	}
	session, ok := rd.sessions.Get(at.Pack.Layout)
	if !ok {
		var err error
		if session, err = rd.objects.SessionKey(at.Pack); err != nil {
			return nil, err
		}
		rd.sessions.Put(at.Pack.Layout, session, 1)
	}
	plain, err := session.OpenRange(envelope(at), at.FrameOffset, at.Stored, span)
	if err != nil {
		return nil, err
	}
	data, err := rd.objects.Decompress(buf, plain, at.Plain)
	if err != nil {
		return nil, fmt.Errorf("frame %d: %w", at.Frame, err)
	}
	return data, nil
}

func packName(at lookup.Location) string { return sealed.Name(at.Pack.Kind.String(), at.Pack.ID) }

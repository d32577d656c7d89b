package mirror

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// object copies one object, if there is need.
func (m *Mirror) object(ctx context.Context, id index.ObjectID, info store.Info, there bool, size int64) error {
	if there && size == info.Size {
		good, err := m.verify(ctx, id, info)
		if err != nil || good {
			return err
		}
	}
	if m.o.DryRun {
		m.count(func(s *Summary) { s.Streamed.add(info.Size) })
		return nil
	}
	var direct error
	for try := 0; ; try++ {
		err := m.send(ctx, id, info, there, &direct)
		var unreadable *readError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &unreadable), errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrNoStore):
			return fmt.Errorf("copy %s: %w", info.Name, err)
		case errors.Is(err, store.ErrNotExist) && try < 2:
			now, is, failed := m.again(ctx, info.Name)
			if failed != nil {
				return fmt.Errorf("copy %s: %w", info.Name, failed)
			}
			if !is {
				return nil
			}
			info = now
			continue
		case errors.Is(err, store.ErrNotExist):
			m.gone(info.Name)
			return nil
		}
		if direct != nil && !errors.Is(direct, errors.ErrUnsupported) {
			err = errors.Join(err, direct)
		}
		m.found(Finding{Object: info.Name, Err: sealed.Missing(err)})
		return nil
	}
}

// send copies an object by the stores' server, or else through this machine. direct is why the server did not.
func (m *Mirror) send(ctx context.Context, id index.ObjectID, info store.Info, there bool, direct *error) error {
	at, err := store.HomeTime(ctx, m.from, info)
	if err != nil {
		return &readError{err}
	}
	if !there {
		if f, ok := m.to.(store.Fetcher); ok {
			if *direct = f.Fetch(ctx, m.from, info.Name, at); *direct == nil {
				m.count(func(s *Summary) { s.Direct.add(info.Size) })
				return nil
			}
		}
	}
	return m.stream(ctx, id, info, at, there)
}

// readError says that home does not give an object as it should be.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// stream copies an object through this machine. What has its name in the copy and is not this object, it replaces.
func (m *Mirror) stream(ctx context.Context, id index.ObjectID, info store.Info, at time.Time, junk bool) error {
	if info.Size > store.MaxObject {
		return &readError{fmt.Errorf("%d bytes: %w", info.Size, store.ErrTooLarge)}
	}
	buffer, _ := m.buffers.Get().(*[]byte)
	defer m.buffers.Put(buffer)
	if int64(cap(*buffer)) < info.Size {
		*buffer = make([]byte, info.Size)
	}
	object := (*buffer)[:info.Size]
	if err := m.from.GetInto(ctx, info.Name, 0, object); err != nil {
		return &readError{err}
	}
	if sha256.Sum256(object) != id {
		return &readError{errHash}
	}
	if !junk {
		_, err := m.to.PutAt(ctx, info.Name, object, at)
		if err == nil {
			m.count(func(s *Summary) { s.Streamed.add(info.Size) })
		}
		if !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	m.found(Finding{Object: info.Name, Copy: true, Err: fmt.Errorf("replaced: %w", errHash)})
	if err := m.to.Delete(ctx, info.Name); err != nil && !errors.Is(err, store.ErrNotExist) {
		return err
	}
	if _, err := m.to.PutAt(ctx, info.Name, object, at); err != nil {
		return err
	}
	m.count(func(s *Summary) { s.Streamed.add(info.Size) })
	return nil
}

var errHash = fmt.Errorf("its bytes do not have that hash: %w", crypto.ErrIntegrity)

// verify reports whether an object in the copy has the hash in its name.
func (m *Mirror) verify(ctx context.Context, id index.ObjectID, info store.Info) (good bool, err error) {
	var sum [sha256.Size]byte
	known := false
	if c, ok := m.to.(store.Checksummer); ok {
		if sum, known, err = c.Checksum(ctx, info.Name); err != nil {
			return false, fmt.Errorf("verify %s: %w", info.Name, err)
		}
	}
	if !known {
		object, err := store.ReadAll(ctx, m.to, info.Name, store.MaxObject)
		if errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
			return false, errors.Join(fmt.Errorf("verify %s: %w", info.Name, err), ctx.Err())
		}
		if err != nil {
			return false, nil // it is replaced if home has it
		}
		sum = sha256.Sum256(object)
	}
	if sum != id {
		return false, nil
	}
	m.count(func(s *Summary) {
		s.Present.add(info.Size)
		s.Verified.add(info.Size)
	})
	return true, nil
}

// clutter tells what lies at home in the place of objects: they are in no listing.
func (m *Mirror) clutter(ctx context.Context) error {
	c, ok := m.from.(store.Cluttered)
	if !ok {
		return nil
	}
	return c.Clutter(ctx, sealed.Belongs, func(name string, what error) error {
		m.found(Finding{Object: name, Err: fmt.Errorf("%w: %w", what, crypto.ErrIntegrity)})
		return nil
	})
}

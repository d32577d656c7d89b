package s3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"nightjar/repo/store"
	"nightjar/repo/store/s3/request"
)

// pins are the versions that are read in place of the latest.
type pins struct {
	sync.Mutex
	byName map[string]pin

	looking sync.Mutex // for versions: that may have a whole object in memory
}

type pin struct {
	*version             // nil: the latest
	searched, found bool // by Recover
	same            bool // the latest is right, too, and only has another time
}

func (p *pins) get(name string) pin {
	p.Lock()
	defer p.Unlock()
	return p.byName[name]
}

// putBack notes that what is right is the latest again.
func (p *pins) putBack(name string) {
	p.Lock()
	defer p.Unlock()
	if x, ok := p.byName[name]; ok && x.found {
		x.same = true
		p.byName[name] = x
	}
}

func (p *pins) set(name string, to pin) {
	p.Lock()
	defer p.Unlock()
	if p.byName == nil {
		p.byName = map[string]pin{}
	}
	p.byName[name] = to
}

// versionOf returns the id of the version to read; nil: the latest.
func (s *Store) versionOf(ctx context.Context, name string) (id *string, err error) {
	p := s.pins.get(name)
	if p.version == nil && !s.o.AsOf.IsZero() {
		v, err := s.asOf(ctx, name)
		if err != nil {
			return nil, err
		}
		p.version = v
		s.pins.set(name, p)
	}
	if p.version == nil {
		return nil, nil
	}
	return &p.id, nil
}

// Recover implements store.Versioned. It takes s3:ListBucketVersions and
// s3:GetObjectVersion. Options.Warn is told of the first object that needs it.
func (s *Store) Recover(ctx context.Context, name string, right func([]byte) bool) (store.Info, error) {
	if err := store.Check(ctx, "recover", name); err != nil {
		return store.Info{}, err
	}
	s.pins.looking.Lock()
	defer s.pins.looking.Unlock()
	p := s.pins.get(name)
	if !p.searched {
		found, same, err := s.rightVersion(ctx, name, right)
		if err == nil {
			p.version, p.same = found, same
		}
		if err == nil && !same {
			s.warnReplaced.Do(func() { s.o.Warn(fmt.Errorf("%s: %w", s.place.url(name), ErrReplaced)) })
		}
		if err != nil && !errors.Is(err, store.ErrNotExist) {
			return store.Info{}, fmt.Errorf("recover object %s: %w", name, err)
		}
		p.searched, p.found = true, err == nil
		s.pins.set(name, p)
	}
	if !p.found {
		return store.Info{}, fmt.Errorf("recover object %s: %w", name, store.ErrNotExist)
	}
	return p.Info, nil
}

// Recovered implements store.Versioned.
func (s *Store) Recovered() []store.Info {
	s.pins.Lock()
	defer s.pins.Unlock()
	var found []store.Info
	for _, p := range s.pins.byName {
		if p.found && !p.same {
			found = append(found, p.Info)
		}
	}
	return found
}

// rightVersion returns the oldest version that is right, and whether the latest is, too. It returns store.ErrNotExist if that is the only one, or there is none.
func (s *Store) rightVersion(ctx context.Context, name string, right func([]byte) bool) (found *version, same bool, err error) {
	all, err := s.versionsOf(ctx, name)
	if err != nil {
		return nil, false, err
	}
	isRight := func(v *version) (bool, error) {
		if v.deleted || v.Size > store.MaxObject {
			return false, nil
		}
		return s.isRight(ctx, v, right)
	}
	if len(all) == 1 && all[0].latest && s.o.AsOf.IsZero() {
		return nil, false, store.ErrNotExist
	}
	for i := range slices.Backward(all) {
		v := &all[i]
		ok, err := isRight(v)
		if err != nil {
			return nil, false, err
		}
		if ok && v.latest && s.o.AsOf.IsZero() {
			break
		}
		if !ok {
			continue
		}
		if all[0].latest && i > 0 {
			same, err = isRight(&all[0])
		}
		return v, same, err
	}
	return nil, false, store.ErrNotExist
}

func (s *Store) isRight(ctx context.Context, v *version, right func([]byte) bool) (bool, error) {
	want, hashed := store.SumOf(v.Name)
	if hashed {
		out, err := s.head(ctx, v.Name, &v.id)
		if err != nil {
			return false, s.explainRead(ctx, v.Name, &v.id, err)
		}
		if sum, ok := checksum(out); ok {
			return sum == want, nil
		}
	}
	data := make([]byte, v.Size)
	if v.Size > 0 {
		if err := s.readVersion(ctx, v.Name, &v.id, 0, data); err != nil {
			return false, err
		}
	}
	if hashed {
		return sha256.Sum256(data) == want, nil
	}
	return right(data), nil
}

// headRight is head of the version that has the hash in the name.
func (s *Store) headRight(ctx context.Context, name string) (id *string, out *s3.HeadObjectOutput, err error) {
	for again := true; ; again = false {
		if id, err = s.versionOf(ctx, name); err != nil {
			return nil, nil, err
		}
		out, err = s.head(ctx, name, id)
		replaced := request.NotFound(err)
		if want, hashed := store.SumOf(name); err == nil && hashed {
			sum, known := checksum(out)
			replaced = !known || sum != want // what we store has one, unless the server keeps none
		}
		if !replaced || !again {
			break
		}
		if _, failed := s.Recover(ctx, name, func([]byte) bool { return true }); failed != nil {
			if !errors.Is(failed, store.ErrNotExist) {
				return nil, nil, failed
			}
			break
		}
	}
	if err != nil {
		return nil, nil, s.explainRead(ctx, name, id, err)
	}
	return id, out, nil
}

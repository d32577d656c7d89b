package repair

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"nightjar/repo/index"
	"nightjar/repo/maintain/check"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// fromVersions puts in front again what somebody replaced or deleted in a store that keeps versions.
func (m *mender) fromVersions(ctx context.Context) error {
	for i := range m.Findings {
		f := &m.Findings[i]
		if f.What != check.Replaced && f.What != check.Hidden {
			continue
		}
		m.r.Recover(ctx, f.Object)
		object, info, err := readGood(ctx, m.r.Store(), f.Object)
		if errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
			return fmt.Errorf("read an older version: %w", errors.Join(err, ctx.Err()))
		}
		if err != nil {
			continue
		}
		if m.o.DryRun {
			f.What, f.Err = check.Mendable, errors.New("an older version is as it should be")
			continue
		}
		if err := m.putBack(ctx, f.Object, object, info.Time); err != nil {
			return err
		}
		f.What, f.Err = check.Repaired, errors.New("the older version was stored again")
	}
	return nil
}

// keptBeside are the kinds that nobody deletes together with archives, but who means harm: what indexes name, and what the records say, is missed with them.
var keptBeside = []string{"index", record.ForgetKind, record.VerifiedKind, record.LostKind, record.DroppedKind}

// hiddenBeside puts back, in a store that keeps versions, the indexes and records that were deleted since archives were that nobody forgot.
func (m *mender) hiddenBeside(ctx context.Context) error {
	s, ok := m.r.Store().(store.Versioned)
	if !ok {
		return nil
	}
	told := map[string]bool{}
	for _, f := range m.Findings {
		told[f.Object] = told[f.Object] || f.What == check.Hidden
	}
	var since time.Time
	err := s.Hidden(ctx, "archive/", func(i store.Info, deleted time.Time) error {
		if told[i.Name] && (since.IsZero() || deleted.Before(since)) {
			since = deleted
		}
		return nil
	})
	for _, kind := range keptBeside {
		if err != nil || since.IsZero() {
			break
		}
		err = s.Hidden(ctx, kind+"/", func(i store.Info, deleted time.Time) error {
			if sealed.Kind(i.Name) == kind && deleted.Sub(since) >= -sealed.MaxSkew {
				m.Findings = append(m.Findings, check.Finding{What: check.Hidden, Object: i.Name, Err: errors.New("deleted together with archives")})
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("look for what was deleted: %w", err)
	}
	return nil
}

// fromCopy puts back what the other copy has of the objects that were found wanting.
func (m *mender) fromCopy(ctx context.Context) error {
	if m.o.From == nil {
		return nil
	}
	for i := range m.Findings {
		f := &m.Findings[i]
		if f.Object == "" || f.What != check.Missing && f.What != check.Damaged && f.What != check.Lost && f.What != check.Unread {
			continue
		}
		object, info, err := readGood(ctx, m.o.From, f.Object)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, store.ErrUnavailable) {
			return fmt.Errorf("read the other copy: %w", err)
		}
		if err != nil {
			continue // it has none that is good, either
		}
		if m.o.DryRun {
			f.What, f.Err = check.Mendable, errors.New("the other copy has it")
			continue
		}
		if err := m.putBack(ctx, f.Object, object, info.Time); err != nil {
			return err
		}
		f.What, f.Err = check.Repaired, errors.New("put back from the other copy")
	}
	return m.indexesFromCopy(ctx)
}

// readGood returns an object of another copy if its bytes are what its name says.
func readGood(ctx context.Context, from store.Store, name string) ([]byte, store.Info, error) {
	info, err := from.Stat(ctx, name)
	if err != nil {
		return nil, info, err
	}
	if info.Time, err = store.HomeTime(ctx, from, info); err != nil {
		return nil, info, err
	}
	object, err := store.ReadAll(ctx, from, name, store.MaxObject)
	if err != nil {
		return nil, info, err
	}
	if id, err := sealed.ObjectID(name); err != nil || sha256.Sum256(object) != id {
		return nil, info, fmt.Errorf("object %s of the other copy does not have that hash", name)
	}
	return object, info, nil
}

// putBack stores an object under the name that is its hash. It keeps the time that it has here, else the one of the copy, where the store can.
func (m *mender) putBack(ctx context.Context, name string, object []byte, at time.Time) error {
	here, err := m.r.Store().Stat(ctx, name)
	if err == nil {
		at, err = store.HomeTime(ctx, m.r.Store(), here)
	}
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		return fmt.Errorf("put back %s: %w", name, err)
	}
	var info store.Info
	if s, ok := m.r.Store().(store.Replacer); ok {
		info, err = s.Replace(ctx, name, object, at)
	} else {
		info, err = m.r.Store().Put(ctx, name, object)
	}
	if err != nil {
		return fmt.Errorf("put back %s: %w", name, err)
	}
	if info.Time, err = store.HomeTime(ctx, m.r.Store(), info); err != nil {
		return fmt.Errorf("put back %s: %w", name, err)
	}
	m.back[sealed.Kind(name)]++
	id, err := sealed.ObjectID(name)
	if err != nil {
		return err
	}
	if b := m.Bad[id]; b != nil && len(sealed.CheckFrames(object, b.Pack)) == 0 {
		delete(m.Bad, id)
	}
	if sealed.Kind(name) == "archive" && info.Time.Sub(at).Abs() > sealed.MaxSkew {
		m.late[id.String()] = at
	}
	return nil
}

// indexesFromCopy puts back index objects that were deleted here, if all the packs that they name are stored and some have no index: so nothing new is found missing.
func (m *mender) indexesFromCopy(ctx context.Context) error {
	bare := map[index.ObjectID]bool{}
	for _, f := range m.Findings {
		if id, err := sealed.ObjectID(f.Object); err == nil && f.What == check.Unindexed {
			bare[id] = true
		}
	}
	if len(bare) == 0 {
		return nil
	}
	var infos []store.Info
	err := m.o.From.List(ctx, "index/", func(i store.Info) error {
		if sealed.Kind(i.Name) == "index" {
			infos = append(infos, i)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list the index objects of the other copy: %w", err)
	}
	for _, info := range infos {
		if _, err := m.r.Store().Stat(ctx, info.Name); !errors.Is(err, store.ErrNotExist) {
			continue
		}
		object, _, err := readGood(ctx, m.o.From, info.Name)
		if err != nil {
			continue
		}
		x := m.r.OpenIndex(info, bytes.Clone(object))
		if x.Err != nil {
			continue
		}
		helps, err := m.helps(ctx, &x.Object, bare)
		if err != nil {
			return err
		}
		if !helps {
			continue
		}
		f := check.Finding{What: check.Mendable, Object: info.Name, Err: errors.New("the other copy has it")}
		if !m.o.DryRun {
			if err := m.putBack(ctx, info.Name, object, info.Time); err != nil {
				return err
			}
			f.What, f.Err = check.Repaired, errors.New("put back from the other copy")
		}
		m.Findings = append(m.Findings, f)
		for _, run := range x.Object.Runs {
			for i := range run.Packs {
				delete(bare, run.Packs[i].ID)
			}
		}
	}
	return nil
}

// helps reports whether an index object names a pack that has no index, and none that is not stored.
func (m *mender) helps(ctx context.Context, x *index.Object, bare map[index.ObjectID]bool) (bool, error) {
	some := false
	for _, run := range x.Runs {
		for i := range run.Packs {
			p := &run.Packs[i]
			if bare[p.ID] {
				some = true
				continue
			}
			_, err := m.r.Store().Stat(ctx, sealed.PackName(p.Directory.Kind, p.ID))
			if errors.Is(err, store.ErrNotExist) {
				return false, nil
			}
			if err != nil {
				return false, fmt.Errorf("look for the packs of an index: %w", err)
			}
		}
	}
	return some, nil
}

package repair

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/losses"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
)

// vouch says that archives count which are late only because they were stored again, if they are whole without anything that prune has condemned: those that were put
// back, and whose time in the other copy does not speak against them; and with a recovery key those that counted once.
func (m *mender) vouch(ctx context.Context, all []repo.Archive) error {
	wanted, refused, lacking := map[string]bool{}, map[string]error{}, map[string]bool{}
	for _, f := range m.Findings {
		lacking[f.Archive] = lacking[f.Archive] || f.Fault() || f.What == check.Uncounted
	}
	for i := range all {
		a := &all[i]
		at, put := m.late[a.ID]
		switch {
		case a.Counts():
		case lacking[a.ID]:
			refused[a.ID] = errors.New("it is not whole")
		case put && a.Time.Sub(at).Abs() <= sealed.MaxSkew:
			wanted[a.ID] = true
		case a.Is(repo.Redated):
			if err := m.believable(a); err != nil {
				refused[a.ID] = err
			} else {
				wanted[a.ID] = true
			}
		}
	}
	whole, err := m.whole(ctx, wanted, refused)
	if err != nil {
		return err
	}
	m.tell(whole, refused)
	if len(whole) == 0 || m.o.DryRun {
		return nil
	}
	v := record.Verified{Archives: whole, View: m.begin}
	if m.r.CanReadContent() {
		_, err = m.r.PutVerified(ctx, &v)
	} else if content, failed := record.Encode(v); failed != nil {
		err = failed
	} else {
		_, err = m.r.PutRecord(ctx, record.VerifiedKind, content)
	}
	if err != nil {
		return fmt.Errorf("%w: that archives which are whole count: %w", losses.ErrNotRecorded, err)
	}
	return nil
}

// believable returns why the root does not vouch for a late archive that counted once, as it seems: what a thief of a host key may have written.
func (m *mender) believable(a *repo.Archive) error {
	inForce := func(s crypto.Signer) bool {
		return string(s.Key.Fingerprint()) == a.Signer && !a.Time.Before(s.NotBefore) && (s.NotAfter.IsZero() || !a.Time.After(s.NotAfter))
	}
	switch {
	case !m.r.CanReadContent():
		return errors.New("it takes a recovery key to have it count")
	case a.Time.After(m.begin):
		return errors.New("it says that it is of the future")
	case a.Is(repo.Backdated):
		return errors.New("it says that it is older than its predecessor")
	case a.Is(repo.Repeated):
		return errors.New("another archive says the same, and comes first")
	case !slices.ContainsFunc(m.r.Keys().Signers("archive"), inForce):
		return errors.New("the key that signed it was not in force at the time that it says")
	}
	return nil
}

// whole returns which of the wanted archives are whole, as if what is condemned were dropped. Of the others it says why not.
func (m *mender) whole(ctx context.Context, wanted map[string]bool, refused map[string]error) ([]index.ObjectID, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	verified, err := m.r.Verified(ctx)
	if err != nil {
		return nil, err
	}
	verified = &sealed.Vouched{Late: maps.Clone(verified.Late), Dated: maps.Clone(verified.Dated), Marked: verified.Marked}
	var ids []index.ObjectID
	for name := range wanted {
		id, err := index.ParseObjectID(name)
		if err != nil {
			return nil, err
		}
		verified.Late[id], ids = true, append(ids, id)
		verified.Dated[id] = verified.Dated[id] || m.r.CanReadContent() // as the root will say it
	}
	then := &repo.Supposition{Keys: m.r.Keys(), Verified: verified, Dropped: true}
	lacking, err := check.Lacking(ctx, m.r, then, check.Options{Connections: m.o.Check.Connections}, func(a *repo.Archive) bool { return wanted[a.ID] })
	if err != nil {
		return nil, err
	}
	for id, why := range lacking {
		if refused[id] == nil {
			refused[id] = fmt.Errorf("it is not whole, or prune has condemned something of it: %w", why)
		}
	}
	ids = slices.DeleteFunc(ids, func(id index.ObjectID) bool { return refused[id.String()] != nil })
	slices.SortFunc(ids, func(a, b index.ObjectID) int { return slices.Compare(a[:], b[:]) })
	return ids, nil
}

// tell says of the archives that were found late what becomes of them.
func (m *mender) tell(whole []index.ObjectID, refused map[string]error) {
	for i := range m.Findings {
		f := &m.Findings[i]
		id, err := sealed.ObjectID(f.Object)
		if f.What != check.Redated || err != nil {
			continue
		}
		switch why := refused[id.String()]; {
		case why != nil:
			f.Err = fmt.Errorf("%w: %w", f.Err, why)
		case !slices.Contains(whole, id):
		case m.o.DryRun:
			f.What, f.Err = check.Mendable, fmt.Errorf("%w: it is whole, and would count again", f.Err)
		default:
			f.What, f.Err = check.Repaired, fmt.Errorf("%w: it is whole, and counts again", f.Err)
		}
	}
}

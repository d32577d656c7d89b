package simulate

import (
	"crypto/sha256"
	"time"

	"nightjar/repo/index"
	"nightjar/repo/sealed"
)

// lie lets a host that nobody trusts say that it has all that others have, and of their packs what they say themselves, as if they were its own, and what is not so. It has
// nothing.
func (w *world) lie(seed uint64) error {
	liar := w.actor("liar", w.liar, seed)
	r, err := liar.boot()
	if err != nil {
		return err
	}
	defer r.Close()
	var lies []index.Pack
	err = r.IndexObjects(w.ctx, func(x sealed.IndexRecord) error {
		if x.Signer == w.liar.Fingerprint() {
			return nil
		}
		for _, run := range x.Object.Runs {
			for _, p := range run.Packs {
				p.Directory.Owner = "liar"
				same, other := p, p
				other.Session = append([]byte(nil), p.Session...)
				other.Session[len(other.Session)-1] ^= 1
				if other.Size += int64(liar.rng.IntN(2)); len(p.Hashes) > 0 {
					other.Hashes = append([][32]byte{{1}}, p.Hashes[1:]...)
				}
				lies = append(lies, same, other)
				junk := make([]byte, p.Size)
				_, _ = random{liar.rng}.Read(junk)
				p.ID = sha256.Sum256(junk)
				if _, err := w.store.Put(w.ctx, sealed.PackName(p.Directory.Kind, p.ID), junk); err != nil {
					return err
				}
				lies = append(lies, p)
			}
		}
		return x.Err
	})
	if err != nil || len(lies) == 0 {
		return err
	}
	now := w.now()
	object := index.Object{Time: now, Runs: []index.Run{{Owner: "liar", Begin: now, Packs: lies}}}
	_, err = r.PutRecord(w.ctx, "index", object.Append(nil))
	return err
}

// lies is a liar's life.
func (w *world) lies(seed uint64, times int) {
	for i := range times {
		time.Sleep(9 * day)
		if err := w.lie(seed + uint64(i)); err != nil {
			w.fail(err)
		}
	}
}

package sealed

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/versioned"
	"nightjar/repo/record"
	"nightjar/repo/register"
	"nightjar/repo/store"
)

// noteDomain keys what is kept on this machine of records; no byte of the repository hangs on it.
const noteDomain chunk.Domain = "nightjar register"

// notedKinds are the kinds of record that many runs read.
var notedKinds = []string{"archive", record.ForgetKind, record.VerifiedKind, record.CondemnedKind, record.DroppedKind, record.LostKind}

// noted returns what this machine knows of a record that the store has: that it is whole, what it says, and who has signed it.
func (s *Objects) noted(kind string, info store.Info) (register.Note, bool) {
	id, ok := store.SumOf(info.Name)
	if !ok || !slices.Contains(notedKinds, kind) {
		return register.Note{}, false
	}
	note, ok := s.register.Get(id)
	return note, ok && note.Size == info.Size
}

// judge is openRecord for a record that was opened before: what may have changed since is whether its signature counts.
func (s *Objects) judge(kind string, info store.Info, n register.Note) ([]byte, crypto.Opened, error) {
	opened := crypto.Opened{Plain: n.Content, Signer: crypto.Fingerprint(n.Signer), Issuer: crypto.Fingerprint(n.Issuer)}
	err := crypto.MayHaveSigned(s.keys.SignersOf(kind, opened.Signer), opened.Issuer, info.Time)
	if err != nil {
		return nil, opened, fmt.Errorf("open %s: %w", info.Name, err)
	}
	if err = s.Disowned(opened.Signer, n.ID); err != nil {
		err = fmt.Errorf("open %s: %w", info.Name, err)
	}
	return n.Content, opened, err
}

// note keeps what a record says. One that does not count is looked at again by whoever asks next.
func (s *Objects) note(kind string, info store.Info, content []byte, opened crypto.Opened, err error) {
	id, ok := store.SumOf(info.Name)
	if err != nil || !ok || !slices.Contains(notedKinds, kind) {
		return
	}
	n := register.Note{ID: id, Size: info.Size, Signer: string(opened.Signer), Issuer: string(opened.Issuer), Content: content}
	of := register.Group{Kind: kind}
	switch kind {
	case "archive":
		var head struct {
			Time time.Time `json:"time"`
		}
		if of.Of, err = s.keys.Owner(opened.Signer); err != nil || versioned.Peek(content, &head) != nil {
			return
		}
		n.Time = head.Time
	case record.ForgetKind:
		var f record.Forget
		if record.Decode(content, &f) != nil {
			return
		}
		of.Of = onlyHost(&f)
	}
	s.register.Put(of, n)
}

// onlyHost returns the host of all archives in the record; "" if there are several.
func onlyHost(f *record.Forget) (host string) {
	for i, a := range f.Archives {
		if i > 0 && a.Host != host {
			return ""
		}
		host = a.Host
	}
	return host
}

// Of returns those of the listed records that may be of a host, all if it is "": those that are known lie together, as the register has them.
func (s *Objects) Of(infos []store.Info, host string) []store.Info {
	var unknown []store.Info
	known := map[string][]store.Info{}
	for _, info := range infos {
		switch of, _, ok := s.Known(info); {
		case !ok:
			unknown = append(unknown, info)
		case host == "" || of == "" || of == host:
			known[of] = append(known[of], info)
		}
	}
	all := unknown
	for _, of := range slices.Sorted(maps.Keys(known)) {
		all = append(all, known[of]...)
	}
	return all
}

// Known returns the host that a listed record is of, and the time that it says of itself, if this machine has read it before.
func (s *Objects) Known(info store.Info) (host string, at time.Time, ok bool) {
	id, ok := store.SumOf(info.Name)
	if !ok {
		return "", at, false
	}
	of, at, ok := s.register.Place(id)
	return of.Of, at, ok
}

// Remembered returns what a listed record said when this machine read it, if it did and the signature counts. The store is not asked.
func (s *Objects) Remembered(kind string, info store.Info) (content []byte, ok bool) {
	note, ok := s.noted(kind, info)
	if !ok {
		return nil, false
	}
	content, _, err := s.judge(kind, info, note)
	return content, err == nil
}

// forgetGone drops what is noted of records that are not there any more, once there are more of those than is listed: until then they cost little.
func (s *Objects) forgetGone(kind string, infos []store.Info) {
	if s.register.Count(kind) <= len(infos) {
		return
	}
	listed := map[register.ID]bool{}
	for _, info := range infos {
		if id, ok := store.SumOf(info.Name); ok {
			listed[id] = true
		}
	}
	s.register.Retain(kind, func(id register.ID) bool { return listed[id] })
}

// Close keeps on this machine what was learnt of records.
func (s *Objects) Close() error { return s.register.Flush() }

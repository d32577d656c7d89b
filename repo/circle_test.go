package repo_test

import (
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/record"
)

// A host that may vouch for archives does not get back by that on whom it might build once: only the root believes the time that an archive says.
func TestVouchedCircle(t *testing.T) {
	now := time.Now()
	s := maintaintest.NewAt(t, func() time.Time { return now })
	pass := func(d time.Duration) { now = now.Add(d) }
	other, err := crypto.Generate("other", now.Add(-time.Hour), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Change(s.Key, func(d *keyring.Draft) error { return d.AddHost("other", other, keyring.Backup) })
	s.Change(s.Key, func(d *keyring.Draft) error { return d.SetTrust("host", false, "other") })
	pass(time.Hour)
	s.Files = map[string][]byte{"a": maintaintest.Random(1000)}
	a := s.Night()
	pass(time.Hour)
	s.Change(s.Key, func(d *keyring.Draft) error { return d.SetTrust("host", false) })
	r := s.Open(true)
	want := func(what string, counts, has bool) {
		t.Helper()
		all, err := r.Archives(t.Context(), func(name string, err error) { t.Errorf("%s: %v", name, err) })
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: %d archives: %v", what, len(all), err)
		}
		if c := r.Circle(&all[0]); all[0].Counts() != counts || c.Has("other") != has || !c.Has("host") {
			t.Errorf("%s: it counts %v, and may be made of the chunks of %s", what, all[0].Counts(), c)
		}
	}
	want("of its time", true, true)
	pass(3 * 24 * time.Hour)
	want("for ever", true, true)
	s.Put("archive/"+a.ID, s.Read("archive/"+a.ID)) // as one that was made now, and says that it is of then
	want("late", false, false)
	id, err := index.ParseObjectID(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	v := record.Verified{Archives: []index.ObjectID{id}}
	content, err := record.Encode(&v)
	if err == nil {
		_, err = s.Open(false).PutRecord(t.Context(), record.VerifiedKind, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	want("vouched for by the host", true, false)
	if _, err := r.PutVerified(t.Context(), &v); err != nil {
		t.Fatal(err)
	}
	want("vouched for by the root", true, true)
	if r = s.Open(false); r.Root() != nil {
		t.Fatal("opened as root")
	}
	want("opened by the host", true, true)
}

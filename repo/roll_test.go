package repo_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/repotest"
	"nightjar/repo/sealed"
)

// noFault fails on each archive that cannot be read.
func noFault(t *testing.T) func(string, error) {
	return func(name string, err error) { t.Errorf("%s: %v", name, err) }
}

// putOf stores an archive of a host.
func putOf(p *repotest.Place, host string, key *crypto.Key, predecessor string) *repo.Archive {
	p.T.Helper()
	r := p.Open(key)
	a, _, err := r.PutArchive(p.T.Context(), &repo.Record{Host: host, Job: "job", Time: p.Clock.Now(), Views: []time.Time{p.Clock.Now()}, Predecessor: predecessor})
	repotest.Must(a, err)
	p.Clock.Move(time.Hour)
	return a
}

// What was read of an archive once is known on this machine: nothing of it is asked of a distant store again, and of other hosts' not even that.
func TestRoll(t *testing.T) {
	p, dir := repotest.NewPlace(t), t.TempDir()
	distant := func(o *repo.Options) { o.RecordDir = dir }
	var ids []string
	for range 3 {
		ids = append(ids, putOf(p, "db1", repotest.HostKey(), last(ids)).ID)
	}
	other := repotest.Must(crypto.Generate("web1", p.Clock.Now(), nil))
	p.Enroll("web1", other, keyring.Backup)
	theirs := putOf(p, "web1", other, ids[2])
	r := p.Open(repotest.HostKey(), distant)
	roll := repotest.Must(r.Roll(t.Context()))
	repotest.Must(roll.Archives(t.Context(), "", noFault(t)))
	mustClose(t, r)
	object := p.Get("archive/" + ids[0])
	object[len(object)/2] ^= 1
	p.Put("archive/"+ids[0], object) // nobody looks
	r = p.Open(repotest.HostKey(), distant)
	roll = repotest.Must(r.Roll(t.Context()))
	for host, want := range map[string][]string{"db1": ids, "web1": {theirs.ID}, "": append(slices.Clone(ids), theirs.ID), "nobody": nil} {
		if got := idsOf(repotest.Must(roll.Archives(t.Context(), host, noFault(t)))); !slices.Equal(got, want) {
			t.Errorf("of %q there are %q, want %q", host, got, want)
		}
	}
	if host, ok := roll.HostOf(theirs.ID[:8]); !ok || host != "web1" {
		t.Errorf("%s is of %q, %v", theirs.ID, host, ok)
	}
	if host, ok := roll.HostOf(""); ok {
		t.Errorf("all are of %q", host)
	}
	id := repotest.Must(index.ParseObjectID(ids[0]))
	if !roll.Has(id) || roll.Has(index.ObjectID{}) {
		t.Error("the roll has what it has not, or has not what it has")
	}
	// On this machine objects are read all the same, so damage shows; and a check reads nothing from here.
	for _, o := range []func(*repo.Options){func(o *repo.Options) { o.RecordDir, o.Reread = dir, true }, func(*repo.Options) {}} {
		var bad []string
		repotest.Must(p.Open(repotest.HostKey(), o).Archives(t.Context(), func(name string, err error) {
			if !errors.Is(err, crypto.ErrIntegrity) {
				t.Errorf("%s: %v", name, err)
			}
			bad = append(bad, name)
		}))
		if !slices.Equal(bad, []string{"archive/" + ids[0]}) {
			t.Errorf("damaged are %q", bad)
		}
	}
}

// Whether a signature counts is asked each time: of what was read before, too.
func TestRollJudges(t *testing.T) {
	p, dir := repotest.NewPlace(t), t.TempDir()
	distant := func(o *repo.Options) { o.RecordDir = dir }
	other := repotest.Must(crypto.Generate("db2", p.Clock.Now(), nil))
	p.Enroll("db2", other, keyring.Backup)
	p.Hosts = nil
	a := putOf(p, "db2", other, "")
	r := p.Open(repotest.HostKey(), distant)
	repotest.Must(r.Archives(t.Context(), noFault(t)))
	mustClose(t, r)
	marked := p.NewHost("db2", other, keyring.Backup)
	marked.Certificate()["compromised"] = true
	p.Rekey(marked)
	var why error
	r = p.Open(repotest.HostKey(), distant)
	all := repotest.Must(r.Archives(t.Context(), func(_ string, err error) { why = err }))
	if len(all) != 0 || !errors.Is(why, sealed.ErrDisowned) {
		t.Errorf("there are %d archives of a marked key, %v", len(all), why)
	}
	ended := p.NewHost("db2", other, keyring.Backup)
	ended.Certificate()["until"] = p.Clock.Now().Add(-2 * time.Hour)
	p.Rekey(ended)
	all = repotest.Must(p.Open(repotest.HostKey(), distant).Archives(t.Context(), func(_ string, err error) { why = err }))
	if len(all) != 0 || !errors.Is(why, crypto.ErrNotInForce) {
		t.Errorf("there are %d archives from after the end of a key, %v", len(all), why)
	}
	p.Enroll("db2", other, keyring.Backup)
	if all = repotest.Must(p.Open(repotest.HostKey(), distant).Archives(t.Context(), noFault(t))); len(all) != 1 || all[0].ID != a.ID {
		t.Errorf("the archive is not back: %v", all)
	}
}

func mustClose(t *testing.T, r *repo.Repository) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func last(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[len(ids)-1]
}

func idsOf(all []repo.Archive) (ids []string) {
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	return ids
}

// Whoever may add index objects can add thousands that nobody can read: a run names some, and counts the rest.
func TestManyBadIndexes(t *testing.T) {
	p := repotest.NewPlace(t)
	_, _, metadata := p.Secrets()
	for i := range 30 {
		object := repotest.Must(repotest.Seal(metadata, repotest.HostKey(), crypto.Binding{Repository: p.Keys.ID(), Kind: "index"}, fmt.Appendf(nil, "junk %d", i), nil, p.Clock.Now))
		p.Put(repotest.Named("index", object), object)
	}
	var said []string
	r := p.Open(repotest.HostKey(), func(o *repo.Options) { o.Warn = func(err error) { said = append(said, err.Error()) } })
	repotest.Must(0, r.SyncIndex(t.Context()))
	if len(said) != 21 || said[20] != "more index objects are passed over: 10" {
		t.Errorf("%d warnings: %q", len(said), said)
	}
}

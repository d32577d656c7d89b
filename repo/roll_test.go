package repo

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/sealed"
)

// noFault fails on each archive that cannot be read.
func noFault(t *testing.T) func(string, error) {
	return func(name string, err error) { t.Errorf("%s: %v", name, err) }
}

// putOf stores an archive of a host.
func (p *place) putOf(host string, key *crypto.Key, predecessor string) *Archive {
	p.t.Helper()
	r := p.open(key)
	a := &Archive{Host: host, Job: "job", Time: p.clock.now(), Views: []time.Time{p.clock.now()}, Predecessor: predecessor}
	must(r.putArchive(p.t.Context(), a))
	p.clock.move(time.Hour)
	return a
}

// What was read of an archive once is known on this machine: nothing of it is asked of a distant store again, and of other hosts' not even that.
func TestRoll(t *testing.T) {
	p, dir := newPlace(t), t.TempDir()
	distant := func(o *Options) { o.RecordDir = dir }
	var ids []string
	for range 3 {
		ids = append(ids, p.putOf("db1", hostKey(), last(ids)).ID)
	}
	other := must(crypto.Generate("web1", p.clock.now(), nil))
	p.enroll("web1", other, keyring.Backup)
	theirs := p.putOf("web1", other, ids[2])
	r := p.open(hostKey(), distant)
	roll := must(r.Roll(t.Context()))
	if hosts := must(roll.Hosts(t.Context(), noFault(t))); len(hosts) != 2 || hosts[0].Host != "web1" || !hosts[0].Time.Equal(theirs.Time) || hosts[1].Host != "db1" {
		t.Errorf("hosts are %v", hosts)
	}
	mustClose(t, r)
	object := p.get("archive/" + ids[0])
	object[len(object)/2] ^= 1
	p.put("archive/"+ids[0], object) // nobody looks
	r = p.open(hostKey(), distant)
	roll = must(r.Roll(t.Context()))
	for host, want := range map[string][]string{"db1": ids, "web1": {theirs.ID}, "": append(slices.Clone(ids), theirs.ID), "nobody": nil} {
		if got := idsOf(must(roll.Archives(t.Context(), host, noFault(t)))); !slices.Equal(got, want) {
			t.Errorf("of %q there are %q, want %q", host, got, want)
		}
	}
	if host, ok := roll.HostOf(theirs.ID[:8]); !ok || host != "web1" {
		t.Errorf("%s is of %q, %v", theirs.ID, host, ok)
	}
	if host, ok := roll.HostOf(""); ok {
		t.Errorf("all are of %q", host)
	}
	id := must(index.ParseObjectID(ids[0]))
	if !roll.Has(id) || roll.Has(index.ObjectID{}) {
		t.Error("the roll has what it has not, or has not what it has")
	}
	// On this machine objects are read all the same, so damage shows; and a check reads nothing from here.
	for _, o := range []func(*Options){func(o *Options) { o.RecordDir, o.Reread = dir, true }, func(*Options) {}} {
		var bad []string
		must(p.open(hostKey(), o).Archives(t.Context(), func(name string, err error) {
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
	p, dir := newPlace(t), t.TempDir()
	distant := func(o *Options) { o.RecordDir = dir }
	other := must(crypto.Generate("db2", p.clock.now(), nil))
	p.enroll("db2", other, keyring.Backup)
	p.hosts = nil
	a := p.putOf("db2", other, "")
	r := p.open(hostKey(), distant)
	must(r.Archives(t.Context(), noFault(t)))
	mustClose(t, r)
	marked := p.newHost("db2", other, keyring.Backup)
	marked.certificate()["compromised"] = true
	p.rekey(marked)
	var why error
	r = p.open(hostKey(), distant)
	all := must(r.Archives(t.Context(), func(_ string, err error) { why = err }))
	if len(all) != 0 || !errors.Is(why, sealed.ErrDisowned) {
		t.Errorf("there are %d archives of a marked key, %v", len(all), why)
	}
	ended := p.newHost("db2", other, keyring.Backup)
	ended.certificate()["until"] = p.clock.now().Add(-2 * time.Hour)
	p.rekey(ended)
	all = must(p.open(hostKey(), distant).Archives(t.Context(), func(_ string, err error) { why = err }))
	if len(all) != 0 || !errors.Is(why, crypto.ErrNotInForce) {
		t.Errorf("there are %d archives from after the end of a key, %v", len(all), why)
	}
	p.enroll("db2", other, keyring.Backup)
	if all = must(p.open(hostKey(), distant).Archives(t.Context(), noFault(t))); len(all) != 1 || all[0].ID != a.ID {
		t.Errorf("the archive is not back: %v", all)
	}
}

func mustClose(t *testing.T, r *Repository) {
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

func idsOf(all []Archive) (ids []string) {
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	return ids
}

// What another host's archive names as its predecessor has nothing to say of it.
func TestStandingIsOfOneHost(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := []Archive{
		{ID: "a", Host: "h", Time: at, Stored: at, Views: []time.Time{at}, Grace: time.Hour},
		{ID: "b", Host: "h", Time: at.Add(time.Hour), Stored: at.Add(48 * time.Hour), Views: []time.Time{at}, Grace: time.Hour, Predecessor: "a"},
		{ID: "c", Host: "thief", Time: at, Stored: at, Views: []time.Time{at}, Grace: time.Hour, Predecessor: "b"},
	}
	for i := range all {
		all[i].Views[0] = all[i].Time
	}
	contents := map[string][sha256.Size]byte{"a": {1}, "b": {2}, "c": {3}}
	standing(all, contents, at)
	if all[1].Redated || all[2].Backdated {
		t.Errorf("another host's archive decides: %+v", all)
	}
	all[2].Host = "h"
	standing(all, contents, at)
	if !all[1].Redated || !all[2].Backdated {
		t.Errorf("its own host's does not: %+v", all)
	}
}

func BenchmarkStanding(b *testing.B) {
	var all []Archive
	for i := range 25_000 {
		all = append(all, Archive{ID: fmt.Sprintf("%064d", i), Host: fmt.Sprint(i % 1000)})
	}
	for b.Loop() {
		standing(all, nil, time.Time{})
	}
}

// Whoever may add index objects can add thousands that nobody can read: a run names some, and counts the rest.
func TestManyBadIndexes(t *testing.T) {
	p := newPlace(t)
	_, _, metadata := p.secrets()
	for i := range 30 {
		object := must(seal(metadata, hostKey(), crypto.Binding{Repository: p.keys.ID(), Kind: "index"}, fmt.Appendf(nil, "junk %d", i), nil, p.clock.now))
		p.put(named("index", object), object)
	}
	var said []string
	r := p.open(hostKey(), func(o *Options) { o.Warn = func(err error) { said = append(said, err.Error()) } })
	must(0, r.SyncIndex(t.Context()))
	if len(said) != 21 || said[20] != "more index objects are passed over: 10" {
		t.Errorf("%d warnings: %q", len(said), said)
	}
}

package repair_test

import (
	"context"
	"path"
	"slices"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/repair"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
)

const day = 24 * time.Hour

// A clocked is a repository whose store has a clock that a test sets.
type clocked struct {
	*site
	at time.Time
}

func newClocked(t *testing.T) *clocked {
	c := &clocked{at: time.Now().Add(-300 * day)}
	c.site = &site{maintaintest.NewAt(t, func() time.Time { return c.at })}
	c.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(900_000)}
	return c
}

func (c *clocked) nights(n int) (all []*repo.Archive) {
	c.T.Helper()
	for range n {
		c.at = c.at.Add(day)
		c.Files["gamma"] = maintaintest.Random(3000)
		a := c.Night()
		c.Predecessor = a.ID
		all = append(all, a)
	}
	return all
}

// move has everything stored again, in no particular order, by something that keeps no times.
func (c *clocked) move() {
	c.T.Helper()
	c.at = c.at.Add(30 * day)
	for name, data := range c.all(c.Store) {
		c.Put(name, data)
	}
}

func (c *clocked) archives() map[string]repo.Archive {
	c.T.Helper()
	all, err := c.Open(false).Archives(context.Background(), func(name string, err error) { c.T.Errorf("%s: %v", name, err) })
	if err != nil {
		c.T.Fatal(err)
	}
	byID := map[string]repo.Archive{}
	for _, a := range all {
		byID[a.ID] = a
	}
	return byID
}

// putArchive stores an archive as whoever has the host's key can, and returns its id.
func (c *clocked) putArchive(a repo.Record) string {
	c.T.Helper()
	content, err := a.Encode()
	if err != nil {
		c.T.Fatal(err)
	}
	info, err := c.Open(false).PutRecord(context.Background(), "archive", content)
	if err != nil {
		c.T.Fatal(err)
	}
	return path.Base(info.Name)
}

func (c *clocked) counts(id string) bool {
	c.T.Helper()
	a := c.archives()[id]
	return a.ID == id && a.Counts()
}

// TestRepairMoved has archives of a repository that was moved without its times count again, and its indexes made again.
func TestRepairMoved(t *testing.T) {
	c := newClocked(t)
	nights := c.nights(3)
	c.move()
	if sum, found := c.Check(false, check.Options{}); sum.Faults != 3 || sum.Leftovers != len(c.Names("content"))+len(c.Names("metadata")) {
		t.Errorf("check: %+v %q", sum, found)
	}
	before := c.all(c.Store)
	if sum, found := c.repair(true, repair.Options{DryRun: true}); sum.Faults != 4 || len(c.all(c.Store)) != len(before) || !slices.Contains(found, "mendable index") || !slices.Contains(found, "mendable archive/"+nights[2].ID) {
		t.Errorf("dry run: %+v %q", sum, found)
	}
	if sum, found := c.repair(false, repair.Options{}); sum.Faults != 3 || len(c.all(c.Store)) != len(before) {
		t.Errorf("without a recovery key: %+v %q", sum, found)
	}
	if sum, found := c.repair(true, repair.Options{}); sum.Faults != 0 || sum.Repaired != 4 {
		t.Errorf("repair: %+v %q", sum, found)
	}
	c.wants("after it")
	if sum, found := c.repair(true, repair.Options{}); len(found) > 0 || sum.Faults+sum.Repaired > 0 {
		t.Errorf("repaired again: %q", found)
	}
	for _, a := range c.archives() {
		if !a.Displaces() || !a.Dated().Equal(a.Time) {
			t.Errorf("after it: %+v", a)
		}
	}
	c.at = c.at.Add(day)
	packs := len(c.Names("content"))
	c.Night()
	if n := len(c.Names("content")); n != packs {
		t.Errorf("a night without changes sent %d packs of content", n-packs)
	}
	c.wants("after a night")
}

// An archive is vouched for without what was given up of it before, but not if something is found to be gone just now.
func TestRepairMovedAndSpoilt(t *testing.T) {
	c := newClocked(t)
	a := c.nights(1)[0]
	c.move()
	c.spoil(c.Names("content")[0], 1500)
	if _, found := c.repair(true, repair.Options{}); !slices.Contains(found, "redated archive/"+a.ID) || c.counts(a.ID) {
		t.Errorf("repair: %q", found)
	}
	if _, found := c.repair(true, repair.Options{}); !slices.Contains(found, "repaired archive/"+a.ID) || !c.counts(a.ID) {
		t.Errorf("repaired again: %q", found)
	}
}

// TestRepairVouchesForNoThief writes late archives as a thief of the host key would, and has none of them count.
func TestRepairVouchesForNoThief(t *testing.T) {
	c := newClocked(t)
	nights := c.nights(2)
	root := nights[1].Root
	put := func(at, view time.Time, predecessor string) string {
		return c.putArchive(repo.Record{Host: "host", Job: "job", Time: at, Views: []time.Time{view}, Predecessor: predecessor, Root: root})
	}
	first := c.at
	c.at = c.at.Add(30 * day)
	future := put(c.at.Add(day), c.at.Add(day), "")
	put(c.at, c.at, future)
	backdated := put(first.Add(-day), first.Add(-day), nights[1].ID)
	put(c.at, c.at, backdated)
	slow := put(first.Add(5*time.Minute), first.Add(-20*day), "")
	put(c.at, c.at, slow)
	unnamed := put(first.Add(time.Hour), first.Add(time.Hour), "")
	gone := root
	gone.ID[0] ^= 1
	root = gone
	partial := put(first.Add(2*time.Hour), first.Add(2*time.Hour), "")
	root = nights[1].Root
	put(c.at, c.at, partial)
	if _, found := c.repair(true, repair.Options{}); slices.ContainsFunc(found, func(f string) bool { return f[:8] == "repaired" }) {
		t.Errorf("repair: %q", found)
	}
	all := c.archives()
	for _, id := range []string{future, backdated, slow, unnamed, partial} {
		if a := all[id]; a.ID == "" || a.Counts() {
			t.Errorf("it counts: %+v", a)
		}
	}
}

// Nor for what a key has signed that was not in force at the time that it says: a host that came later cannot have written of before.
func TestRepairVouchesForKeysInForce(t *testing.T) {
	c := newClocked(t)
	first := c.Key
	nights := c.nights(1)
	c.at = c.at.Add(30 * day)
	key, err := crypto.Generate("new", c.at, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Change(first, func(d *keyring.Draft) error { return d.AddHost("new", key, keyring.Backup) })
	c.Site.Key = key
	early := *nights[0]
	early.Host = "new"
	id := c.putArchive(early.Record)
	c.putArchive(repo.Record{Host: "new", Job: "job", Time: c.at, Views: []time.Time{c.at}, Predecessor: id, Root: early.Root})
	c.Site.Key = first
	_, found := c.repair(true, repair.Options{})
	if !slices.Contains(found, "redated archive/"+id) || c.counts(id) {
		t.Errorf("repair: %q", found)
	}
}

// What a key has signed that has ended since does not open where it has lost its time. But it is all there, and nothing of it is given up: with its time it is as good as ever.
func TestRepairMovedWithEndedKeys(t *testing.T) {
	c := newClocked(t)
	first := c.Key
	mine := c.nights(1)[0]
	key, err := crypto.Generate("new", c.at, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Change(first, func(d *keyring.Draft) error { return d.AddHost("new", key, keyring.Backup) })
	c.at = c.at.Add(day)
	c.Site.Key, c.Host, c.Predecessor = key, "new", ""
	c.Files["delta"] = maintaintest.Random(3000)
	other := c.Night()
	c.at = c.at.Add(day)
	c.Site.Key = first
	c.Change(first, func(d *keyring.Draft) error { return d.RemoveHost("new") })
	right := c.copied()
	c.move()
	_, found := c.repair(true, repair.Options{})
	if !slices.Contains(found, "repaired archive/"+mine.ID) || !slices.Contains(found, "damaged archive/"+other.ID) || len(c.Names("lost")) > 0 {
		t.Errorf("repair: %q, lost %q", found, c.Names("lost"))
	}
	for name, data := range c.all(right) {
		c.Put(name, nil)
		info, err := right.Stat(context.Background(), name)
		if err == nil {
			_, err = c.Store.Replace(context.Background(), name, data, info.Time)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.wants("with its times")
}

// What prune has condemned may be about to go: nothing that needs it is vouched for.
func TestRepairVouchesForNothingCondemned(t *testing.T) {
	c := newClocked(t)
	a := c.nights(2)[0]
	c.move()
	condemned := record.Condemned{View: c.at}
	for _, name := range c.Names("content") {
		id, err := sealed.ObjectID(name)
		if err != nil {
			t.Fatal(err)
		}
		condemned.Packs = append(condemned.Packs, id)
	}
	content, err := record.Encode(&condemned)
	if err == nil {
		_, err = c.Open(false).PutRecord(context.Background(), record.CondemnedKind, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, found := c.repair(true, repair.Options{}); !slices.Contains(found, "redated archive/"+a.ID) || c.counts(a.ID) {
		t.Errorf("repair: %q", found)
	}
}

package prune_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nightjar/repo/index"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/record"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// lose records that a repair gave up archives.
func (c *clocked) lose(ids ...index.ObjectID) {
	c.T.Helper()
	content, err := record.Encode(&record.Lost{Objects: ids})
	if err == nil {
		_, err = c.Open(false).PutRecord(c.T.Context(), record.LostKind, content)
	}
	if err != nil {
		c.T.Fatal(err)
	}
}

// An archive that cannot be read blocks prune until somebody forgets it or a repair records it as lost. What only it needed goes, but nothing that was condemned before goes for a grace
// period: it might have needed that, and can be put back.
func TestPruneUnreadableArchive(t *testing.T) {
	for _, how := range []string{"forgotten", "lost"} {
		c := newClocked(t)
		c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
		first := c.Night()
		c.Files = map[string][]byte{"beta": maintaintest.Random(1000)}
		c.Night()
		c.forget(first)
		c.pass(ripe)
		if done := c.prune(prune.Options{}); done.PacksCondemned != 2 || done.ArchivesRemoved != 1 {
			t.Fatalf("%+v", done)
		}
		c.Files = map[string][]byte{"gamma": maintaintest.Random(1000)}
		third := c.Night()
		good := c.Read("archive/" + third.ID)
		c.Put("archive/"+third.ID, []byte{})
		c.pass(ripe - time.Hour)
		var incomplete *prune.IncompleteError
		if _, err := c.pruneAt(c.Store, prune.Options{}); !errors.As(err, &incomplete) {
			t.Fatalf("pruned: %v", err)
		}
		if how == "lost" {
			id, _ := index.ParseObjectID(third.ID)
			c.lose(id)
		} else {
			c.forget(third)
		}
		c.pass(time.Hour)
		if done := c.prune(prune.Options{}); done.PacksRemoved != 0 || done.PacksCondemned != 2 || done.Due.IsZero() {
			t.Errorf("%s: %+v", how, done)
		}
		if how == "lost" { // and comes back: then it counts, whatever was recorded
			c.Store.Delete(t.Context(), "archive/"+third.ID)
			back := c.at
			c.at = third.Time
			if _, err := c.Store.Put(t.Context(), "archive/"+third.ID, good); err != nil {
				t.Fatal(err)
			}
			c.at = back
			c.pass(ripe)
			if done := c.prune(prune.Options{}); done.PacksRemoved != 2 || done.PacksReprieved != 2 || done.Archives != 2 {
				t.Errorf("%s: %+v", how, done)
			}
			c.Whole()
			continue
		}
		c.pass(ripe)
		if done := c.prune(prune.Options{}); done.PacksRemoved != 4 || done.ArchivesRemoved != 1 || done.Archives != 1 {
			t.Errorf("%s: %+v", how, done)
		}
		c.Whole()
	}
}

// An archive that a repair recorded as lost, and nobody put back, goes a grace period later.
func TestPruneRemovesLostArchive(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
	c.Night()
	bad := c.Night()
	c.Put("archive/"+bad.ID, []byte("junk"))
	id, _ := index.ParseObjectID(bad.ID)
	c.lose(id)
	if done := c.prune(prune.Options{}); done.ArchivesRemoved != 0 || done.Archives != 1 {
		t.Errorf("%+v", done)
	}
	c.pass(ripe)
	if done := c.prune(prune.Options{}); done.ArchivesRemoved != 1 {
		t.Errorf("%+v", done)
	}
	c.wantObjects("archive", 1)
}

// A listing that lacks an archive which another names is not gone by, be the archive gone or only not listed. What is lost, forgotten, or was seen by this machine alone, is known.
func TestPruneGap(t *testing.T) {
	c := newClocked(t)
	for range 3 {
		c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
		c.Predecessor = c.Night().ID
		c.pass(time.Hour)
	}
	all, err := c.Open(false).Archives(t.Context(), func(name string, err error) { t.Error(name, err) })
	if err != nil || len(all) != 3 {
		t.Fatal(len(all), err)
	}
	name := "archive/" + all[1].ID
	c.pass(ripe)
	hides := 2 // listings
	s := &storetest.Faulty{Store: c.Store, Hide: func(i store.Info) bool { return i.Name == name && hides > 0 }}
	s.After = []storetest.Hook{func(call storetest.Call) error {
		if call.Op == storetest.List && strings.HasPrefix(call.Name, "archive") {
			hides--
		}
		return nil
	}}
	if done, err := c.pruneAt(s, prune.Options{}); err != nil || done.Archives != 3 || done.PacksCondemned != 0 {
		t.Errorf("after a listing that lagged: %+v, %v", done, err)
	}
	hides = 1000
	var gap *retain.GapError
	if _, err := c.pruneAt(s, prune.Options{}); !errors.As(err, &gap) || !gap.Stored || gap.Archive.String() != all[1].ID {
		t.Errorf("pruned by a listing that lacks an archive: %v", err)
	}
	c.Put(name, nil)
	if _, err := c.pruneAt(c.Store, prune.Options{}); !errors.Is(err, retain.ErrGap) || !errors.As(err, &gap) || gap.Archive.String() != all[1].ID {
		t.Errorf("pruned without an archive that another names: %v", err)
	}
	c.wantObjects("condemned", 0)
	c.forget(&all[1])
	if done := c.prune(prune.Options{}); done.Archives != 2 {
		t.Errorf("%+v", done)
	}
	seen := []retain.Seen{{ID: index.ObjectID{1}}}
	if _, err := c.pruneAt(c.Store, prune.Options{Seen: seen}); !errors.Is(err, retain.ErrGap) {
		t.Errorf("pruned without an archive that was seen: %v", err)
	}
	c.lose(seen[0].ID)
	if _, err := c.pruneAt(c.Store, prune.Options{Seen: seen}); err != nil {
		t.Errorf("pruned without an archive that is lost: %v", err)
	}
}

package prune_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/record"
)

// ends ends lists that cannot be read, as many as are wanted.
func (c *clocked) ends(want int) {
	c.T.Helper()
	ended, err := prune.EndUnread(c.T.Context(), c.Open(false), prune.Options{})
	if err != nil || len(ended) != want {
		c.T.Fatalf("ended %v, want %d; %v", ended, want, err)
	}
}

// A condemned list is spoilt. Once it is ended, backups go on and avoid what it named, nothing is dropped by it, be it whole again, and it goes when what it named does.
func TestEndUnreadCondemned(t *testing.T) {
	for _, again := range []bool{false, true} {
		c := newClocked(t)
		alpha := maintaintest.Random(1000)
		c.Files = map[string][]byte{"alpha": alpha}
		first := c.Night()
		c.Files = map[string][]byte{"beta": maintaintest.Random(1000)}
		c.Night()
		c.forget(first)
		c.pass(ripe)
		if done := c.prune(prune.Options{}); done.PacksCondemned+done.BlobsCondemned == 0 {
			t.Fatalf("%+v", done)
		}
		name := c.Names("condemned")[0]
		good, at := c.Read(name), c.at
		c.Put(name, []byte("spoilt"))
		if _, err := c.Run(nil); err == nil || !strings.Contains(err.Error(), repo.ErrUnreadList.Error()) {
			t.Fatalf("backed up: %v", err)
		}
		c.ends(1)
		c.ends(1) // which changes nothing
		c.Files["alpha"] = alpha
		c.Night()
		if c.Sent.ChunksKnown.Load() == 0 {
			t.Error("nothing was known")
		}
		if again {
			now := c.at
			c.at = at
			c.Put(name, good)
			c.at = now
		}
		c.pass(ripe - time.Minute)
		c.prune(prune.Options{})
		if !slices.Contains(c.Names("condemned"), name) {
			t.Error("the list went too early")
		}
		c.Whole()
		c.pass(2 * time.Minute)
		for range 3 {
			c.prune(prune.Options{})
			c.Whole()
			c.pass(ripe)
		}
		c.wantObjects("condemned", 0)
		c.Night()
		c.Whole()
	}
}

// A dropped list is spoilt: packs that it dropped are gone, and parts of packs that stayed lean on what is gone.
func TestEndUnreadDropped(t *testing.T) {
	c := newClocked(t)
	c.ForRecipes()
	first := c.Night()
	c.Files["few000"], c.Files["base"] = []byte("other"), append([]byte("so "), c.Files["base"]...)
	second := c.Night()
	was := c.Files["base"]
	c.Files = map[string][]byte{"few001": c.Files["few001"]}
	c.Night()
	c.forget(first, second)
	c.pass(ripe)
	c.prune(prune.Options{})
	c.pass(ripe)
	if done := c.prune(prune.Options{}); done.PacksRemoved == 0 {
		t.Fatalf("%+v", done)
	}
	for _, name := range c.Names("dropped") {
		c.Put(name, nil)
		if _, err := c.Store.Put(t.Context(), name, []byte("spoilt")); err != nil {
			t.Fatal(err)
		}
	}
	n := len(c.Names("dropped"))
	if _, err := c.Run(nil); err == nil {
		t.Fatal("backed up")
	}
	c.ends(n)
	c.Files["base"] = was
	c.Night()
	c.Whole()
	for range 3 {
		c.pass(ripe)
		c.prune(prune.Options{})
		c.Whole()
	}
	c.wantObjects("condemned", 0)
	if _, err := c.Run(nil); err != nil {
		t.Error(err)
	}
	c.Whole()
}

// Beside an archive that cannot be walked a list is ended all the same: what that may need is condemned, and nothing dropped.
func TestEndUnreadBesideIncomplete(t *testing.T) {
	c := newClocked(t)
	c.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
	c.Night()
	c.Files["beta"] = maintaintest.Random(1000)
	bad := c.Night()
	c.pass(ripe)
	good := c.Read("archive/" + bad.ID)
	c.Put("archive/"+bad.ID, []byte("junk"))
	junk := "condemned/" + strings.Repeat("ab", 32)
	if _, err := c.Store.Put(t.Context(), junk, []byte("junk")); err != nil {
		t.Fatal(err)
	}
	c.ends(1)
	c.Night()
	back := c.at
	c.at = bad.Time
	c.Put("archive/"+bad.ID, good)
	c.at = back
	for range 3 {
		c.pass(ripe)
		c.prune(prune.Options{})
		c.Whole()
	}
	c.wantObjects("condemned", 0)
}

// A record that came too late after its view ends nothing.
func TestEndUnreadVoid(t *testing.T) {
	at := time.Now()
	of := record.Condemned{Unread: []index.ObjectID{{1}}, View: at}
	content, err := record.Encode(&of)
	if err != nil {
		t.Fatal(err)
	}
	for late, want := range map[time.Duration]bool{0: true, grace / 2: true, grace/2 + time.Second: false} {
		l, err := lists.Parse(record.CondemnedKind, content, at.Add(late), grace)
		if set := lists.New(map[index.ObjectID]lists.List{{2}: l}); err != nil || set.Ended(index.ObjectID{1}) != want || set.Object(index.ObjectID{1}) {
			t.Errorf("%v late: %+v, %v", late, l, err)
		}
	}
}

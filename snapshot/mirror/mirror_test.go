package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/mirror"
	"nightjar/snapshot/plan"
	"nightjar/snapshot/sets"
)

type world struct {
	s        *ec2test.Server
	from, to *cloud.Cloud
	o        mirror.Options
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s := ec2test.New(t)
	s.Setenv(t)
	c, err := cloud.Open(t.Context(), cloud.Options{Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return &world{s, c, c.In("eu-west-1"), mirror.Options{
		Wait: true, Zone: time.UTC, Now: time.Now, Every: time.Nanosecond,
		After: func(time.Duration) <-chan time.Time { return time.After(time.Millisecond) },
	}}
}

// set adds a set of volumes, taken so many hours ago.
func (w *world) set(t testing.TB, id string, hours int, state string, volumes ...string) snapshot.Label {
	t.Helper()
	l := snapshot.Label{ID: id, Job: "db", Host: "db1", Class: "nightly", Time: time.Now().Add(-time.Duration(hours) * time.Hour).Truncate(time.Second), Consistency: snapshot.Crash}
	for _, v := range volumes {
		l.Volumes = append(l.Volumes, snapshot.Volume{ID: v, Device: "/dev/sdf"})
	}
	tags, err := snapshot.Encode(l)
	if err != nil {
		t.Fatal(err)
	}
	r := w.s.Region("us-east-1")
	for _, v := range volumes {
		of := maps.Clone(tags)
		of[snapshot.TagVolume], of["Name"] = v, "data of "+v
		r.AddSnapshot(ec2test.Snapshot{Meta: ec2test.Meta{Tags: of}, Volume: v, State: state, Started: l.Time, Description: l.Description()})
	}
	return l
}

func (w *world) run(t *testing.T) mirror.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := mirror.Run(ctx, w.from, w.to, w.o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) there(t *testing.T) []sets.Set {
	t.Helper()
	all, strays, err := sets.Read(t.Context(), w.to, sets.Query{})
	if err != nil || len(strays) > 0 {
		t.Fatal(err, strays)
	}
	return all
}

func (w *world) copies() (n int) {
	for _, c := range w.s.Calls() {
		if c.Operation == "CopySnapshot" && c.Code == "" {
			n++
		}
	}
	return n
}

// whole checks that each of the sets is there, whole, once, and nothing else.
func (w *world) whole(t *testing.T, ids ...string) {
	t.Helper()
	var got []string
	for _, s := range w.there(t) {
		if !s.Whole() {
			t.Errorf("the copy of %s is not whole: %+v", s.ID, s)
		}
		got = append(got, s.ID)
	}
	slices.Sort(got)
	if !slices.Equal(got, ids) {
		t.Errorf("there are %q, want %q", got, ids)
	}
}

func TestCopy(t *testing.T) {
	w := newWorld(t)
	key := w.s.Region("eu-west-1").AddKey(ec2test.Key{})
	w.o.Key, w.o.Minutes = key, 15
	w.set(t, "a", 30, "completed", "vol-1", "vol-2")
	l := w.set(t, "b", 6, "completed", "vol-1", "vol-2")
	if r := w.run(t); r.Started != 4 || r.Completed != 4 || r.Pending+r.Left+len(r.Failed) != 0 {
		t.Fatalf("%+v", r)
	}
	w.whole(t, "a", "b")
	for _, s := range w.there(t) {
		if s.CopyFrom != "us-east-1" || s.ID == "b" && (!s.Time.Equal(l.Time) || s.Consistency != l.Consistency || s.Host != l.Host || s.Class != l.Class) {
			t.Errorf("the copy's label is %+v", s.Label)
		}
		for _, x := range s.Snapshots {
			if x.KMSKey != key || x.Tags["Name"] != "data of "+x.Volume || !strings.Contains(x.Description, s.ID) {
				t.Errorf("a copy is %+v", x)
			}
		}
	}
	full := 0
	for _, x := range w.s.Region("eu-west-1").Snapshots() {
		if x.FullCopy {
			full++
		}
		if x.Duration != 15 {
			t.Errorf("%s has %d minutes", x.ID, x.Duration)
		}
	}
	if full != 2 {
		t.Errorf("full copies: %d, want one of each volume", full)
	}
	w.s.Forget()
	if r := w.run(t); r.Started != 0 || w.copies() != 0 {
		t.Errorf("a second pass: %+v", r)
	}
}

func TestResume(t *testing.T) {
	w := newWorld(t)
	w.s.Pending = time.Hour
	w.o.Wait = false
	w.set(t, "a", 30, "completed", "vol-1", "vol-2")
	w.set(t, "b", 6, "completed", "vol-1", "vol-2")
	w.set(t, "c", 0, "pending", "vol-1", "vol-2")
	for range 2 {
		if r := w.run(t); r.Pending != 2 || r.Left != 2 || r.Later != 1 {
			t.Fatalf("%+v", r)
		}
	}
	for range 3 {
		w.s.Advance(2 * time.Hour)
		w.run(t)
	}
	w.s.Advance(2 * time.Hour)
	if r := w.run(t); r.Pending+r.Left+r.Later != 0 {
		t.Fatalf("%+v", r)
	}
	w.whole(t, "a", "b", "c")
	if n := w.copies(); n != 6 {
		t.Errorf("copies made: %d, want 6", n)
	}
}

func TestWaitForTheSet(t *testing.T) {
	w := newWorld(t)
	w.set(t, "a", 1, "pending", "vol-1")
	w.run(t)
	w.whole(t, "a")
}

func TestLostAnswer(t *testing.T) {
	for name, f := range map[string]ec2test.Fault{
		"lost":               {Operation: "CopySnapshot", Lost: true},
		"done, but 500":      {Operation: "CopySnapshot", Code: "InternalError", Done: true, Times: 2},
		"not done":           {Operation: "CopySnapshot", Code: "InternalError", Times: 2},
		"throttled":          {Operation: "CopySnapshot", Code: "RequestLimitExceeded", Times: 3},
		"too many at a time": {Operation: "CopySnapshot", Code: "ResourceLimitExceeded", Nth: 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.s.Hidden = 3 // Describe calls that do not see a new copy
			w.s.Fault(f)
			w.set(t, "a", 1, "completed", "vol-1", "vol-2")
			if r := w.run(t); r.Completed != 2 {
				t.Errorf("%+v", r)
			}
			w.whole(t, "a")
			if n := len(w.s.Region("eu-west-1").Snapshots()); n != 2 {
				t.Errorf("copies there: %d, want 2", n)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	w := newWorld(t)
	w.s.CopyLimit = 3
	var volumes []string
	for i := range 8 {
		volumes = append(volumes, fmt.Sprint("vol-", i+1))
	}
	w.set(t, "a", 1, "completed", volumes...)
	w.o.Wait = false
	if r := w.run(t); !r.Full || r.Pending != 3 || r.Left != 5 {
		t.Errorf("%+v", r)
	}
	w.o.Wait = true
	w.run(t)
	w.whole(t, "a")
	w.s.Forget()
	w.set(t, "b", 0, "completed", volumes...)
	w.o.Limit = 2
	if r := w.run(t); r.Full || r.Completed != 8 {
		t.Errorf("within its own limit: %+v", r)
	}
	w.whole(t, "a", "b")
}

func TestBadKey(t *testing.T) {
	w := newWorld(t)
	key := w.s.Region("eu-west-1").AddKey(ec2test.Key{})
	w.s.Region("eu-west-1").DisableKey(key)
	w.o.Key = key
	w.set(t, "a", 1, "completed", "vol-1", "vol-2")
	r := w.run(t)
	if len(r.Failed) != 2 || !errors.Is(r.Failed[0].Err, mirror.ErrCopy) || !strings.Contains(r.Failed[0].Err.Error(), "key") {
		t.Errorf("%+v", r)
	}
	if n := len(w.s.Region("eu-west-1").Snapshots()); n != 0 {
		t.Errorf("failed copies that stay: %d", n)
	}
	w.o.Key, w.o.Wait = "alias/none", false
	w.run(t)
	w.there(t) // by now it has failed
	w.there(t)
	w.o.Key, w.o.Wait = "", true
	w.run(t)
	w.whole(t, "a")
}

func TestKeepsByPolicy(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.set(t, fmt.Sprint("s", i), 24*i, "completed", "vol-1")
	}
	w.o.Policy = plan.Policy{Last: 2}
	w.run(t)
	w.whole(t, "s0", "s1")
}

func TestDenied(t *testing.T) {
	w := newWorld(t)
	w.s.Deny("ec2:CopySnapshot")
	w.set(t, "a", 1, "completed", "vol-1", "vol-2")
	r, err := mirror.Run(t.Context(), w.from, w.to, w.o)
	if cloud.Code(err) != "UnauthorizedOperation" || r.Left != 2 {
		t.Errorf("%v, %+v", err, r)
	}
	if _, err := mirror.Run(t.Context(), w.from, w.from, w.o); err == nil {
		t.Error("it copies to where it copies from")
	}
}

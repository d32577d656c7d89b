package take_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/ec2test/world"
	"nightjar/snapshot/sets"
	"nightjar/snapshot/take"
)

// A room is a server with an instance, its root volume, and others.
type room struct {
	*ec2test.Server
	region   *ec2test.Region
	c        *cloud.Cloud
	instance string
	root     string
	data     []string
}

func open(t testing.TB, volumes int) *room {
	t.Helper()
	s := ec2test.New(t)
	s.Setenv(t)
	r := &room{Server: s, region: s.Region("us-east-1")}
	r.instance = r.region.AddInstance(ec2test.Instance{Meta: ec2test.Meta{Tags: map[string]string{"Name": "db1"}}, MaxVolumes: 128})
	r.root = r.region.AddVolume(ec2test.Volume{})
	r.region.Attach(r.root, r.instance, "/dev/xvda")
	for i := range volumes {
		v := r.region.AddVolume(ec2test.Volume{Meta: ec2test.Meta{Tags: map[string]string{"Name": fmt.Sprintf("data%d", i), "team": "db"}}, GiB: 1})
		r.region.Attach(v, r.instance, fmt.Sprintf("/dev/sd%c%c", 'b'+i/26, 'a'+i%26))
		r.data = append(r.data, v)
	}
	var err error
	if r.c, err = cloud.Open(t.Context(), cloud.Options{}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *room) plan(t *testing.T, choice take.Choice) *take.Plan {
	t.Helper()
	p, err := take.Choose(t.Context(), r.c, choice)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func options() take.Options {
	return take.Options{Job: "nightly", Host: "db1", Class: "nightly", Pause: time.Millisecond, Patience: time.Minute}
}

// count tells how often an operation was done.
func (r *room) count(operation string) (n int) {
	for _, c := range r.Calls() {
		if c.Operation == operation && c.Code == "" {
			n++
		}
	}
	return n
}

// one checks that there is one set, and returns it.
func (r *room) one(t *testing.T) sets.Set {
	t.Helper()
	found, strays, err := sets.Read(t.Context(), r.c, sets.Query{})
	if err != nil || len(strays) > 0 || len(found) != 1 {
		t.Fatal(len(found), strays, err)
	}
	return found[0]
}

func TestTake(t *testing.T) {
	r := open(t, 3)
	r.region.AddSnapshot(ec2test.Snapshot{Owner: ec2test.Other, Public: true, Meta: ec2test.Meta{Tags: map[string]string{snapshot.TagSet: "x"}}})
	p := r.plan(t, take.Choice{Instance: r.instance})
	got, err := take.Take(t.Context(), r.c, p, options())
	if err != nil || len(got.Problems) > 0 {
		t.Fatal(err, got.Problems)
	}
	if n := r.count("CreateSnapshots"); n != 1 || got.Attempts != 1 {
		t.Error(n, got.Attempts)
	}
	s, err := sets.Wait(t.Context(), r.c, got.Set.ID, time.Millisecond, nil)
	if err != nil || !s.Whole() || len(s.Untagged) > 0 || len(s.Snapshots) != 3 {
		t.Fatalf("%v %+v", err, s)
	}
	if s.Consistency != snapshot.Crash || s.Job != "nightly" || s.Class != "nightly" || s.Why != "" || p.Host != "db1" || p.Instance != r.instance {
		t.Errorf("%+v", s.Label)
	}
	for i, x := range s.Snapshots {
		if x.Volume != r.data[i] || x.Tags["Name"] != fmt.Sprintf("data%d", i) || x.Tags["team"] != "db" || !strings.HasPrefix(x.Description, "nightjar: nightly of db1") {
			t.Errorf("%+v", x)
		}
	}
	if s := r.one(t); !reflect.DeepEqual(s.Label, got.Set.Label) {
		t.Error(s.Label)
	}
}

func TestChoose(t *testing.T) {
	r := open(t, 50)
	other := r.region.AddInstance(ec2test.Instance{})
	theirs, loose := r.region.AddVolume(ec2test.Volume{}), r.region.AddVolume(ec2test.Volume{})
	r.region.Attach(theirs, other, "/dev/sdf")
	gone := r.region.AddInstance(ec2test.Instance{State: "shutting-down"})
	for name, of := range map[string]struct {
		choice   take.Choice
		volumes  int
		together bool
		err      error
	}{
		"all":          {take.Choice{Instance: r.instance}, 50, true, nil},
		"with boot":    {take.Choice{Instance: r.instance, Boot: true}, 51, true, nil},
		"but some":     {take.Choice{Instance: r.instance, Exclude: r.data[:40]}, 10, true, nil},
		"but too many": {take.Choice{Instance: r.instance, Exclude: r.data[:41]}, 9, false, nil},
		"by ids":       {take.Choice{Volumes: r.data[:30]}, 30, true, nil},
		"boot by id":   {take.Choice{Volumes: []string{r.root, r.data[0], r.data[1], r.data[2], r.data[3], r.data[4], r.data[5], r.data[6], r.data[7], r.data[8], r.data[9]}}, 11, true, nil},
		"by tag":       {take.Choice{Tags: map[string]string{"Name": "data1*"}}, 11, true, nil},
		"several":      {take.Choice{Volumes: []string{r.data[0], theirs}}, 2, false, nil},
		"unattached":   {take.Choice{Volumes: []string{loose}}, 1, true, nil},
		"none":         {take.Choice{Tags: map[string]string{"Name": "nobody"}}, 0, false, take.ErrNothing},
		"unknown":      {take.Choice{Volumes: []string{"vol-0123456789abcdef0"}}, 0, false, take.ErrUnknown},
		"no instance":  {take.Choice{Instance: "i-0123456789abcdef0"}, 0, false, take.ErrUnknown},
		"ending":       {take.Choice{Instance: gone}, 0, false, take.ErrEnding},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := take.Choose(t.Context(), r.c, of.choice)
			if !errors.Is(err, of.err) {
				t.Fatal(err)
			}
			if err == nil && (len(p.Volumes) != of.volumes || p.Together() != of.together) {
				t.Error(len(p.Volumes), p.Together())
			}
		})
	}
}

func TestApart(t *testing.T) {
	r := open(t, 2)
	loose := r.region.AddVolume(ec2test.Volume{GiB: 1})
	p := r.plan(t, take.Choice{Volumes: append([]string{loose}, r.data...)})
	o := options()
	o.Require = snapshot.Crash
	if _, err := take.Take(t.Context(), r.c, p, o); !errors.Is(err, take.ErrWeaker) || len(r.region.Snapshots()) > 0 {
		t.Error(err)
	}
	got, err := take.Take(t.Context(), r.c, p, options())
	if err != nil || got.Set.Consistency != snapshot.Apart || len(got.Set.Snapshots) != 3 {
		t.Errorf("%v %+v", err, got.Set)
	}
	r.one(t)
}

// Whatever becomes of a call, there is one set at most, and its tags say no more than is certain.
func TestCallFails(t *testing.T) {
	for name, of := range map[string]struct {
		fault  ec2test.Fault
		hidden int
		still  bool // database and file systems stand still
		want   snapshot.Consistency
		taken  int // snapshots that there are
		code   string
	}{
		"throttled":                {ec2test.Fault{Code: "RequestLimitExceeded", Times: 2}, 0, false, snapshot.Crash, 2, ""},
		"throttled for ever":       {ec2test.Fault{Code: "RequestLimitExceeded", Times: -1}, 0, false, "", 0, "RequestLimitExceeded"},
		"lost":                     {ec2test.Fault{Lost: true}, 0, false, snapshot.Crash, 2, ""},
		"lost and hidden":          {ec2test.Fault{Lost: true}, 5, false, snapshot.Crash, 2, ""},
		"failed, but done":         {ec2test.Fault{Code: "InternalError", Status: 500, Done: true}, 2, false, snapshot.Crash, 2, ""},
		"refused":                  {ec2test.Fault{Code: "SnapshotLimitExceeded"}, 0, false, "", 0, "SnapshotLimitExceeded"},
		"throttled, still":         {ec2test.Fault{Code: "RequestLimitExceeded"}, 0, true, snapshot.Application, 2, ""},
		"lost, seen while still":   {ec2test.Fault{Lost: true}, 0, true, snapshot.Application, 2, ""},
		"lost, seen when released": {ec2test.Fault{Lost: true}, 3, true, snapshot.Crash, 2, ""},
		"late, when released":      {ec2test.Fault{Delay: 3 * time.Second}, 0, true, snapshot.Crash, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, 2)
			p := r.plan(t, take.Choice{Instance: r.instance})
			of.fault.Operation = "CreateSnapshots"
			r.Fault(of.fault)
			r.Settings.Hidden = of.hidden
			o := options()
			e := &events{}
			if of.still {
				o.Freezer, o.Mounts = &database{events: e}, &mounts{events: e}
				o.Most = 30 * time.Second
				if of.fault.Delay > 0 {
					o.Most = 1500 * time.Millisecond
				}
			}
			got, err := take.Take(t.Context(), r.c, p, o)
			if cloud.Code(err) != of.code || (err != nil) != (of.code != "") {
				t.Fatal(err)
			}
			if n := len(r.region.Snapshots()); n != of.taken || r.count("CreateSnapshots") > 1 {
				t.Error(n, r.count("CreateSnapshots"))
			}
			if e.held() {
				t.Error("something stands still")
			}
			if of.want == "" {
				return
			}
			if got.Set.Consistency != of.want || len(got.Set.Missing) > 0 {
				t.Errorf("%+v", got.Set)
			}
			if (got.Set.Position != snapshot.Position{}) != (of.want == snapshot.Application) {
				t.Errorf("position %+v", got.Set.Position)
			}
			for range of.hidden {
				r.one(t) // the tags are hidden for a while
			}
			s, err := sets.Wait(t.Context(), r.c, got.Set.ID, time.Millisecond, nil)
			if err != nil || !s.Whole() || s.Consistency != of.want || len(s.Untagged) > 0 || (s.Why == "") == (of.still && of.want == snapshot.Crash) {
				t.Errorf("%v %+v", err, s)
			}
		})
	}
}

// What the credentials may not do is said before anything stands still.
func TestDenied(t *testing.T) {
	for _, action := range []string{"ec2:CreateSnapshots", "ec2:CreateTags"} {
		t.Run(action, func(t *testing.T) {
			r := open(t, 1)
			p := r.plan(t, take.Choice{Instance: r.instance})
			r.Deny(action)
			e := &events{}
			o := options()
			o.Freezer, o.Mounts = &database{events: e}, &mounts{events: e}
			_, err := take.Take(t.Context(), r.c, p, o)
			if cloud.Code(err) != "UnauthorizedOperation" || len(e.all) > 0 || len(r.region.Snapshots()) > 0 {
				t.Error(err, e.all)
			}
		})
	}
}

// A set whose tags could not be finished stays what was certain at first, and any later run finishes it.
func TestHalfTagged(t *testing.T) {
	r := open(t, 2)
	p := r.plan(t, take.Choice{Instance: r.instance})
	r.Fault(ec2test.Fault{Operation: "CreateTags", Code: "UnauthorizedOperation", Times: -1})
	o := options()
	e := &events{}
	o.Freezer, o.Mounts, o.Require = &database{events: e}, &mounts{events: e}, snapshot.Application
	got, err := take.Take(t.Context(), r.c, p, o)
	if !errors.Is(err, take.ErrWeaker) || len(got.Problems) == 0 || got.Set.Consistency != snapshot.Crash {
		t.Errorf("%v %v %+v", err, got.Problems, got.Set)
	}
	s := r.one(t)
	if s.Consistency != snapshot.Crash || s.Why == "" || len(s.Untagged) != 2 {
		t.Errorf("%+v", s)
	}
	r.Mend()
	if s, _, err = sets.Finish(t.Context(), r.c, s); err != nil || len(s.Untagged) > 0 {
		t.Errorf("%v %+v", err, s)
	}
	if s := r.one(t); len(s.Untagged) > 0 || s.Snapshots[0].Tags["Name"] != "data0" {
		t.Errorf("%+v", s)
	}
}

func TestMemberFails(t *testing.T) {
	r := open(t, 2)
	r.Settings.Pending = time.Hour
	got, err := take.Take(t.Context(), r.c, r.plan(t, take.Choice{Instance: r.instance}), options())
	if err != nil {
		t.Fatal(err)
	}
	r.region.Update(func(w *world.Region) {
		x, _ := w.Snapshots.Get(got.Set.Snapshots[1].ID)
		x.Fails = "the key is disabled"
	})
	progress := 0
	_, err = sets.Wait(t.Context(), r.c, got.Set.ID, time.Millisecond, func(s sets.Set) {
		progress++
		r.Advance(20 * time.Minute)
	})
	var failure *sets.Failure
	if !errors.As(err, &failure) || len(failure.Snapshots) != 1 || !strings.Contains(err.Error(), "the key is disabled") || progress < 2 {
		t.Error(err, progress)
	}
	if s := r.one(t); s.Whole() || len(s.Failed) != 1 {
		t.Errorf("%+v", s)
	}
}

// events are what happens in a run, in order.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, what)
}

// held reports whether more was held than let go.
func (e *events) held() bool {
	count := func(what string) (n int) {
		for _, x := range e.all {
			if x == what {
				n++
			}
		}
		return n
	}
	return count("lock") != count("unlock") || count("freeze") != count("thaw")
}

type database struct {
	events     *events
	fail, lost error
}

func (d *database) Freeze(context.Context, time.Duration) (snapshot.Position, error) {
	if d.fail != nil {
		return snapshot.Position{}, d.fail
	}
	d.events.add("lock")
	return snapshot.Position{File: "mysql-bin.000001", Offset: 4, GTIDs: "0-1-2", GTIDSum: snapshot.SumGTIDs("0-1-2")}, nil
}
func (d *database) Held(context.Context) error { return d.lost }
func (d *database) Thaw() error {
	d.events.add("unlock")
	return nil
}

type mounts struct {
	events     *events
	fail, lost error
	panics     bool
}

func (m *mounts) Freeze(context.Context, time.Duration) (take.Frozen, error) {
	if m.panics {
		panic("in the middle")
	}
	if m.fail != nil {
		return nil, m.fail
	}
	m.events.add("freeze")
	return m, nil
}
func (m *mounts) Thaw() error {
	m.events.add("thaw")
	return m.lost
}
func (m *mounts) Lasted() time.Duration { return time.Millisecond }

func TestStill(t *testing.T) {
	broken := errors.New("it broke")
	for name, of := range map[string]struct {
		database database
		mounts   mounts
		require  snapshot.Consistency
		want     snapshot.Consistency // "" nothing is taken
		err      error
		events   string
	}{
		"all":                {want: snapshot.Application, events: "pre lock freeze call thaw unlock post"},
		"lock fails":         {database: database{fail: broken}, require: snapshot.Application, err: broken, events: "pre post"},
		"lock may fail":      {database: database{fail: broken}, require: snapshot.FileSystem, want: snapshot.FileSystem, events: "pre freeze call thaw post"},
		"freeze fails":       {mounts: mounts{fail: broken}, require: snapshot.FileSystem, err: broken, events: "pre lock unlock post"},
		"freeze may fail":    {mounts: mounts{fail: broken}, require: snapshot.Crash, want: snapshot.Crash, events: "pre lock call unlock post"},
		"lock is lost":       {database: database{lost: broken}, require: snapshot.Application, want: snapshot.FileSystem, err: take.ErrWeaker, events: "pre lock freeze call thaw unlock post"},
		"freeze is lost":     {mounts: mounts{lost: broken}, require: snapshot.Application, want: snapshot.Crash, err: take.ErrWeaker, events: "pre lock freeze call thaw unlock post"},
		"freeze may be lost": {mounts: mounts{lost: broken}, want: snapshot.Crash, events: "pre lock freeze call thaw unlock post"},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, 1)
			e := &events{}
			r.Watch(func(c ec2test.Call) {
				if c.Operation == "CreateSnapshots" && !c.DryRun {
					e.add("call")
				}
			})
			of.database.events, of.mounts.events = e, e
			o := options()
			o.Freezer, o.Mounts, o.Require = &of.database, &of.mounts, of.require
			o.Pre = func(context.Context) error { e.add("pre"); return nil }
			o.Post = func(context.Context) error { e.add("post"); return nil }
			got, err := take.Take(t.Context(), r.c, r.plan(t, take.Choice{Instance: r.instance}), o)
			if !errors.Is(err, of.err) || strings.Join(e.all, " ") != of.events {
				t.Errorf("%v: %v", err, e.all)
			}
			if of.want == "" {
				if len(r.region.Snapshots()) > 0 {
					t.Error("a set was taken")
				}
				return
			}
			if s := r.one(t); s.Consistency != of.want || got.Set.Consistency != of.want || (s.Why == "") != (of.want == snapshot.Application) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// What takes long before anything stands still lets the connection go: then it is made anew, also before anything stands still.
func TestWarm(t *testing.T) {
	r := open(t, 1)
	e := &events{}
	r.Watch(func(c ec2test.Call) {
		if c.DryRun {
			e.add("warm")
		}
	})
	o := options()
	o.Freezer, o.Mounts = &database{events: e}, &mounts{events: e}
	late := time.Duration(0)
	o.Now = func() time.Time { return time.Now().Add(late) }
	o.Pre = func(context.Context) error {
		e.add("pre")
		late = time.Minute
		return nil
	}
	if _, err := take.Take(t.Context(), r.c, r.plan(t, take.Choice{Instance: r.instance}), o); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(e.all, " "); got != "warm pre warm lock freeze thaw unlock" {
		t.Error(got)
	}
}

func TestPanic(t *testing.T) {
	r := open(t, 1)
	e := &events{}
	o := options()
	o.Freezer, o.Mounts = &database{events: e}, &mounts{panics: true}
	p := r.plan(t, take.Choice{Instance: r.instance})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _ = take.Take(t.Context(), r.c, p, o)
	}()
	if !slices.Equal(e.all, []string{"lock", "unlock"}) {
		t.Error(e.all)
	}
}

// Who is interrupted amid the call lets everything go.
func TestInterrupted(t *testing.T) {
	r := open(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := &events{}
	r.Watch(func(c ec2test.Call) {
		if c.Operation == "CreateSnapshots" && !c.DryRun {
			cancel()
		}
	})
	r.Fault(ec2test.Fault{Operation: "CreateSnapshots", Late: time.Second})
	o := options()
	o.Freezer, o.Mounts = &database{events: e}, &mounts{events: e}
	p := r.plan(t, take.Choice{Instance: r.instance})
	if _, err := take.Take(ctx, r.c, p, o); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if !slices.Equal(e.all, []string{"lock", "freeze", "thaw", "unlock"}) {
		t.Error(e.all)
	}
}

func TestMany(t *testing.T) {
	r := open(t, 24)
	got, err := take.Take(t.Context(), r.c, r.plan(t, take.Choice{Instance: r.instance}), options())
	if err != nil || len(got.Problems) > 0 || len(got.Set.Snapshots) != 24 {
		t.Fatal(err, got.Problems)
	}
	t.Log(r.c.Calls())
	if s := r.one(t); len(s.Untagged) > 0 || len(s.Missing) > 0 {
		t.Errorf("%+v", s)
	}
}

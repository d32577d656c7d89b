package prune_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/ec2test/world"
	"nightjar/snapshot/plan"
	"nightjar/snapshot/prune"
	"nightjar/snapshot/sets"
)

func newServer(t testing.TB) (*ec2test.Server, *cloud.Cloud) {
	t.Helper()
	s := ec2test.New(t)
	s.Setenv(t)
	c, err := cloud.Open(t.Context(), cloud.Options{Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// add adds a set of two volumes that was taken so many days ago, and returns the ids of its snapshots.
func add(t testing.TB, r *ec2test.Region, id, job string, days int) (ids []string) {
	t.Helper()
	l := snapshot.Label{ID: id, Job: job, Host: "db1", Time: time.Now().Add(-time.Duration(days) * 24 * time.Hour).Truncate(time.Second), Consistency: snapshot.Crash}
	for i := range 2 {
		l.Volumes = append(l.Volumes, snapshot.Volume{ID: fmt.Sprint("vol-", i+1), Device: "/dev/sdf"})
	}
	tags, err := snapshot.Encode(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range l.Volumes {
		of := maps.Clone(tags)
		of[snapshot.TagVolume] = v.ID
		ids = append(ids, r.AddSnapshot(ec2test.Snapshot{Meta: ec2test.Meta{Tags: of}, Volume: v.ID, Started: l.Time}))
	}
	return ids
}

func options() prune.Options {
	return prune.Options{
		Policy: plan.Policy{Last: 2}, Zone: time.UTC, Now: time.Now,
		Chosen: func(s *snapshot.Set) bool { return s.Job == "db" },
	}
}

func left(r *ec2test.Region) (ids []string) {
	for _, s := range r.Snapshots() {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestDelete(t *testing.T) {
	s, c := newServer(t)
	r := s.Region("us-east-1")
	var want, inBin []string
	for i := range 6 {
		ids := add(t, r, fmt.Sprint("s", i), "db", i)
		switch i {
		case 2: // as an image
			r.AddImage(ec2test.Image{Snapshots: map[string]string{"/dev/sdf": ids[1]}})
		case 3:
			r.Update(func(w *world.Region) {
				x, _ := w.Snapshots.Get(ids[0])
				x.Lock = &ec2test.Lock{Mode: "governance", Created: time.Now(), Days: 9, Expires: time.Now().Add(48 * time.Hour)}
			})
		case 4:
			inBin = append(inBin, ids...)
			continue
		case 5:
			r.Update(func(w *world.Region) { // it ran out
				x, _ := w.Snapshots.Get(ids[0])
				x.Lock = &ec2test.Lock{Mode: "governance", Created: time.Now().Add(-48 * time.Hour), Days: 1, Expires: time.Now().Add(-time.Hour)}
			})
			inBin = append(inBin, ids...)
			continue
		}
		want = append(want, ids...)
	}
	want = append(want, add(t, r, "other", "web", 50)...)
	want = append(want, add(t, r, "older", "web", 90)...)
	want = append(want, r.AddSnapshot(ec2test.Snapshot{Started: time.Now().Add(-9999 * time.Hour)}))
	s.RecycleBin = 72 * time.Hour

	p, err := prune.Look(t.Context(), c, options())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range p.Decisions {
		got = append(got, fmt.Sprintf("%s %t %t %s", d.ID, d.Keep, d.Held, strings.Join(d.Reasons, "; ")))
	}
	if len(got) != 6 || !p.Decisions[2].Held || !strings.Contains(strings.Join(p.Decisions[2].Reasons, ""), "image ami-") || !p.Decisions[3].Held || !strings.Contains(strings.Join(p.Decisions[3].Reasons, ""), "lock (governance) until") {
		t.Errorf("got %q", got)
	}
	if n := len(left(r)); n != 17 {
		t.Errorf("looking left %d snapshots", n)
	}
	done, err := p.Delete(t.Context(), c)
	if err != nil || done.Sets != 2 || len(done.Snapshots) != 4 || len(done.Stuck) != 0 || len(done.Binned) != 4 || done.Binned[0].Until.Before(time.Now().Add(70*time.Hour)) {
		t.Errorf("%+v, %v", done, err)
	}
	if got := left(r); !slices.Equal(got, want) {
		t.Errorf("there are %q, want %q", got, want)
	}
	for _, b := range done.Binned {
		if !slices.Contains(inBin, b.Snapshot) {
			t.Errorf("%s is not in the bin", b.Snapshot)
		}
	}
}

// TestKilled ends the run after each number of deletions: the next finishes what was begun, and nothing half looks whole.
func TestKilled(t *testing.T) {
	s, c := newServer(t)
	r := s.Region("us-east-1")
	for i := range 5 {
		add(t, r, fmt.Sprint("s", i), "db", i)
	}
	for n := len(left(r)); ; n-- {
		p, err := prune.Look(t.Context(), c, options())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		s.Watch(func(call ec2test.Call) {
			if call.Operation == "DeleteSnapshot" {
				cancel()
			}
		})
		_, err = p.Delete(ctx, c)
		s.Watch(nil)
		cancel()
		if err == nil {
			break
		}
		all, _, err := sets.Read(t.Context(), c, sets.Query{})
		if err != nil {
			t.Fatal(err)
		}
		half := 0
		for _, x := range all {
			if !x.Whole() {
				half++
			}
		}
		if half > 1 || n < 0 {
			t.Fatalf("%d sets are half there", half)
		}
	}
	all, _, err := sets.Read(t.Context(), c, sets.Query{})
	if err != nil || len(all) != 2 || !all[0].Whole() || !all[1].Whole() {
		t.Errorf("%v, %v", all, err)
	}
}

// TestRefused has EC2 refuse one snapshot although nothing was seen to hold it.
func TestRefused(t *testing.T) {
	s, c := newServer(t)
	r := s.Region("us-east-1")
	for i := range 5 {
		add(t, r, fmt.Sprint("s", i), "db", i)
	}
	p, err := prune.Look(t.Context(), c, options())
	if err != nil {
		t.Fatal(err)
	}
	s.Fault(ec2test.Fault{Operation: "DeleteSnapshot", Nth: 3, Code: "InvalidSnapshot.InUse"})
	done, err := p.Delete(t.Context(), c)
	if err != nil || len(done.Stuck) != 1 || done.Stuck[0].Set != "s3" || done.Sets != 2 || len(left(r)) != 6 {
		t.Errorf("%+v, %v", done, err)
	}
	s.Deny("ec2:DeleteSnapshot")
	p, err = prune.Look(t.Context(), c, options())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Delete(t.Context(), c); cloud.Code(err) != "UnauthorizedOperation" {
		t.Errorf("denied: %v", err)
	}
	s.Deny("ec2:DescribeLockedSnapshots")
	if _, err := prune.Look(t.Context(), c, options()); cloud.Code(err) != "UnauthorizedOperation" {
		t.Errorf("locks are not known, and it says %v", err)
	}
}

func TestReaders(t *testing.T) {
	s, c := newServer(t)
	s.Pending = time.Hour
	r := s.Region("us-east-1")
	for i := range 3 {
		add(t, r, fmt.Sprint("s", i), "db", i)
	}
	source := r.Snapshots()[4]
	tags := maps.Clone(source.Tags)
	tags[snapshot.TagCopyOf], tags[snapshot.TagCopyFrom] = source.ID, "us-east-1"
	s.Region("eu-west-1").AddSnapshot(ec2test.Snapshot{Meta: ec2test.Meta{Tags: tags}, State: "pending", Copy: true})
	o := options()
	o.Readers = []*cloud.Cloud{c.In("eu-west-1")}
	p, err := prune.Look(t.Context(), c, o)
	if err != nil || !p.Decisions[2].Held || !strings.Contains(p.Decisions[2].Reasons[0], "eu-west-1") {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestUsage(t *testing.T) {
	for u, high := range map[prune.Usage]bool{{Used: 79_999, Quota: 100_000}: false, {Used: 80_000, Quota: 100_000}: true, {Used: 4, Quota: 5}: true, {Quota: 1}: false} {
		if u.High() != high {
			t.Errorf("%+v: %t", u, !high)
		}
	}
	s, c := newServer(t)
	r := s.Region("us-east-1")
	for i := range 3 {
		add(t, r, fmt.Sprint("s", i), "db", i)
	}
	r.AddSnapshot(ec2test.Snapshot{Owner: ec2test.Other, Public: true})
	u, err := prune.Measure(t.Context(), c)
	if err != nil || u.Used != 6 || u.Quota != 100_000 || u.Assumed != nil {
		t.Errorf("%+v, %v", u, err)
	}
	s.SnapshotQuota = 7
	if u, err = prune.Measure(t.Context(), c); err != nil || u.Quota != 7 || !u.High() {
		t.Errorf("%+v, %v", u, err)
	}
	s.Deny("servicequotas:GetServiceQuota")
	if u, err = prune.Measure(t.Context(), c); err != nil || u.Quota != prune.DefaultQuota || u.Assumed == nil {
		t.Errorf("denied: %+v, %v", u, err)
	}
}

// The set of a snapshot that jobs archived last stays as a whole, until the last mark is gone; also one of the old form.
func TestArchived(t *testing.T) {
	s, c := newServer(t)
	r := s.Region("us-east-1")
	one, other := snapshot.ArchivedKey("r1", "db"), snapshot.ArchivedKey("r2", "db")
	var ids []string
	for i := range 4 {
		ids = add(t, r, fmt.Sprint("s", i), "db", i)
	}
	marks := func(tags map[string]string) {
		r.Update(func(w *world.Region) {
			x, _ := w.Snapshots.Get(ids[1])
			maps.DeleteFunc(x.Tags, func(key, _ string) bool { return snapshot.IsArchived(key) })
			maps.Copy(x.Tags, tags)
		})
	}
	var p *prune.Plan
	for _, tags := range []map[string]string{{one: "0123456789abcdef", other: "123456789abcdef0"}, {other: "123456789abcdef0"}, {snapshot.TagArchived: "123456789abcdef0"}} {
		marks(tags)
		var err error
		p, err = prune.Look(t.Context(), c, options())
		if err != nil || len(p.Doubtful) > 0 || p.Decisions[2].Keep || !p.Decisions[3].Held || !strings.Contains(p.Decisions[3].Reasons[0], "123456789abcdef0") {
			t.Fatalf("%v: %+v, %v", tags, p, err)
		}
	}
	if done, err := p.Delete(t.Context(), c); err != nil || done.Sets != 1 || len(left(r)) != 6 {
		t.Errorf("%+v, %v", done, err)
	}
}

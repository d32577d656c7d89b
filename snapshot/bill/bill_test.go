package bill_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/bill"
	"nightjar/snapshot/blocks"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/ec2test/world"
	"nightjar/snapshot/sets"
)

// disk makes a sparse file of a GiB: of each block that holds something, the byte that fills it.
func disk(t *testing.T, holds map[int64]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	for i, b := range holds {
		if _, err := f.WriteAt(bytes.Repeat([]byte{b}, blocks.Size), i*blocks.Size); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

type account struct {
	*testing.T
	server *ec2test.Server
	cloud  *cloud.Cloud
	known  *bill.Known
}

func open(t *testing.T) *account {
	s := ec2test.New(t)
	s.Setenv(t)
	c, err := cloud.Open(t.Context(), cloud.Options{Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return &account{t, s, c, &bill.Known{}}
}

var begin = time.Date(2026, 11, 1, 2, 30, 0, 0, time.UTC)

// night adds a set of one volume that was taken on a day, and returns the snapshot's id.
func (a *account) night(region string, day int, volume string, s ec2test.Snapshot, more map[string]string) string {
	a.Helper()
	l := snapshot.Label{ID: fmt.Sprintf("set-%d-%s", day, volume), Job: "db", Host: "db1", Time: begin.AddDate(0, 0, day), Consistency: snapshot.Crash, Volumes: []snapshot.Volume{{ID: volume, Device: "/dev/sdf"}}}
	tags, err := snapshot.Encode(l)
	if err != nil {
		a.Fatal(err)
	}
	tags[snapshot.TagVolume] = volume
	maps.Copy(tags, more)
	s.Tags, s.GiB, s.Started = tags, 1, l.Time
	if s.Volume == "" {
		s.Volume = volume
	}
	return a.server.Region(region).AddSnapshot(s)
}

// sums are those of a region; counted says by asking EBS.
func (a *account) sums(region string, counted bool) ([]bill.Sum, error) {
	a.Helper()
	c := a.cloud.In(region)
	all, strays, err := sets.Read(a.Context(), c, sets.Query{})
	if err != nil || len(strays) > 0 {
		a.Fatal(err, strays)
	}
	var count *bill.Counter
	if counted {
		count = &bill.Counter{Blocks: blocks.New(c.Blocks, 0), Known: a.known}
	}
	a.server.Forget()
	return bill.Of(a.Context(), region, all, count)
}

// want compares the blocks of the tiers, and the calls that were made of the EBS direct APIs.
func (a *account) want(region string, calls string, sums ...bill.Sum) {
	a.Helper()
	got, err := a.sums(region, true)
	for i := range sums {
		sums[i].Region, sums[i].AtMost, sums[i].Stored = region, sums[i].AtMost*blocks.Size, sums[i].Stored*blocks.Size
	}
	if err != nil || !reflect.DeepEqual(got, sums) {
		a.Errorf("%+v, %v, not %+v", got, err, sums)
	}
	var made []string
	for _, c := range a.server.Calls() {
		made = append(made, c.Operation)
	}
	slices.Sort(made)
	if said := strings.Join(made, " "); said != calls {
		a.Errorf("%q were called, not %q", said, calls)
	}
}

func standard(snapshots int, atMost, stored uint64) bill.Sum {
	return bill.Sum{Tier: bill.Standard, Snapshots: snapshots, AtMost: atMost, Stored: stored, Counted: true}
}

// Each block counts once, those that were only removed not at all; and what is known is not asked again, also where a snapshot in the middle is gone.
func TestChain(t *testing.T) {
	a := open(t)
	a.night("us-east-1", 1, "vol-1", ec2test.Snapshot{File: disk(t, map[int64]byte{0: 1, 1: 1, 2: 1})}, nil)
	a.want("us-east-1", "", standard(1, 3, 3))
	middle := a.night("us-east-1", 2, "vol-1", ec2test.Snapshot{File: disk(t, map[int64]byte{0: 1, 1: 2, 3: 1})}, nil)
	a.want("us-east-1", "ListChangedBlocks", standard(2, 6, 5))
	a.night("us-east-1", 3, "vol-1", ec2test.Snapshot{File: disk(t, map[int64]byte{0: 5, 1: 2, 3: 2})}, nil)
	a.night("us-east-1", 4, "vol-1", ec2test.Snapshot{File: disk(t, map[int64]byte{0: 5, 1: 2})}, nil)
	a.want("us-east-1", "ListChangedBlocks ListChangedBlocks", standard(4, 11, 7))

	path := filepath.Join(t.TempDir(), "known.json")
	if err := a.known.Write(path); err != nil {
		t.Fatal(err)
	}
	var err error
	if a.known, err = bill.ReadKnown(path); err != nil {
		t.Fatal(err)
	}
	a.want("us-east-1", "", standard(4, 11, 7))

	a.server.Region("us-east-1").Update(func(w *world.Region) { w.Snapshots.Delete(middle) })
	a.want("us-east-1", "ListChangedBlocks", standard(3, 8, 6))
	a.want("us-east-1", "", standard(3, 8, 6))
	if err := a.known.Write(path); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), middle) {
		t.Errorf("%s, %v: it names a snapshot that is gone", text, err)
	}
}

// Volumes share nothing with each other, nor a copy with what it is of, nor copies under two keys; an archived snapshot is whole, and one that was written by itself too.
func TestApart(t *testing.T) {
	a := open(t)
	r := a.server.Region("us-east-1")
	key := r.AddKey(ec2test.Key{})
	for day, b := range []byte{1, 2, 3} {
		plain, sealed := map[int64]byte{0: 1, 7: b}, map[int64]byte{0: 9, 1: 9, 2: b}
		a.night("us-east-1", day, "vol-1", ec2test.Snapshot{File: disk(t, plain)}, nil)
		a.night("us-east-1", day, "vol-2", ec2test.Snapshot{File: disk(t, sealed), Encrypted: true, KMSKey: key}, nil)
	}
	a.want("us-east-1", strings.TrimSpace(strings.Repeat("ListChangedBlocks ", 4)), standard(6, 15, 2+1+1+3+1+1))

	// The one in the middle was written block by block: it is of no lineage, and those beside it are compared with each other.
	a.night("us-east-1", 3, "vol-1", ec2test.Snapshot{File: disk(t, map[int64]byte{0: 1, 7: 3}), Lineage: "snap-written"}, nil)
	a.night("us-east-1", 4, "vol-1", ec2test.Snapshot{File: disk(t, map[int64]byte{0: 1, 7: 4})}, nil)
	got, err := a.sums("us-east-1", true)
	if err != nil || len(got) != 1 || got[0].Stored != (9+2+1)*blocks.Size {
		t.Errorf("%+v, %v", got, err)
	}
	a.server.Forget()
	if again, err := a.sums("us-east-1", true); err != nil || !reflect.DeepEqual(again, got) || len(a.server.Calls()) > 0 {
		t.Errorf("%+v, %v, and %v", again, err, a.server.Calls())
	}

	far := a.server.Region("eu-west-1")
	keys := []string{far.AddKey(ec2test.Key{}), far.AddKey(ec2test.Key{})}
	for day, k := range []string{keys[0], keys[0], keys[1]} {
		more := map[string]string{snapshot.TagCopyOf: fmt.Sprintf("snap-%08x", day), snapshot.TagCopyFrom: "us-east-1"}
		a.night("eu-west-1", day, "vol-1", ec2test.Snapshot{File: disk(t, map[int64]byte{0: 1, 7: byte(day)}), Copy: true, Encrypted: true, KMSKey: k, Volume: "vol-ffffffff", Lineage: "vol-1"}, more)
	}
	a.night("eu-west-1", 9, "vol-1", ec2test.Snapshot{File: disk(t, map[int64]byte{0: 1, 7: 9}), Archived: true}, nil)
	a.night("eu-west-1", 10, "vol-1", ec2test.Snapshot{State: "pending"}, nil)
	a.want("eu-west-1", "ListChangedBlocks", standard(3, 6, 2+1+2), bill.Sum{Tier: bill.Archive, Snapshots: 1, AtMost: 2, Stored: 2, Counted: true})
}

// What may not be asked leaves the upper bound; without being told to, nothing is asked.
func TestNotCounted(t *testing.T) {
	a := open(t)
	for day := range 3 {
		a.night("us-east-1", day, "vol-1", ec2test.Snapshot{File: disk(t, map[int64]byte{0: byte(day + 1)})}, nil)
	}
	want := []bill.Sum{{Region: "us-east-1", Tier: bill.Standard, Snapshots: 3, AtMost: 3 * blocks.Size}}
	if got, err := a.sums("us-east-1", false); err != nil || !reflect.DeepEqual(got, want) || len(a.server.Calls()) > 0 {
		t.Errorf("%+v, %v, and %v", got, err, a.server.Calls())
	}
	a.server.Deny("ebs:ListChangedBlocks")
	got, err := a.sums("us-east-1", true)
	if cloud.Code(err) != "AccessDeniedException" || !reflect.DeepEqual(got, want) || len(a.server.Calls()) != 1 {
		t.Errorf("%+v, %v, and %v", got, err, a.server.Calls())
	}
	a.server.Allow("ebs:ListChangedBlocks")
	a.want("us-east-1", "ListChangedBlocks ListChangedBlocks", standard(3, 3, 3))

	// EC2 does not say how much is in a snapshot: its volume is the bound, and its blocks are listed once.
	b := open(t)
	b.night("us-east-1", 0, "vol-1", ec2test.Snapshot{}, nil)
	b.want("us-east-1", "ListSnapshotBlocks", standard(1, 1<<30/blocks.Size, 0))
	b.want("us-east-1", "", standard(1, 1<<30/blocks.Size, 0))
	if got, err := b.sums("eu-west-1", true); err != nil || len(got) > 0 {
		t.Errorf("of nothing, %+v, %v", got, err)
	}
}

func TestPrices(t *testing.T) {
	p, err := bill.ParsePrices([]string{"sa-east-1=0.068", "us-east-1:archive=0.01"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"us-east-1 standard": 0.05, "us-east-1 archive": 0.01, "eu-central-1 archive": 0.0135, "sa-east-1 standard": 0.068, "sa-east-1 archive": -1, "xx-north-1 standard": -1} {
		region, tier, _ := strings.Cut(name, " ")
		if usd, ok := p.Of(region, tier); ok != (want >= 0) || ok && usd != want {
			t.Errorf("%s: %g, %v", name, usd, ok)
		}
	}
	for _, text := range []string{"", "us-east-1", "=1", ":archive=1", "us-east-1:deep=1", "us-east-1=-1", "us-east-1=NaN", "us-east-1=Inf", "us-east-1=1001"} {
		if _, err := bill.ParsePrices([]string{text}); err == nil {
			t.Errorf("price %q is taken", text)
		}
	}
}

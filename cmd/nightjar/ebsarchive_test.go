package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/blocks"
	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/ec2test/world"
)

// disk makes a sparse file of a GiB with some blocks in it; of those some are of another version.
func disk(t testing.TB, dir, name string, gib int64, holds []int64, version uint64) string {
	t.Helper()
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(gib << 30); err != nil {
		t.Fatal(err)
	}
	for _, i := range holds {
		data := make([]byte, blocks.Size)
		r := rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(version)})
		_, _ = r.Read(data[:blocks.Size/2])
		if _, err := f.WriteAt(data, i*blocks.Size); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// archived is what a test reads of --json.
type archived struct {
	Archive struct {
		ID     string
		Labels map[string]string
	}
	Statistics map[string]uint64
	EBS        struct {
		BlocksRead uint64 `json:"blocks_read"`
		Volumes    []struct{ Base string }
	}
	Set       string
	Snapshots map[string]string
	Written   uint64 `json:"blocks_written"`
}

func (d *dumper) ebs(args ...string) (r archived) {
	d.Helper()
	if err := json.Unmarshal([]byte(d.must(append([]string{"ebs", "--json"}, args...)...)), &r); err != nil {
		d.Fatal(err)
	}
	return r
}

func sameFiles(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.Open(a)
	must(t, err)
	defer x.Close()
	y, err := os.Open(b)
	must(t, err)
	defer y.Close()
	one, other := make([]byte, 1<<20), make([]byte, 1<<20) // files are as large as volumes
	for at := 0; ; at += len(one) {
		n, err := io.ReadFull(x, one)
		m, err2 := io.ReadFull(y, other)
		if !bytes.Equal(one[:n], other[:m]) || (err == nil) != (err2 == nil) {
			t.Errorf("%s and %s differ from %d on", a, b, at)
			return
		}
		if err != nil {
			return
		}
	}
}

// snapshots are a region's, for a test that has files in the place of volumes.
type snapshots struct {
	*ec2test.Region
	server *ec2test.Server
}

func newSnapshots(t *testing.T) (snapshots, *dumper) {
	s := ec2test.New(t)
	d := &dumper{T: t, home: t.TempDir()}
	d.env = s.Environ()
	d.must("init")
	return snapshots{s.Region("us-east-1"), s}, d
}

// take makes a snapshot of a file of a GiB. It is of no set without tags.
func (s snapshots) take(id, volume, path string, gib int64, tags map[string]string) {
	s.AddSnapshot(ec2test.Snapshot{Meta: ec2test.Meta{ID: id, Tags: tags}, Volume: volume, File: path, GiB: int(gib)})
}

// count tells how often an operation succeeded.
func (s snapshots) count(operation string) (n int) {
	for _, c := range s.server.Calls() {
		if c.Operation == operation && c.Code == "" {
			n++
		}
	}
	return n
}

func (s snapshots) file(id string) string {
	x, _ := s.Snapshot(id)
	return x.File
}

// marks are the keys of the tags of a snapshot that say that an archive needs it.
func (s snapshots) marks(id string) (keys []string) {
	x, _ := s.Snapshot(id)
	for key := range x.Tags {
		if snapshot.IsArchived(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// A set of two volumes goes into the repository, night after night by what has changed, and comes back as files, on a device, and as snapshots.
func TestEBSArchive(t *testing.T) {
	s, d := newSnapshots(t)
	dir := t.TempDir()
	tagged := func(set, volume string) map[string]string {
		tags, err := snapshot.Encode(snapshot.Label{
			ID: set, Job: "db", Host: "web1", Time: time.Unix(1.7e9, 0), Consistency: snapshot.Crash, Position: snapshot.Position{File: "bin.000007", Offset: 4711, GTIDs: "0-1-99"},
			Volumes: []snapshot.Volume{{ID: "vol-0000000a", Device: "/dev/sdf", Mount: "/srv"}, {ID: "vol-0000000b", Device: "/dev/sdg"}},
		})
		must(t, err)
		tags[snapshot.TagVolume] = volume
		return tags
	}
	night := func(n int, a, b string) string {
		t.Helper()
		set := fmt.Sprintf("set-%d", n)
		s.take(fmt.Sprintf("snap-0000000%d", n), "vol-0000000a", a, 1, tagged(set, "vol-0000000a"))
		s.take(fmt.Sprintf("snap-1000000%d", n), "vol-0000000b", b, 1, tagged(set, "vol-0000000b"))
		s.server.Advance(24 * time.Hour)
		return set
	}
	a1 := disk(t, dir, "a1", 1, []int64{0, 1, 2, 100, 2047}, 1)
	b1 := disk(t, dir, "b1", 1, []int64{5, 6}, 1)
	night(1, a1, b1)
	if _, said, code := d.run("ebs", "archive", "set-1", "--max-cost", "0.000001"); code != 1 || !strings.Contains(said, "7 blocks") || s.count("GetSnapshotBlock") > 0 {
		t.Errorf("%d\n%s", code, said)
	}
	s.server.Fault(ec2test.Fault{Operation: "GetSnapshotBlock", Nth: 3, Times: 2, Code: "RequestThrottledException"})
	var read atomic.Int64
	s.server.Watch(func(c ec2test.Call) {
		if c.Operation == "GetSnapshotBlock" && read.Add(1) == 5 { // tokens expire
			s.server.Advance(8 * 24 * time.Hour)
		}
	})
	first := d.ebs("archive", "set-1", "--parallel", "2")
	if l := first.Archive.Labels; first.EBS.BlocksRead != 7 || l["set"] != "set-1" || l["position"] != "bin.000007:4711" || l["gtids"] != "0-1-99" || l["snapshots"] != "vol-0000000a=snap-00000001 vol-0000000b=snap-10000001" {
		t.Errorf("%+v", first)
	}
	if len(s.marks("snap-00000001")) != 1 || len(s.marks("snap-10000001")) != 1 {
		t.Error("the snapshots are not marked")
	}

	other := &dumper{T: t, home: t.TempDir(), env: d.env}
	other.must("init")
	other.must("ebs", "archive", "set-1", "--job", "db")
	if len(s.marks("snap-00000001")) != 2 {
		t.Error("two repositories have one mark")
	}

	a2 := disk(t, dir, "a2", 1, []int64{0, 2, 100, 2047}, 1) // 1 is cleared
	disk(t, dir, "a2", 1, []int64{100, 500}, 2)
	night(2, a2, b1)
	second := d.ebs("archive", "latest")
	if second.EBS.BlocksRead != 2 || second.EBS.Volumes[0].Base != "snap-00000001" || second.Statistics["unchanged"] != 1 {
		t.Errorf("%+v", second)
	}
	if len(s.marks("snap-00000001")) != 1 || len(s.marks("snap-00000002")) != 1 {
		t.Error("the mark has not gone on")
	}
	out := t.TempDir()
	d.must("restore", second.Archive.ID, "--target", out)
	sameFiles(t, filepath.Join(out, "volumes/vol-0000000a.img"), a2)
	sameFiles(t, filepath.Join(out, "volumes/vol-0000000b.img"), b1)
	d.must("ebs", "unarchive", first.Archive.ID+":vol-0000000a", "--to", filepath.Join(out, "a1.img"))
	sameFiles(t, filepath.Join(out, "a1.img"), a1)
	for _, wrong := range [][]string{{"latest"}, {"latest", "--to-snapshots", "--to", "x"}, {"latest", "--to", filepath.Join(out, "x")}, {"latest:vol-0000000c", "--to-snapshots"}, {"latest", "--to-snapshots", "--parent", "latest", "--encrypted"}} {
		if _, said, code := d.run(append([]string{"ebs", "unarchive"}, wrong...)...); code != 2 {
			t.Errorf("%v: %d\n%s", wrong, code, said)
		}
	}
	if _, said, code := d.run("ebs", "unarchive", "latest:vol-0000000a", "--to", filepath.Join(out, "a1.img")); code != 1 || !strings.Contains(said, "nothing was written") {
		t.Errorf("a file that is there: %d\n%s", code, said)
	}

	made := d.ebs("unarchive", "latest", "--to-snapshots")
	if made.Written != 7 || made.Set != "set-2-a"+second.Archive.ID[:8] || len(made.Snapshots) != 2 {
		t.Errorf("%+v", made)
	}
	sameFiles(t, s.file(made.Snapshots["vol-0000000a"]), a2)
	if x, _ := s.Snapshot(made.Snapshots["vol-0000000b"]); x.State != "completed" || x.Tags[snapshot.TagVolume] != "vol-0000000b" || x.Tags[snapshot.TagSet] != made.Set {
		t.Errorf("%+v", x)
	}
	if again := d.ebs("unarchive", "latest", "--to-snapshots"); again.Written != 0 || again.Snapshots["vol-0000000a"] != made.Snapshots["vol-0000000a"] {
		t.Errorf("%+v", again)
	}
	differs := d.ebs("unarchive", "latest:vol-0000000a", "--to-snapshots", "--parent", first.Archive.ID)
	if differs.Written != 3 { // of five that the volume has
		t.Errorf("%+v", differs)
	}
	sameFiles(t, s.file(differs.Snapshots["vol-0000000a"]), a2)

	s.Update(func(w *world.Region) { w.Snapshots.Delete("snap-00000002") })
	sent, said, code := d.run("ebs", "--json", "archive", night(3, a2, b1))
	third := archived{}
	if err := json.Unmarshal([]byte(sent), &third); err != nil || code != 0 || third.EBS.BlocksRead != 5 || third.Statistics["chunks_new"] != 0 || !strings.Contains(said, "all of vol-0000000a is read") {
		t.Errorf("%d: %+v\n%s", code, third, said)
	}
	d.must("check", "--read-data")

	var called []string
	for _, c := range s.server.Calls() {
		called = append(called, c.Action())
	}
	must(t, samePolicy("Policy: archive and unarchive", called))
}

// What a run has read that is killed in the middle need not be read again, but for what was on its way.
func TestEBSArchiveKilled(t *testing.T) {
	s, d := newSnapshots(t)
	all := int(*ebsKilled)
	path := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(path)
	must(t, err)
	r := rand.NewChaCha8([32]byte{3})
	_, err = io.CopyN(f, r, *ebsKilled*blocks.Size)
	must(t, err)
	gib := (*ebsKilled*blocks.Size + 1<<30 - 1) >> 30
	must(t, f.Truncate(gib<<30))
	must(t, f.Close())
	s.take("snap-0000000a", "vol-0000000a", path, gib, nil)
	var mu sync.Mutex
	read, middle := 0, make(chan struct{})
	s.server.Watch(func(c ec2test.Call) {
		if c.Operation == "GetSnapshotBlock" {
			mu.Lock()
			defer mu.Unlock()
			if read++; read == all*3/4 {
				close(middle)
			}
		}
	})
	archive := []string{"ebs", "archive", "snap-0000000a", "--json", "--connections", "1", "--parallel", "4"}
	first := d.begin(archive...)
	<-middle
	must(t, first.Process.Kill())
	d.end(first)
	mu.Lock()
	before := read
	mu.Unlock()
	out, said, code := d.run(archive...)
	var second archived
	if err := json.Unmarshal([]byte(out), &second); err != nil || code != 0 {
		t.Fatalf("%v, %d\n%s", err, code, said)
	}
	t.Logf("of %d blocks the first run read %d, and the second %d: %.3f of them", all, before, read-before, float64(read)/float64(all))
	onItsWay := 4 + 32 + 3*32 + max(32, all/40) // read, cut, in packs, in packs that are not indexed
	if read > all+onItsWay || before >= all {
		t.Error("too many")
	}
	d.must("ebs", "unarchive", "latest", "--to", path+"-again")
	sameFiles(t, path, path+"-again")
	if left, err := filepath.Glob(filepath.Join(d.home, "cache/*/ebs/*")); err != nil || len(left) != 0 {
		t.Errorf("journals: %v, %v", left, err)
	}
}

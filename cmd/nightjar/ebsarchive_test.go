package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/blocks"
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

// A set of two volumes goes into the repository, night after night by what has changed, and comes back as files, on a device, and as snapshots.
func TestEBSArchive(t *testing.T) {
	s := startDirect(t)
	d := &dumper{T: t, home: t.TempDir()}
	d.env = s.environ()
	d.must("init")
	dir := t.TempDir()
	night := func(id string) map[string]string {
		tags, err := snapshot.Encode(snapshot.Label{
			ID: id, Job: "db", Host: "web1", Time: time.Unix(1.7e9, 0), Consistency: snapshot.Crash, Position: snapshot.Position{File: "bin.000007", Offset: 4711, GTIDs: "0-1-99"},
			Volumes: []snapshot.Volume{{ID: "vol-0a", Device: "/dev/sdf", Mount: "/srv"}, {ID: "vol-0b", Device: "/dev/sdg"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return tags
	}
	tagged := func(set, volume string) map[string]string {
		tags := night(set)
		tags[snapshot.TagVolume] = volume
		return tags
	}
	a1 := disk(t, dir, "a1", 1, []int64{0, 1, 2, 100, 2047}, 1)
	b1 := disk(t, dir, "b1", 1, []int64{5, 6}, 1)
	s.take("snap-0a1", "vol-0a", a1, tagged("set-1", "vol-0a"))
	s.take("snap-0b1", "vol-0b", b1, tagged("set-1", "vol-0b"))
	s.expire, s.throttle = 10, 6
	if _, said, code := d.run("ebs", "archive", "set-1", "--max-cost", "0.000001"); code != 1 || !strings.Contains(said, "7 blocks") || s.count("GetSnapshotBlock") > 0 {
		t.Errorf("%d\n%s", code, said)
	}
	first := d.ebs("archive", "set-1")
	if l := first.Archive.Labels; first.EBS.BlocksRead != 7 || l["set"] != "set-1" || l["position"] != "bin.000007:4711" || l["gtids"] != "0-1-99" || l["snapshots"] != "vol-0a=snap-0a1 vol-0b=snap-0b1" {
		t.Errorf("%+v", first)
	}
	if s.snapshots["snap-0a1"].tags[tagArchived] == "" || s.snapshots["snap-0b1"].tags[tagArchived] == "" {
		t.Error("the snapshots are not marked")
	}

	s.expire, s.throttle = 0, 0
	a2 := disk(t, dir, "a2", 1, []int64{0, 2, 100, 2047}, 1) // 1 is cleared
	disk(t, dir, "a2", 1, []int64{100, 500}, 2)
	s.take("snap-0a2", "vol-0a", a2, tagged("set-2", "vol-0a"))
	s.take("snap-0b2", "vol-0b", b1, tagged("set-2", "vol-0b"))
	second := d.ebs("archive", "latest")
	if second.EBS.BlocksRead != 2 || second.EBS.Volumes[0].Base != "snap-0a1" || second.Statistics["unchanged"] != 1 {
		t.Errorf("%+v", second)
	}
	if s.snapshots["snap-0a1"].tags[tagArchived] != "" || s.snapshots["snap-0a2"].tags[tagArchived] == "" {
		t.Error("the mark has not gone on")
	}
	out := t.TempDir()
	d.must("restore", second.Archive.ID, "--target", out)
	sameFiles(t, filepath.Join(out, "volumes/vol-0a.img"), a2)
	sameFiles(t, filepath.Join(out, "volumes/vol-0b.img"), b1)
	d.must("ebs", "unarchive", first.Archive.ID+":vol-0a", "--to", filepath.Join(out, "a1.img"))
	sameFiles(t, filepath.Join(out, "a1.img"), a1)
	for _, wrong := range [][]string{{"latest"}, {"latest", "--to-snapshots", "--to", "x"}, {"latest", "--to", filepath.Join(out, "x")}, {"latest:vol-0c", "--to-snapshots"}, {"latest", "--to-snapshots", "--parent", "latest", "--encrypted"}} {
		if _, said, code := d.run(append([]string{"ebs", "unarchive"}, wrong...)...); code != 2 {
			t.Errorf("%v: %d\n%s", wrong, code, said)
		}
	}
	if _, said, code := d.run("ebs", "unarchive", "latest:vol-0a", "--to", filepath.Join(out, "a1.img")); code != 1 || !strings.Contains(said, "nothing was written") {
		t.Errorf("a file that is there: %d\n%s", code, said)
	}

	made := d.ebs("unarchive", "latest", "--to-snapshots")
	if made.Written != 7 || made.Set != "set-2-a"+second.Archive.ID[:8] || len(made.Snapshots) != 2 {
		t.Errorf("%+v", made)
	}
	sameFiles(t, s.snapshots[made.Snapshots["vol-0a"]].path, a2)
	if x := s.snapshots[made.Snapshots["vol-0b"]]; x.state != "completed" || x.tags[snapshot.TagVolume] != "vol-0b" || x.tags[snapshot.TagSet] != made.Set {
		t.Errorf("%+v", x)
	}
	if again := d.ebs("unarchive", "latest", "--to-snapshots"); again.Written != 0 || again.Snapshots["vol-0a"] != made.Snapshots["vol-0a"] {
		t.Errorf("%+v", again)
	}
	differs := d.ebs("unarchive", "latest:vol-0a", "--to-snapshots", "--parent", first.Archive.ID)
	if differs.Written != 3 || s.snapshots[differs.Snapshots["vol-0a"]].parent != "snap-0a1" {
		t.Errorf("%+v", differs)
	}
	sameFiles(t, s.snapshots[differs.Snapshots["vol-0a"]].path, a2)

	s.mu.Lock()
	delete(s.snapshots, "snap-0a2")
	s.mu.Unlock()
	s.take("snap-0a3", "vol-0a", a2, tagged("set-3", "vol-0a"))
	s.take("snap-0b3", "vol-0b", b1, tagged("set-3", "vol-0b"))
	sent, said, code := d.run("ebs", "--json", "archive", "set-3")
	third := archived{}
	if err := json.Unmarshal([]byte(sent), &third); err != nil || code != 0 || third.EBS.BlocksRead != 5 || third.Statistics["chunks_new"] != 0 || !strings.Contains(said, "all of vol-0a is read") {
		t.Errorf("%d: %+v\n%s", code, third, said)
	}
	d.must("check", "--read-data")

	s.mu.Lock()
	defer s.mu.Unlock()
	var called []string
	for name := range s.calls {
		service := "ec2:"
		if strings.HasSuffix(name, "Blocks") || strings.HasSuffix(name, "Block") || name == "StartSnapshot" || name == "CompleteSnapshot" {
			service = "ebs:"
		}
		called = append(called, service+name)
	}
	must(t, samePolicy("Policy: archive and unarchive", called))
}

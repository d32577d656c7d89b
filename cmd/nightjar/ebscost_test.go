package main

import (
	"encoding/json"
	flags "flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"nightjar/snapshot/blocks"
	"nightjar/snapshot/ec2test/world"
)

var (
	ebsGiB    = flags.Int64("ebs-gib", 1, "GiB of the volume whose archives are measured")
	ebsKilled = flags.Int64("ebs-killed", 400, "blocks of the snapshot whose archive is killed")
	ebsFilled = flags.Int64("ebs-filled", 40, "MiB of it that hold something")
)

// A night in which pages of one block in a hundred change reads those blocks, and costs no more than a backup of the same image by its bytes.
func TestEBSArchiveCost(t *testing.T) {
	s, d := newSnapshots(t)
	other := &dumper{T: t, home: t.TempDir()} // whose chunks are not the archive's
	other.must("init")
	filled := *ebsFilled << 20 / blocks.Size
	all := *ebsGiB << 30 / blocks.Size
	holds := []int64{}
	for i := range filled {
		holds = append(holds, i)
	}
	path := disk(t, t.TempDir(), "disk", *ebsGiB, holds, 1)
	backup := func() map[string]uint64 {
		var r struct{ Statistics map[string]uint64 }
		if err := json.Unmarshal([]byte(other.must("backup", "--json", path)), &r); err != nil {
			t.Fatal(err)
		}
		return r.Statistics
	}
	taken := filepath.Join(t.TempDir(), "taken")
	must(t, world.Copy(path, taken, 0))
	s.take("snap-00000001", "vol-00000001", taken, *ebsGiB, nil)
	first := d.ebs("archive", "snap-00000001")
	backup()

	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	changed, touched := max(all/100, 1), map[int64]bool{}
	r, page := rand.NewChaCha8([32]byte{9}), make([]byte, 16<<10)
	for i := range changed {
		_, _ = r.Read(page[:len(page)/2])
		block := holds[i*filled/changed%filled]
		touched[block] = true
		at := block*blocks.Size + int64(r.Uint64()%(blocks.Size/uint64(len(page))))*int64(len(page))
		if _, err := f.WriteAt(page, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s.take("snap-00000002", "vol-00000001", path, *ebsGiB, nil)
	differ := len(touched)
	before := s.count("GetSnapshotBlock")
	second := d.ebs("archive", "snap-00000002")
	read := s.count("GetSnapshotBlock") - before
	beside := backup()
	lists := s.count("ListSnapshotBlocks") + s.count("ListChangedBlocks")
	t.Logf("%d GiB, %d MiB of them filled: the first archive read %d blocks and stored %d bytes; with %d blocks changed, the second read %d, and stored %d bytes (%d of literals), where nightjar backup of the image stored %d (%d of literals): %.2f of it; %d lists",
		*ebsGiB, *ebsFilled, first.EBS.BlocksRead, first.Statistics["bytes_stored"], differ, read, second.Statistics["bytes_stored"], second.Statistics["bytes_literal"],
		beside["bytes_stored"], beside["bytes_literal"], float64(second.Statistics["bytes_stored"])/float64(beside["bytes_stored"]), lists)
	if read != differ || differ == 0 {
		t.Errorf("%d blocks were read, and %d differ", read, differ)
	}
	if second.Statistics["bytes_literal"] > 3*beside["bytes_literal"]/2+64<<10 {
		t.Errorf("%d bytes of literals, and a backup of the image has %d", second.Statistics["bytes_literal"], beside["bytes_literal"])
	}
}

package main

import (
	"encoding/json"
	flags "flag"
	"math/rand/v2"
	"os"
	"testing"

	"nightjar/snapshot/blocks"
)

var (
	ebsGiB    = flags.Int64("ebs-gib", 1, "GiB of the volume whose archives are measured")
	ebsFilled = flags.Int64("ebs-filled", 40, "MiB of it that hold something")
)

// A night in which pages of one block in a hundred change reads those blocks, and costs no more than a backup of the same image by its bytes.
func TestEBSArchiveCost(t *testing.T) {
	s := startDirect(t)
	d := &dumper{T: t, home: t.TempDir()}
	d.env = s.environ()
	d.must("init")
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
	s.take("snap-1", "vol-1", path, nil)
	first := d.ebs("archive", "snap-1")
	backup()

	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	changed := max(all/100, 1)
	r, page := rand.NewChaCha8([32]byte{9}), make([]byte, 16<<10)
	for i := range changed {
		_, _ = r.Read(page[:len(page)/2])
		at := holds[i*filled/changed%filled]*blocks.Size + int64(r.Uint64()%(blocks.Size/uint64(len(page))))*int64(len(page))
		if _, err := f.WriteAt(page, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s.take("snap-2", "vol-1", path, nil)
	differ := 0
	for i, sum := range s.snapshots["snap-2"].blocks {
		if s.snapshots["snap-1"].blocks[i] != sum {
			differ++
		}
	}
	before := s.count("GetSnapshotBlock")
	second := d.ebs("archive", "snap-2")
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

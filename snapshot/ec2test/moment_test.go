package ec2test_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot/ec2test"
)

// Of two volumes that are written to in turns, a set of snapshots never has the later write without the earlier one.
func TestOneMoment(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts a file system")
	}
	x := open(t)
	s := x.own(t)
	shelf := s.Shelf(t, 1)
	r := s.Region("us-east-1")
	instance := r.AddInstance(ec2test.Instance{})
	const size = 16 << 20
	var files [2]*os.File
	for i, name := range []string{"a", "b"} {
		f := must(os.Create(filepath.Join(shelf, name)))(t)
		t.Cleanup(func() { f.Close() })
		if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
			t.Fatal(err)
		}
		files[i] = f
		r.Attach(r.AddVolume(ec2test.Volume{Backing: f.Name()}), instance, "/dev/sd"+string(rune('f'+i)))
	}
	stop, began := make(chan struct{}), make(chan struct{})
	var writing sync.WaitGroup
	var once sync.Once
	writing.Go(func() {
		for n := uint64(1); ; n++ {
			for i, at := range []int64{size - 8, 0} { // the one that is read last first, and the other way round
				if _, err := files[i].WriteAt(binary.BigEndian.AppendUint64(nil, n), at); err != nil {
					t.Error(err)
					return
				}
			}
			once.Do(func() { close(began) })
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	<-began
	c := x.in("us-east-1")
	for range 3 {
		out := must(c.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: &instance, ExcludeBootVolume: aws.Bool(true)}}))(t)
		var seen [2]uint64
		for i, info := range out.Snapshots {
			snapshot, _ := r.Snapshot(*info.SnapshotId)
			data := must(os.ReadFile(snapshot.File))(t)
			seen[i] = binary.BigEndian.Uint64(data[[]int{size - 8, 0}[i]:])
			x.completed(t, "us-east-1", *info.SnapshotId)
		}
		if seen[0] < seen[1] || seen[0] > seen[1]+1 {
			t.Errorf("the first volume is at write %d, the second at %d", seen[0], seen[1])
		}
	}
	close(stop)
	writing.Wait()
}

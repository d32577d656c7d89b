package main

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/ec2test/world"
)

// ec2Bring is what scripts of ebs restore have of the command ec2 besides: far (an instance in eu-west-1, into $FAR), gone REGION (each call there is denied), forget (the calls so far),
// called REGION N, volumes REGION N (that there are), archive REGION (all snapshots, into the archive tier), key (that is disabled, into $KEY). It reports whether it knows it.
func ec2Bring(ts *testscript.TestScript, s *ec2test.Server, args []string) bool {
	argument := func(i int) string {
		if i >= len(args) {
			ts.Fatalf("ec2 %s: an argument is missing", args[0])
		}
		return args[i]
	}
	want := func(got int) {
		n, err := strconv.Atoi(argument(2))
		ts.Check(err)
		if got != n {
			ts.Fatalf("ec2 %v: there are %d", args, got)
		}
	}
	switch args[0] {
	case "far":
		ts.Setenv("FAR", s.Region("eu-west-1").AddInstance(ec2test.Instance{}))
	case "gone":
		s.Fault(ec2test.Fault{Region: argument(1), Code: "UnauthorizedOperation", Times: -1})
	case "forget":
		s.Forget()
	case "called":
		n := 0
		for _, c := range s.Calls() {
			if c.Region == argument(1) {
				n++
			}
		}
		want(n)
	case "volumes":
		want(len(volumesOf(s.Region(argument(1)))))
	case "archive":
		s.Region(argument(1)).Update(func(r *world.Region) {
			for x := range r.Snapshots.All(0) {
				x.Archived = true
			}
		})
	case "key":
		r := s.Region("us-east-1")
		arn := r.AddKey(ec2test.Key{})
		r.DisableKey(arn)
		ts.Setenv("KEY", arn)
	default:
		return false
	}
	return true
}

// volumesOf lists volumes but those that are being deleted.
func volumesOf(r *ec2test.Region) []ec2test.Volume {
	return slices.DeleteFunc(r.Volumes(), func(v ec2test.Volume) bool { return v.State == "deleting" || v.State == "deleted" })
}

// A restore that is killed at a call of EC2 goes on with the same command, and makes no second volume.
func TestEBSRestoreKilled(t *testing.T) {
	s := ec2test.New(t)
	d := &dumper{T: t, home: t.TempDir(), env: append(s.Environ(), "TMPDIR="+os.TempDir())}
	r := s.Region("us-east-1")
	if err := addNight(r, 0); err != nil { // two volumes
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen, nth, operation, begun := 0, 0, "", make(chan *running, 1)
	s.Watch(func(c ec2test.Call) {
		mu.Lock()
		defer mu.Unlock()
		if c.Operation != operation {
			return
		}
		if seen++; seen == nth {
			_ = (<-begun).Process.Signal(syscall.SIGKILL)
		}
	})
	for i, at := range []struct {
		operation string
		nth       int
	}{{"CreateVolume", 1}, {"CreateVolume", 2}, {"DescribeVolumes", 2}, {"AttachVolume", 1}, {"DescribeVolumes", 4}, {"AttachVolume", 2}} {
		instance := r.AddInstance(ec2test.Instance{})
		args := []string{"ebs", "restore", "night-0", "--instance", instance, "--poll", "20ms", "--attempt", strconv.Itoa(i)}
		before := len(volumesOf(r))
		mu.Lock()
		seen, nth, operation = 0, at.nth, at.operation
		mu.Unlock()
		killed := d.begin(args...)
		begun <- killed
		if out, said, code := d.end(killed); code != -1 {
			t.Fatalf("%+v: it ends by itself: %d\n%s%s", at, code, out, said)
		}
		mu.Lock()
		operation = ""
		mu.Unlock()
		out, said, code := d.run(args...)
		if code != 0 {
			t.Fatalf("%+v: %d\n%s%s", at, code, out, said)
		}
		made := volumesOf(r)[before:]
		if len(made) != 2 || made[0].Attachment == nil || made[1].Attachment == nil || made[0].Attachment.Instance != instance {
			t.Errorf("%+v: %+v\n%s", at, made, said)
		}
		if out, said, code = d.run(append(args, "--undo")...); code != 0 || len(volumesOf(r)) != before {
			t.Errorf("%+v: %d, %d volumes, before %d\n%s%s", at, code, len(volumesOf(r)), before, out, said)
		}
	}
}

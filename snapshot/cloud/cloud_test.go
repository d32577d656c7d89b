package cloud_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"nightjar/snapshot/cloud"
	"nightjar/snapshot/ec2test"
)

// Answers come whole, however fast the server is, though each call is made once.
func TestAnswers(t *testing.T) {
	s := ec2test.New(t)
	s.Setenv(t)
	r := s.Region("us-east-1")
	for range 200 {
		r.AddSnapshot(ec2test.Snapshot{})
	}
	c, err := cloud.Open(t.Context(), cloud.Options{Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	const calls = 60
	for i := range calls {
		out, err := c.EC2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}}, cloud.Once)
		if err != nil || len(out.Snapshots) != 200 {
			t.Fatalf("call %d: %v", i+1, err)
		}
	}
	if n := c.Calls()["ec2:DescribeSnapshots"]; n != calls {
		t.Errorf("%d calls were counted", n)
	}
}

// Metadata that speaks version 1 alone gives neither a region nor credentials: it is never asked by that.
func TestOldMetadata(t *testing.T) {
	var asked atomic.Int32
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		asked.Add(1)
		fmt.Fprint(w, "role")
	}))
	t.Cleanup(old.Close)
	s := ec2test.New(t)
	s.Setenv(t)
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	instance := s.Region("us-east-1").AddInstance(ec2test.Instance{})
	s.On(instance)
	c, err := cloud.Open(t.Context(), cloud.Options{})
	if err != nil || c.Region != "us-east-1" {
		t.Errorf("version 2: %+v, %v", c, err)
	}
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", old.URL)
	if _, err := cloud.Open(t.Context(), cloud.Options{}); !errors.Is(err, cloud.ErrRegion) {
		t.Errorf("the region: %v", err)
	}
	c, err = cloud.Open(t.Context(), cloud.Options{Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.EC2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{}); !errors.Is(err, cloud.ErrCredentials) {
		t.Errorf("credentials: %v", err)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("version 1 was asked %d times", n)
	}
}

// A server that takes requests and never answers holds up nobody for good.
func TestSilentServer(t *testing.T) {
	ec2test.New(t).Setenv(t)
	done := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(done) })
	c, err := cloud.Open(t.Context(), cloud.Options{Region: "us-east-1", Endpoint: silent.URL, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.EC2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{}, cloud.Once)
	var late interface{ Timeout() bool }
	if !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("the error is %v", err)
	}
}

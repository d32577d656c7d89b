package cloud_test

import (
	"testing"

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

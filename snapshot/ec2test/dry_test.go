package ec2test_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/ec2test/ops"
)

// call sends a form, or the JSON of another service, that is signed as the SDK would.
func call(t *testing.T, s *ec2test.Server, service, body string, change func(*http.Request)) (status int, text string) {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/", strings.NewReader(body)))(t)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Amz-Target", "ServiceQuotasV20190624.GetServiceQuota")
	signer := v4.NewSigner()
	if err := signer.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: ec2test.AccessKey, SecretAccessKey: ec2test.SecretKey}, r, hexSum(body), service, "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	out := must(http.DefaultClient.Do(r))(t)
	defer out.Body.Close()
	return out.StatusCode, string(must(io.ReadAll(out.Body))(t))
}

// Every operation answers DryRunOperation to what it would do, with parameters that are well formed, and does nothing; and refuses what it does not know.
func TestDryRun(t *testing.T) {
	s := ec2test.New(t)
	parameters := map[string]string{
		"AttachVolume": "VolumeId=vol-0123456789abcdef0&InstanceId=i-0123456789abcdef0&Device=/dev/sdf", "CopySnapshot": "SourceRegion=us-east-1&SourceSnapshotId=snap-0123456789abcdef0",
		"CreateSnapshot": "VolumeId=vol-0123456789abcdef0", "CreateSnapshots": "InstanceSpecification.InstanceId=i-0123456789abcdef0",
		"CreateTags": "ResourceId.1=vol-0123456789abcdef0&Tag.1.Key=a&Tag.1.Value=b", "DeleteTags": "ResourceId.1=vol-0123456789abcdef0",
		"CreateVolume": "AvailabilityZone=us-east-1a&Size=1", "DeleteSnapshot": "SnapshotId=snap-0123456789abcdef0", "DeleteVolume": "VolumeId=vol-0123456789abcdef0",
		"DetachVolume": "VolumeId=vol-0123456789abcdef0", "LockSnapshot": "SnapshotId=snap-0123456789abcdef0&LockMode=governance&LockDuration=1",
		"UnlockSnapshot": "SnapshotId=snap-0123456789abcdef0", "ModifySnapshotTier": "SnapshotId=snap-0123456789abcdef0", "RestoreSnapshotTier": "SnapshotId=snap-0123456789abcdef0&PermanentRestore=true",
		"RestoreSnapshotFromRecycleBin": "SnapshotId=snap-0123456789abcdef0",
	}
	for _, name := range ops.Known() {
		form := "Action=" + name + "&Version=2016-11-15&DryRun=true&" + parameters[name]
		if status, text := call(t, s, "ec2", form, nil); status != http.StatusPreconditionFailed || !strings.Contains(text, "<Code>DryRunOperation</Code>") {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if status, text := call(t, s, "ec2", form+"&Unknown=1", nil); status != http.StatusBadRequest || !strings.Contains(text, "<Code>UnknownParameter</Code>") {
			t.Errorf("%s with an unknown parameter: %d %s", name, status, text)
		}
		s.Deny("ec2:" + name)
		if status, text := call(t, s, "ec2", form, nil); status != http.StatusForbidden || !strings.Contains(text, "<Code>UnauthorizedOperation</Code>") {
			t.Errorf("%s without permission: %d %s", name, status, text)
		}
	}
	for form, code := range map[string]string{
		"Action=DescribeRegions&Version=2014-01-01":                                    "NoSuchVersion",
		"Action=DescribeEverything&Version=2016-11-15":                                 "InvalidAction",
		"Action=DescribeRegions&Version=2016-11-15&DryRun=yes":                         "InvalidParameterValue",
		"Action=DescribeVolumes&Version=2016-11-15&VolumeId.2=vol-0123456789abcdef0":   "UnknownParameter", // lists have no gaps
		"Action=DescribeVolumes&Version=2016-11-15&Filter.1.Name=size":                 "InvalidParameterValue",
		"Action=CreateSnapshot&Version=2016-11-15":                                     "MissingParameter",
		"Action=DescribeTags&Version=2016-11-15&Filter.1.Name=" + url.QueryEscape("x"): "InvalidParameterValue",
	} {
		s.Allow("ec2:DescribeRegions", "ec2:DescribeVolumes", "ec2:CreateSnapshot", "ec2:DescribeTags")
		if _, text := call(t, s, "ec2", form, nil); !strings.Contains(text, "<Code>"+code+"</Code>") {
			t.Errorf("%s: want %s, got %s", form, code, text)
		}
	}
}

// What is changed after it was signed is refused.
func TestTamper(t *testing.T) {
	s := ec2test.New(t)
	const form = "Action=DescribeRegions&Version=2016-11-15"
	for name, change := range map[string]func(*http.Request){
		"body": func(r *http.Request) {
			r.Body, r.ContentLength = body("Action=DescribeVolume&Version=2016-11-15x"), int64(len(form))
		},
		"path":  func(r *http.Request) { r.URL.Path = "/x" },
		"query": func(r *http.Request) { r.URL.RawQuery = "Action=DeleteSnapshot" },
		"host":  func(r *http.Request) { r.Host = "ec2.amazonaws.com" },
		"date": func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(time.Minute).UTC().Format("20060102T150405Z"))
		},
		"region":  func(r *http.Request) { replace(r, "us-east-1", "eu-west-1") },
		"headers": func(r *http.Request) { replace(r, "host;", "") },
	} {
		status, text := call(t, s, "ec2", form, change)
		if status != http.StatusForbidden && status != http.StatusBadRequest {
			t.Errorf("%s changed: %d %s", name, status, text)
		}
	}
	if status, text := call(t, s, "ec2", form, nil); status != http.StatusOK {
		t.Errorf("unchanged: %d %s", status, text)
	}
}

func TestQuota(t *testing.T) {
	s := ec2test.New(t)
	s.SnapshotQuota = 500
	if status, text := call(t, s, "servicequotas", `{"ServiceCode":"ebs","QuotaCode":"L-309BACF6"}`, nil); status != http.StatusOK || !strings.Contains(text, `"Value":500`) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := call(t, s, "servicequotas", `{"ServiceCode":"ebs","QuotaCode":"L-0"}`, nil); status != http.StatusNotFound {
		t.Errorf("%d %s", status, text)
	}
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func body(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }

func replace(r *http.Request, from, to string) {
	r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), from, to))
}

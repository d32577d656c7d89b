package s3_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
)

// together makes one policy of several.
func together(t *testing.T, policies ...string) string {
	t.Helper()
	type policy struct {
		Version   string
		Statement []any
	}
	var all policy
	for _, p := range policies {
		var one policy
		if err := json.Unmarshal([]byte(p), &one); err != nil {
			t.Fatalf("%v: %s", err, p)
		}
		all.Version, all.Statement = one.Version, append(all.Statement, one.Statement...)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// addOnly has the roles of doc/s3.md in a bucket with object lock: what they may do, and what whoever has stolen their credentials tries.
func addOnly(t *testing.T, server *s3test.Server) {
	const day = 24 * time.Hour
	documented := documentedPolicies(t)
	l := store.Location{Scheme: "s3", Path: "add-only/web1"}
	locking := func(d time.Duration) s3.Options {
		o := options(t, server)
		o.Lock.For = d
		return o
	}
	owner := open(t, l, locking(2*day))
	data, replaced, deleted := []byte("some content"), []byte("replaced"), []byte("deleted")
	for _, d := range [][]byte{data, replaced, deleted} {
		put(t, owner, hashName(d), d)
	}
	x := newIntruder(t, server, l)
	x.overwrite(hashName(replaced), []byte("junk"))
	x.remove(hashName(deleted))
	stored := x.versions(hashName(data))[0].VersionId

	as := func(t *testing.T, roles ...string) (*s3.Store, *intruder) {
		t.Helper()
		var policies []string
		for _, role := range roles {
			if documented[role] == "" {
				t.Fatalf("doc/s3.md has no policy %s", role)
			}
			policies = append(policies, strings.NewReplacer("BUCKET", "add-only", "PREFIX", "web1").Replace(documented[role]))
		}
		server.Setenv(t)
		assume(t, server, together(t, policies...))
		thief := newIntruder(t, server, l)
		with := thief.client.Options()
		with.Credentials = credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN"))
		thief.client = awss3.New(with)
		return reopen(t, l, options(t, server)), thief
	}
	reads := func(t *testing.T, s *s3.Store) {
		t.Helper()
		for _, d := range [][]byte{replaced, deleted} {
			if _, err := s.Recover(t.Context(), hashName(d), nil); err != nil {
				t.Fatal(err)
			}
			wantContent(t, s, hashName(d), d)
		}
		n := 0
		if err := s.Hidden(t.Context(), "", func(store.Info, time.Time) error { n++; return nil }); err != nil || n != 1 {
			t.Errorf("%d hidden, %v", n, err)
		}
	}
	// steals tries all that would do harm to what is there.
	steals := func(t *testing.T, x *intruder, mayLock bool, more map[string]func() error) {
		t.Helper()
		owner := newIntruder(t, server, l)
		before := *owner.lockOf(hashName(data))[0].RetainUntilDate
		all := map[string]func() error{
			"delete a version":       func() error { return x.removeVersion(hashName(data), stored, false) },
			"delete it all the same": func() error { return x.removeVersion(hashName(data), stored, true) },
			"keep no versions": func() error {
				_, err := x.client.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{
					Bucket: &x.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended},
				})
				return err
			},
			"let versions expire": func() error {
				_, err := x.client.PutBucketLifecycleConfiguration(t.Context(), &awss3.PutBucketLifecycleConfigurationInput{
					Bucket: &x.bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
						Status: types.ExpirationStatusEnabled, ID: aws.String("x"), Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
						NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1)},
					}}},
				})
				return err
			},
			"write a policy": func() error {
				_, err := x.client.PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: &x.bucket, Policy: aws.String("{}")})
				return err
			},
			"end a lock": func() error {
				_, err := x.client.PutObjectRetention(t.Context(), &awss3.PutObjectRetentionInput{
					Bucket: &x.bucket, Key: x.key(hashName(data)), VersionId: stored, ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
					BypassGovernanceRetention: aws.Bool(!mayLock), // with which MinIO does not ask for a permission of its own
					Retention:                 &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeGovernance, RetainUntilDate: aws.Time(time.Now().Add(time.Minute))},
				})
				return err
			},
		}
		maps.Copy(all, more)
		for what, do := range all {
			if code := codeOf(do()); code != "AccessDenied" && !(mayLock && code == "InvalidRequest") {
				t.Errorf("%s: %q", what, code)
			}
		}
		if after := *owner.lockOf(hashName(data))[0].RetainUntilDate; !after.Equal(before) {
			t.Errorf("locked until %v, not %v", after, before)
		}
	}
	remove := func(x *intruder) func() error {
		return func() error {
			_, err := x.client.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: &x.bucket, Key: x.key(hashName(data))})
			return err
		}
	}
	lockForEver := func(x *intruder) func() error {
		return func() error {
			_, err := x.client.PutObjectRetention(t.Context(), &awss3.PutObjectRetentionInput{
				Bucket: &x.bucket, Key: x.key(hashName(data)), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
				Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeGovernance, RetainUntilDate: aws.Time(time.Now().AddDate(50, 0, 0))},
			})
			return err
		}
	}
	t.Run("backup", func(t *testing.T) {
		s, thief := as(t, "backup")
		fresh := []byte("new")
		put(t, s, hashName(fresh), fresh)
		reads(t, s)
		steals(t, thief, false, map[string]func() error{"delete": remove(thief), "lock for ever": lockForEver(thief)})
		_, err := reopen(t, l, locking(day)).Put(t.Context(), hashName([]byte("locked")), []byte("locked"))
		wantError(t, err, request.ErrDenied, "s3:PutObject on s3://add-only/web1/")
	})
	t.Run("lock", func(t *testing.T) {
		_, thief := as(t, "backup", "lock")
		put(t, reopen(t, l, locking(30*day)), hashName([]byte("locked")), []byte("locked"))
		steals(t, thief, true, map[string]func() error{"delete": remove(thief)})
	})
	t.Run("restore", func(t *testing.T) {
		s, thief := as(t, "restore")
		reads(t, s)
		steals(t, thief, false, map[string]func() error{"delete": remove(thief), "put": func() error {
			_, err := thief.client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &thief.bucket, Key: thief.key("junk"), Body: strings.NewReader("x")})
			return err
		}})
		o := options(t, server)
		o.AsOf = time.Now().Add(time.Minute)
		wantContent(t, reopen(t, l, o), hashName(data), data)
		wantError(t, s.Thaw(t.Context(), hashName(data), store.ThawOptions{Days: 1}), request.ErrDenied, "s3:RestoreObject on s3://add-only/web1/")
	})
	t.Run("thaw", func(t *testing.T) {
		s, _ := as(t, "restore", "thaw")
		// It gets so far that the server says that there is nothing to thaw.
		if err := s.Thaw(t.Context(), hashName(data), store.ThawOptions{Days: 1}); err == nil || errors.Is(err, request.ErrDenied) {
			t.Errorf("thaw what is not archived: %v", err)
		}
	})
	t.Run("prune", func(t *testing.T) {
		s, thief := as(t, "prune")
		reads(t, s)
		locks := reopen(t, l, locking(10*day))
		for _, d := range [][]byte{data, replaced, deleted} {
			if extended, err := locks.Retain(t.Context(), hashName(d)); err != nil || !extended {
				t.Errorf("extended %v, %v", extended, err)
			}
		}
		steals(t, thief, true, nil)
		if err := s.Delete(t.Context(), hashName(data)); err != nil {
			t.Error(err)
		}
	})
	t.Run("add-only", func(t *testing.T) { // which is for Amazon's: no other server here knows the condition
		if policy := together(t, documented["backup"], documented["add-only"]); !strings.Contains(policy, `"s3:if-none-match":"true"`) {
			t.Error(policy)
		}
	})
}

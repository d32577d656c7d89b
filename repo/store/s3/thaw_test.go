package s3_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/storetest"
)

// archiving are options for what goes into archive classes by the first letter of its name.
func archiving(t *testing.T, server *s3test.Server, g *s3test.Glacier) s3.Options {
	o := options(t, server)
	o.Endpoint = g.Endpoint
	o.StorageClass = func(name string) string {
		return map[byte]string{'g': "GLACIER", 'd': "DEEP_ARCHIVE"}[name[0]]
	}
	return o
}

// thaw brings objects back from archive classes. No server here has any: s3test.Glacier stands in, and is itself tried first.
func thaw(t *testing.T, server *s3test.Server) {
	g := s3test.NewGlacier(t, server)
	o := archiving(t, server, g)
	t.Run("Transparent", func(t *testing.T) {
		o := o
		o.StorageClass = nil
		storetest.Run(t, func(t *testing.T) store.Store { return trusting(open(t, freshPlace(), o)) })
	})
	t.Run("AsAmazonSays", func(t *testing.T) { glacierRules(t, server, g) })

	s := open(t, freshPlace(), o)
	data := []byte("some content")
	for _, name := range []string{"g/1", "d/1", "hot"} {
		put(t, s, name, data)
		put(t, s, name, data)
	}
	state := func(name string, want store.ThawState) {
		t.Helper()
		if got, err := s.ThawState(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: state %v, %v, want %v", name, got, err, want)
		}
	}
	bulk := store.ThawOptions{Tier: "Bulk", Days: 2}
	state("hot", store.Readable)
	for _, name := range []string{"g/1", "d/1"} {
		state(name, store.Frozen)
		err := s.GetInto(t.Context(), name, 0, make([]byte, 4))
		wantError(t, err, store.ErrArchived, name)
		wantError(t, err, store.ErrUnavailable)
		if stat, err := s.Stat(t.Context(), name); err != nil || stat.Size != int64(len(data)) {
			t.Errorf("%+v, %v", stat, err)
		}
		asked := g.Asked()
		for range 2 {
			if err := s.Thaw(t.Context(), name, bulk); err != nil {
				t.Fatal(err)
			}
			state(name, store.Thawing)
		}
		if g.Asked() != asked+1 {
			t.Errorf("asked %d times", g.Asked()-asked)
		}
	}
	g.Advance(13 * time.Hour)
	state("g/1", store.Readable)
	state("d/1", store.Thawing)
	wantContent(t, s, "g/1", data)
	wantError(t, s.GetInto(t.Context(), "d/1", 0, make([]byte, 4)), store.ErrArchived)
	g.Advance(36 * time.Hour)
	wantContent(t, s, "d/1", data)
	g.Advance(72 * time.Hour)
	for _, name := range []string{"g/1", "d/1"} {
		state(name, store.Frozen)
	}
	wantError(t, s.Thaw(t.Context(), "g/none", bulk), store.ErrNotExist, "s3:RestoreObject on s3://night/", "g/none")
	_, err := s.ThawState(t.Context(), "g/none")
	wantError(t, err, store.ErrNotExist, "g/none")
	if err := s.Thaw(t.Context(), "g/1", store.ThawOptions{Days: 1}); err != nil {
		t.Error(err)
	}
	g.Advance(6 * time.Hour) // the default's time
	state("g/1", store.Readable)
}

// glacierRules holds the stand-in to what Amazon documents of RestoreObject, GetObject, HeadObject and ListObjectsV2.
func glacierRules(t *testing.T, server *s3test.Server, g *s3test.Glacier) {
	client := awss3.New(awss3.Options{
		Region: server.Region, BaseEndpoint: &g.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
	})
	bucket := aws.String("night")
	put := func(key string, class types.StorageClass) {
		_, err := client.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: &key, StorageClass: class, Body: strings.NewReader("x")})
		if err != nil {
			t.Fatal(err)
		}
	}
	restore := func(key string, days int32, tier types.Tier) string {
		_, err := client.RestoreObject(t.Context(), &awss3.RestoreObjectInput{Bucket: bucket, Key: &key, RestoreRequest: &types.RestoreRequest{
			Days: &days, GlacierJobParameters: &types.GlacierJobParameters{Tier: tier},
		}})
		return codeOf(err)
	}
	get := func(key string) string {
		_, err := client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: &key})
		return codeOf(err)
	}
	head := func(key string) (class types.StorageClass, restore string) {
		out, err := client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: bucket, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		return out.StorageClass, aws.ToString(out.Restore)
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	put("rules/cold", types.StorageClassGlacier)
	put("rules/deep", types.StorageClassDeepArchive)
	put("rules/hot", types.StorageClassStandard)
	want("get hot", get("rules/hot"), "")
	want("get cold", get("rules/cold"), "InvalidObjectState")
	want("restore hot", restore("rules/hot", 1, types.TierBulk), "InvalidObjectState")
	want("restore nothing", restore("rules/none", 1, types.TierBulk), "NoSuchKey")
	want("no days", restore("rules/cold", 0, types.TierBulk), "MalformedXML")
	want("no such tier", restore("rules/cold", 1, "Fast"), "MalformedXML")
	want("expedited from deep", restore("rules/deep", 1, types.TierExpedited), "InvalidArgument")
	class, how := head("rules/cold")
	want("class and restore", string(class)+how, "GLACIER")
	want("restore cold", restore("rules/cold", 3, types.TierExpedited), "")
	want("again", restore("rules/cold", 3, types.TierExpedited), "RestoreAlreadyInProgress")
	want("get too early", get("rules/cold"), "InvalidObjectState")
	_, how = head("rules/cold")
	want("on its way", how, `ongoing-request="true"`)
	g.Advance(6 * time.Minute)
	want("get restored", get("rules/cold"), "")
	if _, how = head("rules/cold"); !strings.HasPrefix(how, `ongoing-request="false", expiry-date="`) {
		t.Errorf("restored: %q", how)
	}
	want("longer", restore("rules/cold", 30, types.TierBulk), "")
	g.Advance(10 * 24 * time.Hour)
	want("get what was prolonged", get("rules/cold"), "")
	out, err := client.ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("rules/")})
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]types.ObjectStorageClass{}
	for _, o := range out.Contents {
		classes[*o.Key] = o.StorageClass
	}
	if classes["rules/cold"] != "GLACIER" || classes["rules/deep"] != "DEEP_ARCHIVE" || classes["rules/hot"] != "STANDARD" {
		t.Errorf("listed as %v", classes)
	}
	put("rules/cold", types.StorageClassStandard)
	want("get what was put elsewhere", get("rules/cold"), "")
}

// codeOf is that of the server's error, "" if there is none.
func codeOf(err error) string {
	var api smithy.APIError
	if err == nil {
		return ""
	}
	if !errors.As(err, &api) {
		return err.Error()
	}
	return api.ErrorCode()
}

package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/internal/s3test"
)

// bucketCommand is another program with the owner's credentials, for a bucket:
//
//	bucket ENDPOINT BUCKET versions                    keep versions from now on
//	bucket ENDPOINT BUCKET overwrite|flip|truncate|delete PREFIX
//	bucket ENDPOINT BUCKET purge PREFIX                try to delete every version for good, which must fail for all
//	bucket ENDPOINT BUCKET locked PREFIX MODE DAYS     all objects must be
func bucketCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: bucket ENDPOINT BUCKET VERB [PREFIX [MODE DAYS]]")
	}
	b := &bucket{ts: ts, name: args[1], client: s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &args[0], UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})}
	if strings.HasSuffix(args[0], strings.TrimPrefix(ts.Getenv("ENDPOINT"), "http://")) {
		o := b.client.Options()
		o.Region = "eu-west-1"
		b.client = s3.New(o)
	}
	ctx := context.Background()
	if args[2] == "versions" {
		_, err := b.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
			Bucket: &b.name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		})
		ts.Check(err)
		return
	}
	n := 0
	for _, v := range b.versions(ctx, args[3]) {
		if args[2] == "purge" {
			if _, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: v.Key, VersionId: v.VersionId}); err == nil {
				ts.Fatalf("%s was deleted for good", *v.Key)
			}
			n++
			continue
		}
		if !aws.ToBool(v.IsLatest) {
			continue
		}
		n++
		var err error
		switch args[2] {
		case "overwrite":
			err = b.put(ctx, v.Key, make([]byte, rand.N(2*(*v.Size))))
		case "flip":
			data := b.read(ctx, v.Key)
			data[len(data)/2] ^= 1
			err = b.put(ctx, v.Key, data)
		case "truncate":
			err = b.put(ctx, v.Key, b.read(ctx, v.Key)[:*v.Size/2])
		case "delete":
			_, err = b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: v.Key})
		case "locked":
			b.locked(ctx, v.Key, args[4], args[5])
		default:
			ts.Fatalf("bucket: no such verb %s", args[2])
		}
		ts.Check(err)
	}
	if n == 0 {
		ts.Fatalf("nothing begins with %s", args[3])
	}
}

type bucket struct {
	ts     *testscript.TestScript
	name   string
	client *s3.Client
}

func (b *bucket) versions(ctx context.Context, prefix string) []types.ObjectVersion {
	out, err := b.client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &b.name, Prefix: &prefix})
	b.ts.Check(err)
	var objects []types.ObjectVersion
	for _, v := range out.Versions {
		if !strings.Contains(*v.Key, "/.") {
			objects = append(objects, v)
		}
	}
	return objects
}

func (b *bucket) put(ctx context.Context, key *string, data []byte) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: key, Body: bytes.NewReader(data)})
	return err
}

func (b *bucket) read(ctx context.Context, key *string) []byte {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: key})
	b.ts.Check(err)
	defer out.Body.Close()
	var data bytes.Buffer
	_, err = data.ReadFrom(out.Body)
	b.ts.Check(err)
	return data.Bytes()
}

func (b *bucket) locked(ctx context.Context, key *string, mode, days string) {
	n, err := strconv.Atoi(days)
	b.ts.Check(err)
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: key})
	b.ts.Check(err)
	left := time.Until(aws.ToTime(out.ObjectLockRetainUntilDate)) - time.Duration(n)*24*time.Hour
	if string(out.ObjectLockMode) != mode || left.Abs() > time.Minute {
		b.ts.Fatalf("%s is locked until %v in mode %q", *key, out.ObjectLockRetainUntilDate, out.ObjectLockMode)
	}
}

// glacierCommands let time pass before the archive classes, and count what was asked of them: advance DURATION, asked N
func glacierCommands(g *s3test.Glacier) map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"advance": func(ts *testscript.TestScript, _ bool, args []string) {
			d, err := time.ParseDuration(args[0])
			ts.Check(err)
			g.Advance(d)
		},
		"asked": func(ts *testscript.TestScript, _ bool, args []string) {
			if got := strconv.Itoa(g.Asked()); got != args[0] {
				ts.Fatalf("asked for %s objects, want %s", got, args[0])
			}
		},
	}
}

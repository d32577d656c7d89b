package s3

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"nightjar/repo/store"
)

func TestParse(t *testing.T) {
	for path, want := range map[string]place{
		"bucket":               {"bucket", ""},
		"bucket/":              {"bucket", ""},
		"bucket/prefix":        {"bucket", "prefix/"},
		"my.bucket-1/a/B_c/":   {"my.bucket-1", "a/B_c/"},
		"bucket/(a)+b='c'!,@~": {"bucket", "(a)+b='c'!,@~/"},
	} {
		for _, scheme := range []string{"s3", "s3+http"} {
			if got, err := parse(store.Location{Scheme: scheme, Path: path}); err != nil || got != want {
				t.Errorf("%s://%s: %+v, %v, want %+v", scheme, path, got, err, want)
			}
		}
	}
	for path, want := range map[string]string{
		"":                                   "bucket name",
		"/prefix":                            "bucket name",
		"ab":                                 "bucket name",
		"Bucket":                             "bucket name",
		"-bucket":                            "bucket name",
		"bucket-":                            "bucket name",
		"buc..ket":                           "bucket name",
		"buc ket":                            "bucket name",
		strings.Repeat("b", 64):              "bucket name",
		"key:secret@bucket/prefix":           "credentials",
		"host:9000/bucket/secret":            "endpoint",
		"bucket//secret":                     "prefix",
		"bucket/a//secret":                   "prefix",
		"bucket/../secret":                   "prefix",
		"bucket/secret/.":                    "prefix",
		"bucket/secret?x=y":                  "prefix",
		"bucket/secret#x":                    "prefix",
		"bucket/secret%20x":                  "prefix",
		"bucket/secret\n":                    "prefix",
		"bucket/" + strings.Repeat("a", 900): "prefix",
	} {
		_, err := parse(store.Location{Scheme: "s3", Path: path})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got error %v, want one that names %q and repeats nothing", path, err, want)
		}
	}
	if _, err := parse(store.Location{Scheme: "gs", Path: "bucket"}); err == nil {
		t.Error("another scheme was taken")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("bucket/prefix", "config")
	f.Add("a.b-c", "prefix/config")
	f.Add("bucket/../x/", "")
	f.Fuzz(func(t *testing.T, path, key string) {
		p, err := parse(store.Location{Scheme: "s3", Path: path})
		if err != nil {
			return
		}
		if again, err := parse(store.Location{Scheme: "s3", Path: strings.TrimPrefix(p.String(), "s3://")}); err != nil || again != p {
			t.Fatalf("%+v becomes %+v, %v", p, again, err)
		}
		if len(p.key(strings.Repeat("a", store.MaxName))) > 1024 {
			t.Fatalf("keys of %+v are too long", p)
		}
		if name, ok := p.name(key); ok && (p.key(name) != key || !store.ValidName(name)) {
			t.Fatalf("key %q becomes name %q", key, name)
		}
	})
}

func FuzzCheckRange(f *testing.F) {
	f.Add("bytes 5-14/100", int64(10), int64(5), 10)
	f.Add("bytes 0-99/100", int64(100), int64(0), 10)
	f.Add("bytes 5-7/8", int64(3), int64(5), 10)
	f.Add("", int64(10), int64(0), 10)
	f.Add("bytes 0-9223372036854775807/9223372036854775807", int64(1<<62), int64(0), 1)
	f.Fuzz(func(t *testing.T, header string, length, offset int64, want int) {
		if offset < 0 || offset > store.MaxObject || want <= 0 || want > store.MaxObject {
			return
		}
		out := &s3.GetObjectOutput{ContentRange: &header, ContentLength: aws.Int64(length)}
		if err := checkRange(out, offset, want); err == nil && length != int64(want) {
			t.Fatalf("%q of %d bytes passed for %d", header, length, want)
		}
	})
}

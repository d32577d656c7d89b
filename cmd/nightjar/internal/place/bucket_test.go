package place

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestStorageClasses(t *testing.T) {
	o := options()
	o.Bucket.StorageClasses = []string{"content=GLACIER", "archive=STANDARD", "other=STANDARD_IA"}
	got, err := o.s3Options()
	must(t, err)
	for name, want := range map[string]string{"content/12": "GLACIER", "archive/34": "STANDARD", "metadata/5": "STANDARD_IA", "config": "STANDARD_IA", "keys/000001": "STANDARD_IA"} {
		if class := got.StorageClass(name); class != want {
			t.Errorf("%s is stored as %q, want %q", name, class, want)
		}
	}
	o.Bucket.StorageClasses = nil
	if got, err = o.s3Options(); err != nil || got.StorageClass != nil {
		t.Errorf("a class is said where none was: %v", err)
	}
}

func TestBucketOptions(t *testing.T) {
	o := options()
	o.Bucket = Bucket{ObjectLock: "30D", LockMode: "compliance", AsOf: "1D", LimitUpload: "5M", LimitDownload: "1G"}
	got, err := o.s3Options()
	must(t, err)
	if got.Lock.For != 30*24*time.Hour || !got.Lock.Compliance || !got.AsOf.Equal(o.Now().AddDate(0, 0, -1)) ||
		got.LimitUpload != 5<<20 || got.LimitDownload != 1<<30 || got.Endpoint != "" || got.PathStyle != nil {
		t.Errorf("the options are %+v", got)
	}
	o.Bucket = Bucket{Endpoint: "https://s3.example", PathStyle: new(bool)}
	got, err = o.s3Options()
	must(t, err)
	if got.Endpoint != "https://s3.example" || got.PathStyle == nil || *got.PathStyle || got.Lock.For != 0 || !got.AsOf.IsZero() {
		t.Errorf("the options are %+v", got)
	}
}

func TestWrongBucketOptions(t *testing.T) {
	for says, b := range map[string]Bucket{
		"--storage-class \"content\"":            {StorageClasses: []string{"content"}},
		"--storage-class \"content=\"":           {StorageClasses: []string{"content="}},
		"--storage-class \"packs=STANDARD\"":     {StorageClasses: []string{"packs=STANDARD"}},
		"--storage-class \"other=GLACIER\"":      {StorageClasses: []string{"other=GLACIER"}},
		"--storage-class \"index=DEEP_ARCHIVE\"": {StorageClasses: []string{"index=DEEP_ARCHIVE"}},
		"--object-lock \"12h\": a day at least":  {ObjectLock: "12h"},
		"--object-lock \"soon\"":                 {ObjectLock: "soon"},
		"--object-lock-mode \"strict\"":          {LockMode: "strict"},
		"--as-of":                                {AsOf: "yesterday"},
		"--limit-upload: size \"fast\"":          {LimitUpload: "fast"},
		"--limit-download: size \"0\"":           {LimitDownload: "0"},
	} {
		o := options()
		o.Bucket = b
		_, err := o.s3Options()
		wantUsage(t, says, err, says)
	}
}

// What is wrong with an option of a copy's bucket is told by the option's own name.
func TestWrongCopyOptions(t *testing.T) {
	for flag, value := range map[string]string{"--to-storage-class": "packs=STANDARD", "--to-object-lock": "soon", "--to-object-lock-mode": "strict", "--to-limit-upload": "fast"} {
		o := options()
		c := &cobra.Command{Use: "copy"}
		o.Bucket.CopyFlags(c)
		must(t, c.ParseFlags([]string{flag, value}))
		_, err := o.s3Options()
		wantUsage(t, flag, err, flag)
	}
}

// A switch for the style of paths says yes, no, or nothing.
func TestPathStyle(t *testing.T) {
	for text, want := range map[string]string{"": "", "--path-style": "true", "--path-style=true": "true", "--path-style=false": "false"} {
		var b Bucket
		c := &cobra.Command{Use: "nightjar"}
		b.Flags(c)
		must(t, c.ParseFlags(strings.Fields(text)))
		got := ""
		if b.PathStyle != nil {
			got = strconv.FormatBool(*b.PathStyle)
		}
		if got != want || b.Given() != (want != "") {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
		if err := c.ParseFlags([]string{"--path-style=perhaps"}); err == nil {
			t.Error("perhaps is a style")
		}
	}
}

// The bucket of a copy is on the home's server only where nothing says otherwise.
func TestCopyBucket(t *testing.T) {
	yes, no := true, false
	home := Bucket{Endpoint: "http://home.example", PathStyle: &no, Region: "home", RequesterPays: true}
	for name, c := range map[string]struct{ given, want Bucket }{
		"nothing":    {Bucket{}, Bucket{Endpoint: "http://home.example", PathStyle: &no}},
		"a style":    {Bucket{PathStyle: &yes}, Bucket{Endpoint: "http://home.example", PathStyle: &yes}},
		"a region":   {Bucket{Region: "away"}, Bucket{Region: "away", Endpoint: "http://home.example", PathStyle: &no}},
		"a server":   {Bucket{Endpoint: "http://away.example"}, Bucket{Endpoint: "http://away.example"}},
		"a profile":  {Bucket{Profile: "away"}, Bucket{Profile: "away"}},
		"all of its": {Bucket{Profile: "away", Endpoint: "http://away.example"}, Bucket{Profile: "away", Endpoint: "http://away.example"}},
	} {
		got := c.given
		if got.inherit(&home); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestCacheBytes(t *testing.T) {
	for text, want := range map[string]int64{"": 1 << 30, "0": 0, "200M": 200 << 20} {
		b := Bucket{CacheLimit: text}
		if got, err := b.CacheBytes(); got != want || err != nil {
			t.Errorf("a limit of %q is %d, %v, want %d", text, got, err, want)
		}
	}
	b := Bucket{CacheLimit: "-1"}
	_, err := b.CacheBytes()
	wantUsage(t, "-1", err, "--cache-limit: ")
}

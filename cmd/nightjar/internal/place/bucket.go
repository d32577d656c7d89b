package place

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
)

const defaultCacheLimit = "1G"

// bucket is the kind of places that are in a bucket.
func bucket() kind {
	return kind{
		Kind:   store.Kind{Schemes: s3.Schemes, Form: "s3://bucket/prefix", Parse: s3.Parse},
		claims: true, bucket: true,
		open: func(ctx context.Context, o *Options, l store.Location, create bool) (store.Carrier, error) {
			s, err := o.openBucket(ctx, l, create)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		name:    func(ctx context.Context, o *Options, l store.Location) string { return o.bucketName(ctx, l) },
		address: func(ctx context.Context, o *Options, l store.Location) string { return o.bucketAddress(ctx, l) },
		inherit: (*Bucket).inherit,
	}
}

// Bucket says how a repository in a bucket is reached, and what its objects are stored with, and what was said for places of other kinds. Empty fields were
// not given.
type Bucket struct {
	Settings                   map[string]string // by the names that kinds have for them
	Profile                    string            // of the AWS configuration; empty: the environment's
	Region, Endpoint           string
	PathStyle                  *bool    // nil: with an endpoint only
	StorageClasses             []string // KIND=CLASS
	ObjectLock, LockMode       string   // how long, as human.ParseAge reads it; governance or compliance
	AsOf                       string   // a time, as human.ParseTime reads it
	SSE, KMSKey                string
	RequesterPays              bool
	Lacks                      []string // what the server does not do
	LimitUpload, LimitDownload string   // bytes a second, as human.ParseSize reads them
	CacheLimit                 string   // bytes of metadata that this machine keeps of each repository that is elsewhere
	prefix                     string   // of its flags
}

// Flags gives a command and all below it the options for buckets.
func (b *Bucket) Flags(c *cobra.Command) {
	f := c.PersistentFlags()
	b.flags(f, "", "")
	f.StringVar(&b.Profile, "profile", "", "profile of the AWS configuration, for credentials, region and server (AWS_PROFILE)")
	f.StringVar(&b.AsOf, "as-of", "", "show a bucket that keeps versions as it stood then, for reading: 2006-01-02, \"2006-01-02 15:04\", or an age like 3D")
	f.StringVar(&b.CacheLimit, "cache-limit", cmp.Or(b.CacheLimit, defaultCacheLimit), "metadata kept in the cache of each repository that is not on this machine; 0: none (NIGHTJAR_CACHE_LIMIT)")
	f.StringVar(&b.LimitDownload, "limit-download", "", "bytes a second read from a bucket or an SFTP server")
}

// CopyFlags gives a command the options for the bucket of a copy.
func (b *Bucket) CopyFlags(c *cobra.Command) {
	c.Flags().StringVar(&b.Profile, "to-profile", "", "the copy: profile of the AWS configuration, for credentials, region and server (default: as for the repository)")
	b.flags(c.Flags(), "to-", "the copy: ")
}

// FromFlags gives a command the options for the bucket of a copy that is only read.
func (b *Bucket) FromFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&b.Profile, "from-profile", "", "the other copy: profile of the AWS configuration, for credentials, region and server (default: as for the repository)")
	f.StringVar(&b.Region, "from-region", "", "the other copy: region of the bucket (default: the AWS configuration's)")
	f.StringVar(&b.Endpoint, "from-endpoint", "", "the other copy: URL of an S3 server that is not Amazon's (default: the profile's, or the repository's server)")
	pathStyle(f, &b.PathStyle, "from-path-style", "the other copy: put the bucket into the path of URLs (default: with an endpoint only)")
	f.BoolVar(&b.RequesterPays, "from-requester-pays", false, "the other copy: accept the charges of a bucket whose users pay")
	b.prefix = "from-"
	b.settingFlags(f, "the other copy: ")
	b.lacksFlag(f, b.prefix, "the other copy: ")
}

// settingFlags gives a command the settings of all kinds.
func (b *Bucket) settingFlags(f *pflag.FlagSet, of string) {
	for _, k := range kinds() {
		for _, s := range k.Settings {
			f.Var(settingFlag{b, s.Name}, b.prefix+s.Name, of+s.Usage)
		}
	}
}

// A settingFlag is the value of a flag.
type settingFlag struct {
	b    *Bucket
	name string
}

func (f settingFlag) Type() string { return "string" }

func (f settingFlag) String() string {
	if f.b == nil {
		return "" // of a zero value, which pflag asks for
	}
	return f.b.Settings[f.name]
}

func (f settingFlag) Set(value string) error {
	f.b.set(f.name, value)
	return nil
}

func (b *Bucket) set(name, value string) {
	if b.Settings == nil {
		b.Settings = map[string]string{}
	}
	b.Settings[name] = value
}

func (b *Bucket) lacksFlag(f *pflag.FlagSet, prefix, of string) {
	f.StringArrayVar(&b.Lacks, prefix+"server-lacks", nil, of+"what the server does not do: conditions, checksums, or nothing, to find it out anew (default: found out, and remembered)")
}

func (b *Bucket) flags(f *pflag.FlagSet, prefix, of string) {
	b.prefix = prefix
	b.settingFlags(f, of)
	f.StringVar(&b.Region, prefix+"region", "", of+"region of the bucket (default: the AWS configuration's)")
	server := "AWS_ENDPOINT_URL, or endpoint_url of a profile"
	if prefix != "" {
		server = "default: the profile's, or the repository's server"
	}
	f.StringVar(&b.Endpoint, prefix+"endpoint", "", of+"URL of an S3 server that is not Amazon's ("+server+")")
	pathStyle(f, &b.PathStyle, prefix+"path-style", of+"put the bucket into the path of URLs (default: with an endpoint only)")
	f.StringArrayVar(&b.StorageClasses, prefix+"storage-class", nil, of+"storage class `KIND=CLASS` of new objects; KIND is content, metadata, index, archive or other; may be repeated")
	f.StringVar(&b.ObjectLock, prefix+"object-lock", "", of+"lock new objects for that long, like 30D: nobody can delete them before")
	f.StringVar(&b.LockMode, prefix+"object-lock-mode", "governance", of+"how: governance, or compliance, which not even the bucket's owner can undo")
	f.StringVar(&b.SSE, prefix+"sse", "", of+"encryption by the server: AES256, aws:kms or aws:kms:dsse (default: the bucket's)")
	f.StringVar(&b.KMSKey, prefix+"sse-kms-key", "", of+"id of the KMS key for aws:kms")
	f.BoolVar(&b.RequesterPays, prefix+"requester-pays", false, of+"accept the charges of a bucket whose users pay")
	b.lacksFlag(f, prefix, of)
	f.StringVar(&b.LimitUpload, prefix+"limit-upload", "", of+"bytes a second sent to a bucket or an SFTP server, like 5M")
}

// pathStyle gives a command a switch that can also say no.
func pathStyle(f *pflag.FlagSet, to **bool, name, usage string) {
	f.BoolFunc(name, usage, func(text string) error {
		yes, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("true or false wanted")
		}
		*to = &yes
		return nil
	})
}

// inherit has the bucket of a copy on the repository's server, unless a server or a profile is named for the copy.
func (b *Bucket) inherit(home *Bucket) {
	if b.Endpoint == "" && b.Profile == "" {
		b.Endpoint, b.Profile = home.Endpoint, home.Profile
		if b.PathStyle == nil {
			b.PathStyle = home.PathStyle
		}
		if b.Lacks == nil {
			b.Lacks = home.Lacks
		}
	}
}

// CacheBytes returns how many bytes of metadata to keep of a repository that is not on this machine.
func (b *Bucket) CacheBytes() (int64, error) {
	if b.CacheLimit == "0" {
		return 0, nil
	}
	n, err := human.ParseSize(cmp.Or(b.CacheLimit, defaultCacheLimit))
	if err != nil {
		return 0, usage.Errorf("--cache-limit: %w", err)
	}
	return n, nil
}

// Given reports whether any option says how a place is reached.
func (b *Bucket) Given() bool { return len(b.Settings) > 0 || b.given() || b.limited() }

func (b *Bucket) limited() bool { return b.LimitUpload != "" || b.LimitDownload != "" }

// given reports whether any option says something of a bucket.
func (b *Bucket) given() bool {
	return b.Profile != "" || b.Region != "" || b.Endpoint != "" || b.PathStyle != nil || b.Lacks != nil || b.StorageClasses != nil || b.SSE != "" || b.KMSKey != "" || b.RequesterPays ||
		b.ObjectLock != "" || b.AsOf != ""
}

func (o *Options) s3Options() (s3.Options, error) {
	b := &o.Bucket
	to := s3.Options{
		Options: request.Options{Profile: b.Profile, Region: b.Region, Endpoint: b.Endpoint, PathStyle: b.PathStyle, Connections: o.Connections},
		SSE:     b.SSE, KMSKeyID: b.KMSKey, RequesterPays: b.RequesterPays,
		Now: o.Now, Warn: o.Warn,
	}
	var err error
	if to.StorageClass, err = b.classes(); err != nil {
		return to, err
	}
	if to.Lock, err = b.lock(); err != nil {
		return to, err
	}
	if b.AsOf != "" {
		if to.AsOf, err = human.ParseTime(b.AsOf, o.Now()); err != nil {
			return to, usage.Errorf("--as-of: %w", err)
		}
	}
	to.LimitUpload, to.LimitDownload, err = b.limits()
	return to, err
}

// limits returns bytes a second; 0: no limit.
func (b *Bucket) limits() (up, down int64, err error) {
	for _, limit := range []struct {
		flag, text string
		to         *int64
	}{{"limit-upload", b.LimitUpload, &up}, {"limit-download", b.LimitDownload, &down}} {
		if limit.text == "" {
			continue
		}
		if *limit.to, err = human.ParseSize(limit.text); err != nil {
			return 0, 0, usage.Errorf("--%s%s: %w", b.prefix, limit.flag, err)
		}
	}
	return up, down, nil
}

func (b *Bucket) lock() (l s3.Lock, err error) {
	switch b.LockMode {
	case "", "governance":
	case "compliance":
		l.Compliance = true
	default:
		return l, usage.Errorf("--%sobject-lock-mode %q: it is governance or compliance", b.prefix, b.LockMode)
	}
	if b.ObjectLock == "" {
		return l, nil
	}
	l.For, err = human.ParseAge(b.ObjectLock)
	if err == nil && l.For < 24*time.Hour {
		err = errors.New("a day at least")
	}
	if err != nil {
		return l, usage.Errorf("--%sobject-lock %q: %w", b.prefix, b.ObjectLock, err)
	}
	return l, nil
}

// otherKinds is what a storage class is given for that is meant for all objects that no other is meant for.
const otherKinds = "other"

// Class returns the storage class of new objects of a kind; empty: the bucket's own.
func (b *Bucket) Class(kind string) string {
	of, err := b.classes()
	if err != nil || of == nil {
		return ""
	}
	return of(kind + "/")
}

// classes returns the class of an object by its name; nil: nothing was said.
func (b *Bucket) classes() (func(name string) string, error) {
	if len(b.StorageClasses) == 0 {
		return nil, nil
	}
	kinds := []string{"content", "metadata", "index", "archive", otherKinds}
	classes := map[string]string{}
	for _, text := range b.StorageClasses {
		kind, class, ok := strings.Cut(text, "=")
		if !ok || class == "" || !slices.Contains(kinds, kind) {
			return nil, usage.Errorf("--%sstorage-class %q: write KIND=CLASS, with a kind of %s", b.prefix, text, strings.Join(kinds, ", "))
		}
		if (class == "GLACIER" || class == "DEEP_ARCHIVE") && kind != "content" {
			return nil, usage.Errorf("--%sstorage-class %q: what is needed every night cannot lie there; content can", b.prefix, text)
		}
		classes[kind] = class
	}
	return func(name string) string {
		kind, _, _ := strings.Cut(name, "/")
		return cmp.Or(classes[kind], classes[otherKinds])
	}, nil
}

// endpoint is the server in force, "" for Amazon's. What is wrong with its configuration, opening the store tells.
func (o *Options) endpoint(ctx context.Context) string {
	endpoint, _ := request.Endpoint(ctx, request.Options{Profile: o.Bucket.Profile, Endpoint: o.Bucket.Endpoint})
	return endpoint
}

// IsAmazons reports whether a place is a bucket that Amazon bills.
func (o *Options) IsAmazons(ctx context.Context, l store.Location) bool {
	return kindOf(l).bucket && o.endpoint(ctx) == ""
}

func (o *Options) bucketName(ctx context.Context, l store.Location) string {
	if endpoint := o.endpoint(ctx); endpoint != "" {
		return Shown(l) + " --endpoint " + endpoint
	}
	return Shown(l)
}

func (o *Options) bucketAddress(ctx context.Context, l store.Location) string {
	text := o.bucketName(ctx, l)
	if o.Bucket.Region != "" {
		text += " --region " + o.Bucket.Region
	}
	switch style := o.Bucket.PathStyle; {
	case style != nil && *style:
		text += " --path-style"
	case style != nil && o.endpoint(ctx) != "":
		text += " --path-style=false"
	}
	if o.Bucket.RequesterPays {
		text += " --requester-pays"
	}
	if known, err := o.abilities(ctx, l); err == nil {
		if lacking := lacks(known); lacking != "" {
			text += " --server-lacks " + lacking
		}
	}
	return text
}

func (o *Options) openBucket(ctx context.Context, l store.Location, create bool) (*s3.Store, error) {
	how, err := o.s3Options()
	if err == nil {
		how.Abilities, err = o.abilities(ctx, l)
	}
	if err != nil {
		return nil, err
	}
	name := o.Name(ctx, l)
	how.Learned = func(now s3.Abilities) {
		o.learned(name, func(s *server) { s.Abilities = now })
	}
	if o.Bucket.Lacks != nil {
		how.Learned(how.Abilities)
	}
	if create {
		return s3.Create(ctx, l, how)
	}
	s, err := s3.Open(ctx, l, how)
	if errors.Is(err, store.ErrNoStore) {
		err = usage.Hinted{Err: err, Hint: "is the name right, and the --endpoint? nightjar init --create-bucket makes a bucket"}
	}
	return s, err
}

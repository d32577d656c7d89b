package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
)

const defaultCacheLimit = "1G"

// Bucket says how a repository in a bucket is reached, and what its objects are stored with. Empty fields were not given.
type Bucket struct {
	Profile                    string // of the AWS configuration; empty: the environment's
	Region, Endpoint           string
	PathStyle                  bool
	StorageClasses             []string // KIND=CLASS
	ObjectLock, LockMode       string   // how long, as show.ParseAge reads it; governance or compliance
	AsOf                       string   // a time, as show.ParseTime reads it
	SSE, KMSKey                string
	RequesterPays              bool
	LimitUpload, LimitDownload string // bytes a second, as show.ParseSize reads them
	CacheLimit                 string // bytes of metadata that this machine keeps of each repository in a bucket
}

// Flags gives a command and all below it the options for buckets.
func (b *Bucket) Flags(c *cobra.Command) {
	f := c.PersistentFlags()
	b.flags(f, "", "")
	f.StringVar(&b.AsOf, "as-of", "", "show a bucket that keeps versions as it stood then, for reading: 2006-01-02, \"2006-01-02 15:04\", or an age like 3D")
	f.StringVar(&b.CacheLimit, "cache-limit", cmp.Or(b.CacheLimit, defaultCacheLimit), "metadata kept in the cache of each repository in a bucket; 0: none (NIGHTJAR_CACHE_LIMIT)")
	f.StringVar(&b.LimitDownload, "limit-download", "", "bytes a second read from a bucket")
}

// CopyFlags gives a command the options for the bucket of a copy.
func (b *Bucket) CopyFlags(c *cobra.Command) {
	c.Flags().StringVar(&b.Profile, "to-profile", "", "the copy: profile of the AWS configuration (default: as for the repository)")
	b.flags(c.Flags(), "to-", "the copy: ")
}

// FromFlags gives a command the options for the bucket of a copy that is only read.
func (b *Bucket) FromFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&b.Profile, "from-profile", "", "the other copy: profile of the AWS configuration (default: as for the repository)")
	f.StringVar(&b.Region, "from-region", "", "the other copy: region of the bucket (default: the AWS configuration's)")
	f.StringVar(&b.Endpoint, "from-endpoint", "", "the other copy: URL of an S3 server that is not Amazon's (AWS_ENDPOINT_URL)")
	f.BoolVar(&b.PathStyle, "from-path-style", false, "the other copy: put the bucket into the path of URLs (default: with an endpoint only)")
	f.BoolVar(&b.RequesterPays, "from-requester-pays", false, "the other copy: accept the charges of a bucket whose users pay")
}

func (b *Bucket) flags(f *pflag.FlagSet, prefix, of string) {
	f.StringVar(&b.Region, prefix+"region", "", of+"region of the bucket (default: the AWS configuration's)")
	f.StringVar(&b.Endpoint, prefix+"endpoint", "", of+"URL of an S3 server that is not Amazon's (AWS_ENDPOINT_URL)")
	f.BoolVar(&b.PathStyle, prefix+"path-style", false, of+"put the bucket into the path of URLs (default: with an endpoint only)")
	f.StringArrayVar(&b.StorageClasses, prefix+"storage-class", nil, of+"storage class `KIND=CLASS` of new objects; KIND is content, metadata, index, archive or other; may be repeated")
	f.StringVar(&b.ObjectLock, prefix+"object-lock", "", of+"lock new objects for that long, like 30D: nobody can delete them before")
	f.StringVar(&b.LockMode, prefix+"object-lock-mode", "governance", of+"how: governance, or compliance, which not even the bucket's owner can undo")
	f.StringVar(&b.SSE, prefix+"sse", "", of+"encryption by the server: AES256, aws:kms or aws:kms:dsse (default: the bucket's)")
	f.StringVar(&b.KMSKey, prefix+"sse-kms-key", "", of+"id of the KMS key for aws:kms")
	f.BoolVar(&b.RequesterPays, prefix+"requester-pays", false, of+"accept the charges of a bucket whose users pay")
	f.StringVar(&b.LimitUpload, prefix+"limit-upload", "", of+"bytes a second sent to a bucket, like 5M")
}

// Shown returns the repository's place as people write it.
func Shown(place store.Location) string {
	switch {
	case place.Scheme == store.SchemeFile:
		return place.Path
	case s3.IsScheme(place.Scheme):
		return "s3://" + strings.TrimSuffix(place.Path, "/")
	}
	return place.Scheme + "://" + place.Path
}

// seenAt is the name under which this machine remembers what is at a place: another server has another bucket of that name.
func (set *Settings) seenAt(place store.Location) string {
	if endpoint := cmp.Or(set.Bucket.Endpoint, set.Endpoint); endpoint != "" && s3.IsScheme(place.Scheme) {
		return Shown(place) + " --endpoint " + endpoint
	}
	return Shown(place)
}

// address is what a recovery kit says after --repo: with it, another machine finds the repository.
func (set *Settings) address(place store.Location) string {
	text := set.seenAt(place)
	if !s3.IsScheme(place.Scheme) {
		return text
	}
	if set.Bucket.Region != "" {
		text += " --region " + set.Bucket.Region
	}
	if set.Bucket.PathStyle {
		text += " --path-style"
	}
	if set.Bucket.RequesterPays {
		text += " --requester-pays"
	}
	return text
}

// ParsePlace parses a repository's URL. Its errors repeat nothing that may hold a password.
func ParsePlace(url string) (store.Location, error) {
	place, err := store.ParseLocation(url)
	if err != nil {
		return place, usage.Error{Err: err}
	}
	if place.Scheme == store.SchemeFile {
		return place, nil
	}
	if !s3.IsScheme(place.Scheme) {
		return place, usage.Errorf("repository %s://…: only /path, file:///path and s3://bucket/prefix are supported", place.Scheme)
	}
	if err := s3.Check(place); err != nil { // which repeats nothing of what may hold a password
		return place, usage.Errorf("repository %s://…: %w", place.Scheme, err)
	}
	return place, nil
}

// connections returns how many objects are sent or read at the same time; 0: the default.
func (set *Settings) connections() (int, error) {
	const most = 64 // each has a pack in memory
	if set.Connections < 0 || set.Connections > most {
		return 0, usage.Errorf("--connections %d: 1 to %d", set.Connections, most)
	}
	return set.Connections, nil
}

// openStore opens what is at a place; close it with closeStore.
func (set *Settings) openStore(ctx context.Context, place store.Location) (store.Store, error) {
	if place.Scheme == store.SchemeFile {
		if set.Bucket.given() {
			return nil, usage.Errorf("%s is a directory: options for buckets have no place", Shown(place))
		}
		dir, err := store.OpenDir(place.Path)
		if err != nil {
			return nil, err
		}
		return dir, nil
	}
	o, err := set.s3Options(place)
	if err != nil {
		return nil, err
	}
	s, err := s3.Open(ctx, place, o)
	if errors.Is(err, store.ErrNoStore) {
		err = usage.Hinted{Err: err, Hint: "is the name right, and the --endpoint? nightjar init --create-bucket makes a bucket"}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func closeStore(s store.Store) {
	if c, ok := s.(io.Closer); ok {
		_ = c.Close() // all that matters is durable
	}
}

// cacheLimit returns how many bytes of metadata to keep of a repository in a bucket.
func (b *Bucket) cacheLimit() (int64, error) {
	if b.CacheLimit == "0" {
		return 0, nil
	}
	n, err := show.ParseSize(cmp.Or(b.CacheLimit, defaultCacheLimit))
	if err != nil {
		return 0, usage.Errorf("--cache-limit: %w", err)
	}
	return n, nil
}

func (b *Bucket) given() bool {
	return b.Profile != "" || b.Region != "" || b.Endpoint != "" || b.PathStyle || b.StorageClasses != nil || b.SSE != "" || b.KMSKey != "" || b.RequesterPays ||
		b.LimitUpload != "" || b.LimitDownload != "" || b.ObjectLock != "" || b.AsOf != ""
}

func (set *Settings) s3Options(place store.Location) (s3.Options, error) {
	b := &set.Bucket
	o := s3.Options{
		Profile: b.Profile, Region: b.Region, Endpoint: cmp.Or(b.Endpoint, set.Endpoint), SSE: b.SSE, KMSKeyID: b.KMSKey, RequesterPays: b.RequesterPays, Warn: set.Warn,
	}
	if b.PathStyle {
		o.PathStyle = &b.PathStyle
	}
	var err error
	if o.Connections, err = set.connections(); err != nil {
		return o, err
	}
	if o.StorageClass, err = parseClasses(b.StorageClasses); err != nil {
		return o, err
	}
	if o.Lock, err = b.lock(); err != nil {
		return o, err
	}
	if b.AsOf != "" {
		if o.AsOf, err = show.ParseTime(b.AsOf, set.Now()); err != nil {
			return o, usage.Errorf("--as-of: %w", err)
		}
	}
	for _, limit := range []struct {
		text string
		to   *int64
	}{{b.LimitUpload, &o.LimitUpload}, {b.LimitDownload, &o.LimitDownload}} {
		if limit.text == "" {
			continue
		}
		if *limit.to, err = show.ParseSize(limit.text); err != nil {
			return o, usage.Error{Err: fmt.Errorf("limit: %w", err)}
		}
	}
	return o, nil
}

func (b *Bucket) lock() (l s3.Lock, err error) {
	switch b.LockMode {
	case "", "governance":
	case "compliance":
		l.Compliance = true
	default:
		return l, usage.Errorf("--object-lock-mode %q: it is governance or compliance", b.LockMode)
	}
	if b.ObjectLock == "" {
		return l, nil
	}
	l.For, err = show.ParseAge(b.ObjectLock)
	if err == nil && l.For < 24*time.Hour {
		err = errors.New("a day at least")
	}
	if err != nil {
		return l, usage.Errorf("--object-lock %q: %w", b.ObjectLock, err)
	}
	return l, nil
}

// otherKinds is what a storage class is given for that is meant for all objects that no other is meant for.
const otherKinds = "other"

// parseClasses reads KIND=CLASS, and returns the class of an object by its name; nil: nothing was said.
func parseClasses(list []string) (func(name string) string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	kinds := []string{"content", "metadata", "index", "archive", otherKinds}
	classes := map[string]string{}
	for _, text := range list {
		kind, class, ok := strings.Cut(text, "=")
		if !ok || class == "" || !slices.Contains(kinds, kind) {
			return nil, usage.Errorf("--storage-class %q: write KIND=CLASS, with a kind of %s", text, strings.Join(kinds, ", "))
		}
		if (class == "GLACIER" || class == "DEEP_ARCHIVE") && kind != "content" {
			return nil, usage.Errorf("--storage-class %q: what is needed every night cannot lie there; content can", text)
		}
		classes[kind] = class
	}
	return func(name string) string {
		kind, _, _ := strings.Cut(name, "/")
		return cmp.Or(classes[kind], classes[otherKinds])
	}, nil
}

// checkPlace refuses a place that holds anything. A bucket that is still missing is not looked into if it shall be made.
func (set *Settings) checkPlace(ctx context.Context, place store.Location, createBucket bool) error {
	if place.Scheme == store.SchemeFile {
		if set.Bucket.given() || createBucket {
			return usage.Errorf("%s is a directory: options for buckets have no place", Shown(place))
		}
		return CheckPlace(place.Path)
	}
	s, err := set.openStore(ctx, place)
	if createBucket && errors.Is(err, store.ErrNoStore) {
		return nil
	}
	if err != nil {
		return err
	}
	found := errors.New("found")
	for _, look := range []struct {
		prefix string
		refuse error
	}{{"keys/", repo.ErrExists}, {"", ErrNotEmpty}} {
		err := s.List(ctx, look.prefix, func(i store.Info) error {
			if i.Name == "config" { // what an init left that died, repo.Init judges
				return nil
			}
			return found
		})
		if errors.Is(err, found) {
			return look.refuse
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// createStore opens the store of a new repository. undo removes the objects of a repository that was not finished, and the folders that were made for it; not a bucket.
func (set *Settings) createStore(ctx context.Context, place store.Location, createBucket bool) (s store.Store, undo func(), err error) {
	undo = func() {}
	if place.Scheme == store.SchemeFile {
		undo = removeOnFailure(place.Path)
		dir, err := store.CreateDir(place.Path)
		if err != nil {
			return nil, undo, err
		}
		return dir, undo, nil
	}
	o, err := set.s3Options(place)
	if err != nil {
		return nil, undo, err
	}
	open := s3.Open
	if createBucket {
		open = s3.Create
	}
	bucket, err := open(ctx, place, o)
	if err != nil {
		return nil, undo, err
	}
	r := &recorder{Store: bucket}
	return r, func() {
		if err := r.undo(ctx); err != nil {
			set.Warn(fmt.Errorf("remove what was made: %w", err))
		}
	}, nil
}

// A recorder knows how far the making of a repository came.
type recorder struct {
	*s3.Store
	config, keys bool
}

func (r *recorder) Put(ctx context.Context, name string, data []byte) (store.Info, error) {
	r.keys = r.keys || name != "config"
	info, err := r.Store.Put(ctx, name, data)
	r.config = r.config || err == nil && name == "config"
	return info, err
}

// undo removes the config, if it is this run's and alone. Keys that a bucket failed to take may be there all the same, and with them the repository.
func (r *recorder) undo(ctx context.Context) error {
	if !r.config || r.keys {
		return nil
	}
	// The reason to stop may be that ctx ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return r.Delete(ctx, "config")
}

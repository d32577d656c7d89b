// Package s3 keeps a repository's objects in a bucket of Amazon S3 or of a
// server that speaks its protocol.
//
// It decides what is asked; package request asks it, and says what a failure
// means. No other package knows S3. Every object is one PutObject from
// memory, under the condition that nothing has its name, with its SHA-256 as
// the checksum that the server verifies before it answers. The invariant is
// that of package store, and it holds through retries: an answer that was lost
// after the server had stored the object, and so turns into "it exists", is a
// success exactly if size and SHA-256 of what is stored agree.
//
// Servers that know no conditions or no checksums are served in a weaker mode,
// see Options.Warn and doc/s3.md.
//
// The package does not use multipart uploads, does not look into objects or
// verify them against their names, and reads older versions in versioned buckets
// only when it is asked to.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"nightjar/repo/store"
	"nightjar/repo/store/s3/request"
)

// Options say how a bucket is reached and what objects are stored with. The
// zero value is Amazon S3 with what the SDK's configuration says.
type Options struct {
	request.Options

	// StorageClass returns the storage class that the object of that name is
	// stored with; nil, and "", mean the server's default.
	StorageClass func(name string) string
	// SSE asks for server-side encryption: "AES256", "aws:kms" or
	// "aws:kms:dsse"; "" means the bucket's default. KMSKeyID names the key of
	// the latter two; "" means the account's own.
	SSE, KMSKeyID string
	// Lock is what new objects are locked with.
	Lock Lock
	// AsOf shows a versioned bucket as it stood then, and refuses to write; the
	// zero time means as it stands. It takes s3:ListBucketVersions and
	// s3:GetObjectVersion.
	AsOf time.Time
	// RequesterPays accepts the charges of a bucket that wants that.
	RequesterPays bool

	// Abilities are what is known of the server from before: what it lacks is
	// not asked for, and what it does it has to go on doing. Learned is told
	// when that changes, as Warn is told.
	Abilities Abilities
	Learned   func(Abilities)

	// Now is this machine's clock; nil means time.Now. Times come from the
	// server: it says only how far the two are apart.
	Now func() time.Time

	// Warn is told, once each, what the server does less well than Amazon's,
	// and a region that differs from the configured one. It may be called from
	// any goroutine; nil means that nobody wants to know.
	Warn func(error)
}

func (o *Options) setDefaults() error {
	if o.Lock.For < 0 {
		return errors.New("a negative number of seconds of object lock")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if o.Learned == nil {
		o.Learned = func(Abilities) {}
	}
	switch types.ServerSideEncryption(o.SSE) {
	case "", types.ServerSideEncryptionAes256:
		if o.KMSKeyID != "" {
			return errors.New("a KMS key goes with server-side encryption aws:kms or aws:kms:dsse")
		}
	case types.ServerSideEncryptionAwsKms, types.ServerSideEncryptionAwsKmsDsse:
	default:
		return fmt.Errorf("server-side encryption %q is none of AES256, aws:kms, aws:kms:dsse", o.SSE)
	}
	return nil
}

// Store is a store.Store and store.Clock in a bucket. Times are whole seconds, but
// for home times.
type Store struct {
	place  place
	o      Options
	client *s3.Client
	sent   request.Count

	ahead    time.Duration // of the server's clock, before this machine's
	pins     pins
	pageSize int32 // keys in an answer to a listing; 0: as many as the server likes

	able         abilities
	warnReplaced sync.Once

	copy struct {
		sync.Mutex
		claimed bool // something says that this is a copy
		trusted bool // and home times count
		refused bool // the server takes nothing from another store
	}
}

var (
	_ store.Fetcher     = (*Store)(nil)
	_ store.Carrier     = (*Store)(nil)
	_ store.Dated       = (*Store)(nil)
	_ store.Claimer     = (*Store)(nil)
	_ store.Checksummer = (*Store)(nil)
	_ store.Clock       = (*Store)(nil)
	_ store.Prober      = (*Store)(nil)
	_ store.Replacer    = (*Store)(nil)
	_ store.Versioned   = (*Store)(nil)
	_ store.Retainer    = (*Store)(nil)
	_ store.Thawer      = (*Store)(nil)
)

// Open opens the store at a location with one of the Schemes: a bucket and,
// if there is one, the prefix of all keys. It fails with store.ErrNoStore if
// there is no such bucket, and asks for nothing but s3:ListBucket. Whether
// anything is under the prefix does not matter.
func Open(ctx context.Context, l store.Location, o Options) (*Store, error) {
	p, err := parse(l)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s, err := open(ctx, p, o)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", p, err)
	}
	return s, nil
}

// Create is Open for a bucket that is made, in Options.Region, with public access
// blocked, and with object lock if there is a Lock, if it is missing. One that
// exists stays as it is.
func Create(ctx context.Context, l store.Location, o Options) (*Store, error) {
	s, err := Open(ctx, l, o)
	if !errors.Is(err, store.ErrNoStore) {
		return s, err
	}
	p, err := parse(l)
	if err == nil {
		err = makeBucket(ctx, p, o)
	}
	if err != nil {
		return nil, fmt.Errorf("create bucket of %s: %w", l.Path, err)
	}
	return Open(ctx, l, o)
}

func open(ctx context.Context, p place, o Options) (*Store, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	cfg, err := request.Configure(ctx, &o.Options)
	if err != nil {
		return nil, err
	}
	configured := cfg.Region
	if configured == "" {
		cfg.Region = request.DefaultRegion
	}
	s := &Store{place: p, o: o}
	s.able.now, s.able.warned = o.Abilities, map[error]bool{}
	s.client = request.NewClient(cfg, o.Options, &s.sent)
	// Whether it claims to be a copy is asked in the same breath as whether it can be asked.
	first, err := s.glance(ctx, claimName)
	if region := request.RegionOf(err); region != "" && region != cfg.Region {
		cfg.Region = region
		s.client = request.NewClient(cfg, o.Options, &s.sent)
		if first, err = s.glance(ctx, claimName); err == nil && configured != "" {
			o.Warn(fmt.Errorf("bucket %s is in region %s, not in %s", p.bucket, region, configured))
		}
	}
	if err != nil {
		return nil, s.explain(ctx, "s3:ListBucket", "", err)
	}
	if at, err := answered(first.answered); err == nil {
		s.ahead = at.Sub(o.Now())
	}
	s.copy.claimed = first.Has(s.place.key(claimName))
	return s, nil
}

func makeBucket(ctx context.Context, p place, o Options) error {
	if err := o.setDefaults(); err != nil {
		return err
	}
	cfg, err := request.Configure(ctx, &o.Options)
	if err != nil {
		return err
	}
	if cfg.Region == "" {
		if cfg.BaseEndpoint == nil {
			return errors.New("name the region where it shall be")
		}
		cfg.Region = request.DefaultRegion
	}
	s := &Store{place: p, o: o}
	s.client = request.NewClient(cfg, o.Options, &s.sent)
	in := &s3.CreateBucketInput{Bucket: &p.bucket}
	if o.Lock.For > 0 {
		in.ObjectLockEnabledForBucket = aws.Bool(true)
	}
	if cfg.Region != request.DefaultRegion { // which S3 refuses to be told
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(cfg.Region),
		}
	}
	var mine *types.BucketAlreadyOwnedByYou // two runs at once, or an answer that was lost
	if _, err := s.client.CreateBucket(ctx, in); err != nil && !errors.As(err, &mine) {
		return s.explain(ctx, "s3:CreateBucket", "", err)
	}
	_, err = s.client.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{
		Bucket: &p.bucket,
		PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
			BlockPublicAcls: aws.Bool(true), BlockPublicPolicy: aws.Bool(true),
			IgnorePublicAcls: aws.Bool(true), RestrictPublicBuckets: aws.Bool(true),
		},
	})
	if request.Unsupported(err) || cfg.BaseEndpoint != nil && request.Status(err) == http.StatusBadRequest { // of a checksum, it may be
		o.Warn(fmt.Errorf("the server cannot block public access to bucket %s: see that nobody opens it", p.bucket))
		return nil
	}
	if err != nil {
		return fmt.Errorf("made, but public access is not blocked: %w", s.explain(ctx, "s3:PutBucketPublicAccessBlock", "", err))
	}
	return nil
}

// Requests returns how many requests were sent by now, those included that were
// sent again, by kind: PUT, GET, LIST, HEAD, DELETE, and CREATE for a bucket.
func (s *Store) Requests() map[string]uint64 { return s.sent.Kinds() }

// glance lists at most one key that begins with the object's: the cheapest
// question whose answer says all that can be wrong, since unlike that to a HEAD
// it has a body. It returns the SDK's own error.
func (s *Store) glance(ctx context.Context, name string) (*page, error) {
	return s.page(ctx, name, false, nil, 1)
}

func (s *Store) payer() types.RequestPayer {
	if s.o.RequesterPays {
		return types.RequestPayerRequester
	}
	return ""
}

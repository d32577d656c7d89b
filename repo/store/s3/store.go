package s3

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"nightjar/repo/store"
	"nightjar/repo/store/s3/listing"
	"nightjar/repo/store/s3/request"
)

// Put implements store.Store. The time it returns for a new object is that of
// the server's answer: what listings give may be a little earlier.
func (s *Store) Put(ctx context.Context, name string, data []byte) (store.Info, error) {
	return s.putAt(ctx, name, data, time.Time{})
}

func (s *Store) putAt(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	if err := s.checkWrite(ctx, "store", name); err != nil {
		return store.Info{}, err
	}
	if err := store.CheckPut(ctx, "store", name, len(data)); err != nil {
		return store.Info{}, err
	}
	info, err := s.put(ctx, name, data, at)
	if err != nil {
		return store.Info{}, fmt.Errorf("store object %s: %w", name, err)
	}
	return info, nil
}

func (s *Store) put(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	sum := sha256.Sum256(data)
	// Under its hash an object can only be replaced by itself, so it takes no
	// request to find out whether the server honors conditions.
	hashed := path.Base(name) == hex.EncodeToString(sum[:])
	if !hashed {
		if err := s.Probe(ctx); err != nil {
			return store.Info{}, err
		}
	}
	const most = 3
	for attempt, absent := 1, 0; ; attempt++ {
		condition := s.conditional()
		if !condition && !hashed {
			info, err := s.same(ctx, name, data, sum)
			if !errors.Is(err, store.ErrNotExist) {
				return info, err
			}
		}
		info, err := s.create(ctx, name, data, sum, at, s.headers(condition))
		switch {
		case err == nil:
			return info, nil
		case exists(err) && condition:
			// It was there before, or an earlier attempt's answer was lost.
			info, err := s.same(ctx, name, data, sum)
			if !errors.Is(err, store.ErrNotExist) {
				return info, err
			}
			if absent++; absent%most == 0 {
				s.able.judging.Lock()
				err := s.judgeNew(ctx)
				s.able.judging.Unlock()
				if err != nil {
					return store.Info{}, err
				}
			}
			if attempt <= 2*most {
				continue
			}
		case request.Status(err) == 0 && ctx.Err() == nil:
			// A server that refuses an object halfway through its body hangs up, and
			// then its refusal may never arrive.
			if info, err := s.same(ctx, name, data, sum); err == nil || errors.Is(err, store.ErrExists) {
				return info, err
			}
		case attempt < most:
			again, judged := s.askAgain(ctx, err, condition)
			if judged != nil {
				return store.Info{}, judged
			}
			if again {
				continue
			}
		}
		return store.Info{}, s.explain(ctx, "s3:PutObject", name, err)
	}
}

// Replace implements store.Replacer: the object has a new time of its own, and at as that at home. A versioned bucket keeps what was there as an
// older version.
func (s *Store) Replace(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	if err := store.CheckPut(ctx, "replace", name, len(data)); err != nil {
		return store.Info{}, err
	}
	info, err := s.createAnyway(ctx, name, data, at)
	if err != nil {
		return store.Info{}, fmt.Errorf("replace object %s: %w", name, s.explain(ctx, "s3:PutObject", name, err))
	}
	s.pins.putBack(name)
	return info, nil
}

// createAnyway stores an object, whatever is there. It returns the SDK's own error, or one of learn.
func (s *Store) createAnyway(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	sum := sha256.Sum256(data)
	for attempt := 1; ; attempt++ {
		info, err := s.create(ctx, name, data, sum, at, s.headers(false))
		if err == nil || attempt == 3 {
			return info, err
		}
		if again, judged := s.askAgain(ctx, err, false); judged != nil || !again {
			return info, cmp.Or(judged, err)
		}
	}
}

// create returns the SDK's own error.
func (s *Store) create(ctx context.Context, name string, data []byte, sum [sha256.Size]byte, at time.Time, with headers) (store.Info, error) {
	in := &s3.PutObjectInput{
		Bucket: &s.place.bucket, Key: aws.String(s.place.key(name)),
		Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))),
		RequestPayer: s.payer(),
		Metadata:     dated(at),
	}
	if with.checksum {
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(sum[:]))
	}
	if with.condition {
		in.IfNoneMatch = aws.String("*")
	}
	in.StorageClass, in.ServerSideEncryption, in.SSEKMSKeyId = s.storedWith(name)
	in.ObjectLockMode, in.ObjectLockRetainUntilDate = s.lockedWith(name)
	out, err := s.client.PutObject(ctx, in, request.SignBody(sum), s.expects)
	if kind := request.Kind(err); kind == store.ErrNotExist {
		return store.Info{}, request.Unusable("the answer to a PUT is that nothing is there")
	}
	if err != nil {
		return store.Info{}, err
	}
	if out.ETag == nil {
		return store.Info{}, request.Unusable("the answer to a PUT has no ETag")
	}
	if with.checksum {
		seen := Does
		if out.ChecksumSHA256 == nil {
			seen = Ignores
		}
		if err := s.learn(checksums, seen); err != nil {
			return store.Info{}, err
		}
	}
	now, err := answered(out.ResultMetadata)
	return store.Info{Name: name, Size: int64(len(data)), Time: now}, err
}

// storedWith returns what the options say of a new object.
func (s *Store) storedWith(name string) (class types.StorageClass, sse types.ServerSideEncryption, key *string) {
	if s.o.StorageClass != nil {
		class = types.StorageClass(s.o.StorageClass(name))
	}
	if s.o.KMSKeyID != "" {
		key = &s.o.KMSKeyID
	}
	return class, types.ServerSideEncryption(s.o.SSE), key
}

// same compares what is stored with data: by the server's checksum of it, or
// byte by byte if the server has none of the whole.
func (s *Store) same(ctx context.Context, name string, data []byte, sum [sha256.Size]byte) (store.Info, error) {
	out, err := s.head(ctx, name, nil)
	if request.NotFound(err) {
		return store.Info{}, store.ErrNotExist
	}
	if err != nil {
		return store.Info{}, s.explainRead(ctx, name, nil, err)
	}
	info := infoOf(name, out.ContentLength, out.LastModified)
	if info.Size != int64(len(data)) {
		return store.Info{}, store.ErrExists
	}
	if stored, ok := checksum(out); ok {
		if stored != sum {
			return store.Info{}, store.ErrExists
		}
		return info, nil
	}
	buf := make([]byte, min(len(data), 4<<20))
	for at := 0; at < len(data); at += len(buf) {
		buf = buf[:min(len(buf), len(data)-at)]
		if err := s.readVersion(ctx, name, nil, int64(at), buf); err != nil {
			return store.Info{}, err
		}
		if !bytes.Equal(buf, data[at:at+len(buf)]) {
			return store.Info{}, store.ErrExists
		}
	}
	return info, nil
}

// checksum returns the SHA-256 that the server has of a whole object. Other lengths are those of a multipart upload, whose checksum is one of checksums.
func checksum(out *s3.HeadObjectOutput) (sum [sha256.Size]byte, ok bool) {
	stored, err := base64.StdEncoding.DecodeString(aws.ToString(out.ChecksumSHA256))
	if err != nil || len(stored) != len(sum) || out.ChecksumType == types.ChecksumTypeComposite {
		return sum, false
	}
	return [sha256.Size]byte(stored), true
}

// Checksum returns the SHA-256 that the server vouches for, without reading the object. ok is false if it keeps none.
func (s *Store) Checksum(ctx context.Context, name string) (sum [sha256.Size]byte, ok bool, err error) {
	if err := store.Check(ctx, "look up", name); err != nil {
		return sum, false, err
	}
	out, err := s.lookUp(ctx, name)
	if err != nil {
		return sum, false, err
	}
	sum, ok = checksum(out)
	return sum, ok, nil
}

// lookUp is head of the version to read, with an error for callers.
func (s *Store) lookUp(ctx context.Context, name string) (*s3.HeadObjectOutput, error) {
	id, err := s.versionOf(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look up object %s: %w", name, err)
	}
	out, err := s.head(ctx, name, id)
	if err != nil {
		return nil, fmt.Errorf("look up object %s: %w", name, s.explainRead(ctx, name, id, err))
	}
	return out, nil
}

// head returns the SDK's own error. Without an id it is about the latest version.
func (s *Store) head(ctx context.Context, name string, id *string) (*s3.HeadObjectOutput, error) {
	ask := func(mode types.ChecksumMode) (*s3.HeadObjectOutput, error) {
		return s.client.HeadObject(ctx, &s3.HeadObjectInput{
			Bucket: &s.place.bucket, Key: aws.String(s.place.key(name)), VersionId: id, ChecksumMode: mode, RequestPayer: s.payer(),
		})
	}
	mode := types.ChecksumModeEnabled
	if s.able.noMode.Load() || s.known(checksums) == Refuses {
		mode = ""
	}
	out, err := ask(mode)
	if mode != "" && refused(err, headers{}) {
		if plain, plainErr := ask(""); plainErr == nil {
			if out, err = ask(mode); refused(err, headers{}) { // twice, and not without it
				s.able.noMode.Store(true)
				out, err = plain, nil
			}
		}
	}
	if err == nil && (out.ETag == nil || out.LastModified == nil || out.ContentLength == nil || *out.ContentLength < 0) {
		return nil, request.Unusable("the answer to a HEAD has no ETag, time or size")
	}
	return out, err
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix string, f func(store.Info) error) error {
	if err := store.CheckPrefix(prefix); err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	if !s.o.AsOf.IsZero() {
		return s.listAsOf(ctx, prefix, f)
	}
	var failed error // what f, or the end of ctx, said
	err := s.pages(ctx, prefix, false, func(p *listing.Page) error {
		for i := range p.Entries {
			e := &p.Entries[i]
			if err := ctx.Err(); err != nil {
				failed = fmt.Errorf("list objects: %w", err)
			} else if e.Name != "" {
				failed = f(e.Info())
			}
			if failed != nil {
				return failed
			}
		}
		return nil
	})
	if failed != nil || err == nil {
		return failed
	}
	return fmt.Errorf("list objects: %w", s.explain(ctx, "s3:ListBucket", prefix, err))
}

// Delete implements store.Store. S3 does not say whether anything was there,
// so it looks first; of two that delete at once, both may succeed. In a
// versioned bucket the object stays as an older version.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.checkWrite(ctx, "delete", name); err != nil {
		return err
	}
	if _, err := s.head(ctx, name, nil); err != nil {
		return fmt.Errorf("delete object %s: %w", name, s.explainRead(ctx, name, nil, err))
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{
		Bucket: &s.place.bucket, Key: aws.String(s.place.key(name)), RequestPayer: s.payer(),
	})
	if err != nil {
		return fmt.Errorf("delete object %s: %w", name, s.explain(ctx, "s3:DeleteObject", name, err))
	}
	return nil
}

// Now implements store.Clock by the Date of an answer. It fails where the store
// cannot be read; whether it can be written, only writing tells.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	out, err := s.glance(ctx, "")
	if err != nil {
		return time.Time{}, fmt.Errorf("ask store for its time: %w", s.explain(ctx, "s3:ListBucket", "", err))
	}
	at, err := answered(out.answered)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask store %s for its time: %w", s.place, err)
	}
	return at, nil
}

// checkWrite is store.Check for what changes the store.
func (s *Store) checkWrite(ctx context.Context, verb, name string) error {
	if err := store.Check(ctx, verb, name); err != nil {
		return err
	}
	if !s.o.AsOf.IsZero() {
		return fmt.Errorf("%s object %s: %w", verb, name, ErrAsOf)
	}
	return nil
}

// answered is when the server answered.
func answered(m middleware.Metadata) (time.Time, error) {
	at, ok := awsmiddleware.GetServerTime(m)
	if !ok || at.IsZero() {
		return time.Time{}, request.Unusable("it has no date")
	}
	return at.UTC(), nil
}

func infoOf(name string, size *int64, t *time.Time) store.Info {
	// Lists know milliseconds, other answers do not.
	return store.Info{Name: name, Size: aws.ToInt64(size), Time: aws.ToTime(t).UTC().Truncate(time.Second)}
}

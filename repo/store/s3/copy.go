package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"nightjar/repo/store"
	"nightjar/repo/store/s3/request"
)

const (
	claimName = ".copy" // no object's name
	claimMax  = 64 << 10

	homeTime = "nightjar-time" // metadata; RFC 3339
)

// ErrNoDirectCopy is a warning: what is copied here passes through this machine.
var ErrNoDirectCopy = errors.New("the server does not copy from there by itself: what is copied passes through this machine")

// dated is the metadata of an object with a home time.
func dated(at time.Time) map[string]string {
	if at.IsZero() {
		return nil
	}
	return map[string]string{homeTime: at.UTC().Format(time.RFC3339Nano)}
}

// PutAt implements store.Carrier.
func (s *Store) PutAt(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	return s.putAt(ctx, name, data, at)
}

// Place implements store.Claimer.
func (s *Store) Place() string { return s.place.String() }

// SetClaim implements store.Claimer.
func (s *Store) SetClaim(ctx context.Context, claim []byte) error {
	if !s.o.AsOf.IsZero() {
		return fmt.Errorf("store the claim that %s is a copy: %w", s.place, ErrAsOf)
	}
	if _, err := s.createAnyway(ctx, claimName, claim, time.Time{}); err != nil {
		return fmt.Errorf("store the claim that %s is a copy: %w", s.place, s.explain(ctx, "s3:PutObject", claimName, err))
	}
	s.copy.Lock()
	defer s.copy.Unlock()
	s.copy.claimed = true
	return nil
}

// Claim implements store.Claimer. It asks only if there was a claim when the
// store was opened.
func (s *Store) Claim(ctx context.Context) (claim []byte, stored time.Time, err error) {
	s.copy.Lock()
	claimed := s.copy.claimed
	s.copy.Unlock()
	if !claimed {
		return nil, stored, nil
	}
	out, err := s.head(ctx, claimName, nil)
	if err != nil {
		return nil, stored, fmt.Errorf("read the claim that %s is a copy: %w", s.place, s.explainRead(ctx, claimName, nil, err))
	}
	stored = aws.ToTime(out.LastModified)
	claim = make([]byte, max(0, min(aws.ToInt64(out.ContentLength), claimMax)))
	if len(claim) == 0 { // of which there is no range
		return claim, stored, nil
	}
	if err := s.readVersion(ctx, claimName, nil, 0, claim); err != nil {
		return nil, stored, fmt.Errorf("read the claim that %s is a copy: %w", s.place, err)
	}
	return claim, stored, nil
}

// TrustTimes implements store.Claimer.
func (s *Store) TrustTimes() {
	s.copy.Lock()
	defer s.copy.Unlock()
	s.copy.trusted = true
}

// HomeTime implements store.Dated. Where times are trusted it takes a request; a
// home time that cannot be read is none. Of what Recover has found it is that of
// the version.
func (s *Store) HomeTime(ctx context.Context, info store.Info) (time.Time, error) {
	s.copy.Lock()
	trusted := s.copy.trusted
	s.copy.Unlock()
	if p := s.pins.get(info.Name); p.found {
		info.Time = p.Time
	}
	if !trusted {
		return info.Time, nil
	}
	if err := store.Check(ctx, "look up", info.Name); err != nil {
		return time.Time{}, err
	}
	out, err := s.lookUp(ctx, info.Name)
	if err != nil {
		return time.Time{}, err
	}
	if at, err := time.Parse(time.RFC3339Nano, out.Metadata[homeTime]); err == nil {
		return at.UTC(), nil
	}
	return info.Time, nil
}

// Fetch implements store.Fetcher by CopyObject, for stores behind the same
// endpoint, in whatever regions; this store's credentials have to suffice for
// reading there. There is no condition that nothing has the name: under its hash
// an object is only replaced by itself.
func (s *Store) Fetch(ctx context.Context, from store.Store, name string, at time.Time) error {
	if err := s.checkWrite(ctx, "copy", name); err != nil {
		return err
	}
	source, ok := from.(*Store)
	want, err := hex.DecodeString(path.Base(name))
	s.copy.Lock()
	refused := s.copy.refused
	s.copy.Unlock()
	if !ok || refused || err != nil || len(want) != sha256.Size ||
		aws.ToString(s.client.Options().BaseEndpoint) != aws.ToString(source.client.Options().BaseEndpoint) {
		return fmt.Errorf("copy object %s: %w", name, errors.ErrUnsupported)
	}
	if s.known(checksums) == Refuses {
		s.refuse(ErrChecksumsRefused)
		return fmt.Errorf("copy object %s: %w", name, errors.ErrUnsupported)
	}
	sum, err := s.fetch(ctx, source, name, at)
	if err != nil {
		return fmt.Errorf("copy object %s: %w", name, err)
	}
	if string(sum) == string(want) {
		return nil
	}
	err = errors.New("what the server copied does not have that hash")
	if deleteErr := s.Delete(ctx, name); deleteErr != nil {
		err = fmt.Errorf("%w, and is still there: %w", err, deleteErr)
	}
	return fmt.Errorf("copy object %s: %w", name, err)
}

// fetch returns the SHA-256 of what the server has copied, nil if it does not know.
func (s *Store) fetch(ctx context.Context, source *Store, name string, at time.Time) (sum []byte, err error) {
	in := &s3.CopyObjectInput{
		Bucket: &s.place.bucket, Key: aws.String(s.place.key(name)), CopySource: aws.String(source.place.source(name)),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		MetadataDirective: types.MetadataDirectiveReplace, Metadata: dated(at),
		TaggingDirective: types.TaggingDirectiveReplace, // to copy tags takes more permissions, and there are none
		RequestPayer:     s.payer(),
	}
	if source.o.RequesterPays {
		in.RequestPayer = types.RequestPayerRequester
	}
	in.StorageClass, in.ServerSideEncryption, in.SSEKMSKeyId = s.storedWith(name)
	in.ObjectLockMode, in.ObjectLockRetainUntilDate = s.lockedWith(name)
	id, err := source.versionOf(ctx, name)
	if err != nil {
		return nil, err
	}
	if id != nil {
		in.CopySource = aws.String(*in.CopySource + "?versionId=" + url.QueryEscape(*id))
	}
	out, err := s.client.CopyObject(ctx, in)
	if err != nil {
		explained := s.explain(ctx, "s3:PutObject", name, err)
		if code := request.Status(err); code/100 != 4 && code != http.StatusNotImplemented || errors.Is(explained, store.ErrNotExist) {
			return nil, explained
		}
		s.refuse(explained)
		return nil, errors.ErrUnsupported
	}
	if out.CopyObjectResult != nil && out.CopyObjectResult.ChecksumType != types.ChecksumTypeComposite {
		sum, err = base64.StdEncoding.DecodeString(aws.ToString(out.CopyObjectResult.ChecksumSHA256))
		if err == nil && len(sum) == sha256.Size {
			return sum, nil
		}
	}
	stored, ok, err := s.Checksum(ctx, name)
	if err == nil && !ok {
		s.refuse(ErrNoChecksums)
		return nil, nil
	}
	return stored[:], err
}

// refuse notes that there is no way from server to server, and why.
func (s *Store) refuse(why error) {
	s.copy.Lock()
	defer s.copy.Unlock()
	if !s.copy.refused {
		s.copy.refused = true
		s.o.Warn(fmt.Errorf("%w (%w)", ErrNoDirectCopy, why))
	}
}

// source is an object as CopyObject names it.
func (p place) source(name string) string {
	return strings.ReplaceAll(url.QueryEscape(p.bucket+"/"+p.key(name)), "%2F", "/")
}

package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"nightjar/repo/store"
	"nightjar/repo/store/s3/request"
)

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, name string) (store.Info, error) {
	if err := store.Check(ctx, "look up", name); err != nil {
		return store.Info{}, err
	}
	out, err := s.lookUp(ctx, name)
	if err != nil {
		return store.Info{}, err
	}
	return infoOf(name, out.ContentLength, out.LastModified), nil
}

// GetInto implements store.Store.
func (s *Store) GetInto(ctx context.Context, name string, offset int64, buf []byte) error {
	if err := store.Check(ctx, "read", name); err != nil {
		return err
	}
	switch {
	case offset < 0:
		return fmt.Errorf("read object %s: negative offset %d", name, offset)
	case len(buf) == 0, offset > store.MaxObject: // ranges that HTTP cannot ask for, or that overflow
		info, err := s.Stat(ctx, name)
		if err == nil && offset+int64(len(buf)) > info.Size || offset+int64(len(buf)) < 0 {
			err = fmt.Errorf("read object %s: %d bytes at %d wanted, object ends at %d: %w",
				name, len(buf), offset, info.Size, io.ErrUnexpectedEOF)
		}
		return err
	}
	id, err := s.versionOf(ctx, name)
	if err == nil {
		err = s.readVersion(ctx, name, id, offset, buf)
	}
	if err != nil {
		return fmt.Errorf("read object %s: %w", name, err)
	}
	return nil
}

// readVersion goes on where an answer broke off, and asks again where it was none. Without an id it reads the latest version.
func (s *Store) readVersion(ctx context.Context, name string, id *string, offset int64, buf []byte) error {
	done := 0
	for attempt := 1; ; attempt++ {
		n, err := s.readOnce(ctx, name, id, offset+int64(done), buf[done:])
		done += n
		var again *request.BadAnswer
		if !errors.As(err, &again) || attempt >= s.o.MaxAttempts {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(request.Backoff(attempt, s.o.MaxBackoff)):
		}
	}
}

func (s *Store) readOnce(ctx context.Context, name string, id *string, offset int64, buf []byte) (int, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &s.place.bucket, Key: aws.String(s.place.key(name)), VersionId: id,
		Range:        aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(buf))-1)),
		RequestPayer: s.payer(),
	})
	if request.Status(err) == http.StatusRequestedRangeNotSatisfiable {
		return 0, fmt.Errorf("object ends before %d: %w", offset, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return 0, s.explainRead(ctx, name, id, err)
	}
	defer out.Body.Close()
	if err := checkRange(out, offset, len(buf)); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(out.Body, buf)
	switch {
	case err == nil:
		return n, nil
	case ctx.Err() != nil:
		return n, ctx.Err()
	}
	return n, request.BrokenOff("s3:GetObject on %s: answer broke off after %d of %d bytes: %v", s.place.url(name), n, len(buf), err)
}

// checkRange wants exactly the range that was asked for.
func checkRange(out *s3.GetObjectOutput, offset int64, length int) error {
	var from, to, size int64
	got := aws.ToString(out.ContentRange)
	if n, err := fmt.Sscanf(got, "bytes %d-%d/%d", &from, &to, &size); n != 3 || err != nil || from != offset || to < from || to >= size {
		return request.Unusable("asked for %d bytes at %d, the server sent range %q", length, offset, got)
	}
	switch n := aws.ToInt64(out.ContentLength); {
	case size > store.MaxObject:
		return fmt.Errorf("%d bytes: %w", size, store.ErrTooLarge)
	case size < offset+int64(length):
		return fmt.Errorf("%d bytes at %d wanted, object ends at %d: %w", length, offset, size, io.ErrUnexpectedEOF)
	case n != int64(length) || to-from+1 != n:
		return request.Unusable("asked for %d bytes at %d, the server sent %d", length, offset, n)
	}
	return nil
}

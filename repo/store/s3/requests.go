package s3

import (
	"context"
	"maps"
	"strings"
	"sync"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// requests counts what was sent, by the first word of the operation's name:
// what S3 bills by.
type requests struct {
	mu sync.Mutex
	n  map[string]uint64
}

// Requests returns how many requests were sent by now, those included that were
// sent again, by kind: PUT, GET, LIST, HEAD, DELETE, and CREATE for a bucket.
func (s *Store) Requests() map[string]uint64 {
	s.sent.mu.Lock()
	defer s.sent.mu.Unlock()
	return maps.Clone(s.sent.n)
}

// add installs the count where every attempt passes.
func (q *requests) add(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("CountRequest",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			q.count(awsmiddleware.GetOperationName(ctx))
			return next.HandleDeserialize(ctx, in)
		}), middleware.After)
}

func (q *requests) count(operation string) {
	kind := operation
	if i := strings.IndexAny(operation[min(1, len(operation)):], "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); i >= 0 {
		kind = operation[:i+1]
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == nil {
		q.n = map[string]uint64{}
	}
	q.n[strings.ToUpper(kind)]++
}

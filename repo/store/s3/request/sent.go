package request

import (
	"context"
	"maps"
	"strings"
	"sync"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// A Count is how many requests were sent, by the first word of the operation's name:
// what S3 bills by.
type Count struct {
	mu sync.Mutex
	n  map[string]uint64
}

// Kinds returns how many requests were sent by now, those included that were
// sent again, by kind: PUT, GET, LIST, HEAD, DELETE, and CREATE for a bucket.
func (q *Count) Kinds() map[string]uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.n)
}

// add installs the count where every attempt passes.
func (q *Count) add(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("CountRequest",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			q.count(awsmiddleware.GetOperationName(ctx))
			return next.HandleDeserialize(ctx, in)
		}), middleware.After)
}

func (q *Count) count(operation string) {
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

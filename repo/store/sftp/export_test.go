package sftp

import (
	"context"
	"time"

	"nightjar/repo/store"
)

// OpenImpatient is Open for tests, which wait less, and for less.
func OpenImpatient(ctx context.Context, l store.Location, o store.Opening, attempts int, listed int64) (*Store, error) {
	return open(ctx, l, o, limits{silence: 1500 * time.Millisecond, stall: 2500 * time.Millisecond, attempts: attempts, backoff: 50 * time.Millisecond, listed: listed, now: time.Now})
}

// OpenHasty is OpenImpatient for tests of servers that fall silent, which cut what is slow, too, and try again.
func OpenHasty(ctx context.Context, l store.Location, o store.Opening, attempts int) (*Store, error) {
	return open(ctx, l, o, limits{silence: 600 * time.Millisecond, stall: time.Second, attempts: attempts, backoff: 50 * time.Millisecond, listed: 256 << 20, now: time.Now})
}

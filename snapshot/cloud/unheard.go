package cloud

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// attemptsUnheard is how often a call is made at most where nothing listens: the waits between are 15 s together at most.
const attemptsUnheard = 4

// unheard waits between attempts as another backoff does, but gives up early where nothing listens: a server that throttles or fails is at least there.
type unheard struct{ retry.BackoffDelayer }

func (u unheard) BackoffDelay(attempt int, err error) (time.Duration, error) {
	var dns *net.DNSError
	nobody := errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &dns) && !dns.IsTimeout
	if nobody && attempt >= attemptsUnheard {
		return 0, fmt.Errorf("%w: %w", ErrUnheard, err)
	}
	return u.BackoffDelayer.BackoffDelay(attempt, err)
}

package cloud

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// Where nothing listens a call is given up within 20 s, whatever the jitter; who throttles is waited for until all attempts are made.
func TestUnheard(t *testing.T) {
	const url0 = "http://192.0.2.1:8000"
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"refused":  {&url.Error{Op: "Post", URL: url0, Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, true},
		"no host":  {&url.Error{Op: "Post", URL: url0, Err: &net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}}, true},
		"reset":    {&url.Error{Op: "Post", URL: url0, Err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}}, false},
		"throttle": {fmt.Errorf("call: %w", &smithy.GenericAPIError{Code: "RequestLimitExceeded"}), false},
	} {
		var waited time.Duration
		var err error
		for attempt := 1; attempt < Attempts && err == nil; attempt++ {
			var d time.Duration
			d, err = unheard{retry.NewExponentialJitterBackoff(20 * time.Second)}.BackoffDelay(attempt, c.err)
			waited += d
		}
		if errors.Is(err, ErrUnheard) != c.want || c.want && (waited > 20*time.Second || !errors.Is(err, c.err)) {
			t.Errorf("%s: %v, after %s", name, err, waited)
		}
	}
}

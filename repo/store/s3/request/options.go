// Package request sends requests to a server of S3, by the SDK, and says what
// their failures mean: it has the configuration, the connections and their
// limits, the signature, the attempts, and the errors.
//
// Whatever may pass by itself (5xx, SlowDown, conflicts, resets, silence,
// truncated answers) is tried again, with growing, jittered delays and a limit.
// Credentials are the SDK's own business: its chain (environment, profiles, SSO,
// roles, instance metadata) is the one place below cmd that reads the
// environment.
//
// The invariant: nothing is believed of an answer that no server of S3 would
// give, that another server gave, or that came in part; and each that is decoded
// is bounded. An explained error wraps what callers branch on, and nothing that
// a connection said.
//
// The package does not know what is stored, nor under which conditions, nor which
// of them a server lacks: that is package s3.
package request

import (
	"errors"
	"net/url"
	"time"
)

// Options say which server is asked, and how. The zero value is Amazon S3 with
// what the SDK's configuration says.
type Options struct {
	// Profile names a profile of the SDK's configuration, whose credentials,
	// region and server then count, and not the environment's: a profile that
	// names no server is for Amazon's.
	Profile string
	// Region is where the bucket is; "" means what the SDK's configuration
	// says, else us-east-1. A bucket that is elsewhere is found all the same.
	Region string
	// Endpoint is the http:// or https:// URL of a server other than Amazon's;
	// "" means what the SDK's configuration says.
	Endpoint string
	// PathStyle puts the bucket into the path of a URL, not into the host's
	// name; nil means only if an endpoint is given.
	PathStyle *bool

	// Connections is how many connections are open at most; 0 means 4.
	Connections int
	// LimitUpload and LimitDownload are bytes a second over all connections,
	// what the protocol adds included; 0 means no limit.
	LimitUpload, LimitDownload int64

	// MaxAttempts is how often a request is tried; 0 means what the SDK's
	// configuration says (AWS_MAX_ATTEMPTS), else 10, which with the default
	// MaxBackoff outlasts an outage of about a minute.
	MaxAttempts int
	// MaxBackoff bounds the delay before another attempt; 0 means 20 seconds.
	MaxBackoff time.Duration
	// Timeout is how long a connection may be silent in the middle of a
	// request; 0 means a minute.
	Timeout time.Duration
}

const (
	defaultConnections = 4
	defaultAttempts    = 10
	defaultBackoff     = 20 * time.Second
	defaultTimeout     = time.Minute

	// DefaultRegion is where a bucket is if nothing else is said.
	DefaultRegion = "us-east-1"
)

func (o *Options) setDefaults() error {
	if o.Connections < 0 || o.LimitUpload < 0 || o.LimitDownload < 0 || o.MaxAttempts < 0 || o.MaxBackoff < 0 || o.Timeout < 0 {
		return errors.New("a negative number of connections, bytes a second, attempts or seconds")
	}
	if o.Connections == 0 {
		o.Connections = defaultConnections
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = defaultBackoff
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	return nil
}

// checkEndpoint repeats nothing of a URL that may hold a password.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		return errors.New("malformed endpoint: http://host:port or https://host wanted")
	case u.User != nil:
		return errors.New("an endpoint may not hold credentials: they come from the environment, a profile or a role")
	}
	return nil
}

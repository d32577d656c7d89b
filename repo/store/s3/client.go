package s3

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
)

// configure reads the SDK's configuration, which decides what o leaves open, and makes sure that there are
// credentials before anything is asked with them.
func configure(ctx context.Context, o *Options) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(httpClient(*o)), config.WithLogger(logging.Nop{})}
	if o.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("%w: %s", ErrCredentials, clean(err.Error()))
	}
	if o.Region != "" {
		cfg.Region = o.Region
	}
	o.MaxAttempts = cmp.Or(o.MaxAttempts, cfg.RetryMaxAttempts, defaultAttempts)
	cfg.Retryer = func() aws.Retryer { return retryer(*o) }
	chain := cfg.Credentials
	// The SDK's own cache stands before it, and refreshes what expires.
	cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		c, err := chain.Retrieve(ctx)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: %s", ErrCredentials, clean(err.Error()))
		}
		return c, err
	})
	_, err = cfg.Credentials.Retrieve(ctx)
	return cfg, err
}

func (s *Store) newClient(cfg aws.Config) *s3.Client {
	o := s.o
	return s3.NewFromConfig(cfg, func(c *s3.Options) {
		if o.Endpoint != "" {
			c.BaseEndpoint = &o.Endpoint
		}
		c.UsePathStyle = c.BaseEndpoint != nil
		if o.PathStyle != nil {
			c.UsePathStyle = *o.PathStyle
		}
		// Every upload brings its SHA-256, and what is read is verified against
		// hashes under the repository's own signatures: the SDK's additional
		// CRCs would cost time, and servers that do not know them.
		c.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		c.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		c.DisableLogOutputChecksumValidationSkipped = true
		c.APIOptions = append(c.APIOptions, boundAnswers, s.sent.add)
	})
}

// retryCodes pass by themselves, or were damaged on their way.
var retryCodes = map[string]struct{}{
	"ConditionalRequestConflict": {}, "OperationAborted": {},
	"BadDigest": {}, "IncompleteBody": {}, "XAmzContentSHA256Mismatch": {}, "XAmzContentChecksumMismatch": {},
}

func retryer(o Options) aws.Retryer {
	return retry.NewStandard(func(r *retry.StandardOptions) {
		r.MaxAttempts = o.MaxAttempts
		r.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return backoff(attempt, o.MaxBackoff), nil
		})
		r.Retryables = append(r.Retryables, retry.RetryableErrorCode{Codes: retryCodes},
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}})
		// A quota over all requests would give up a whole night for a server
		// that fails one in five.
		r.RateLimiter = ratelimit.None
	})
}

// backoff is the delay after the given number of attempts: half a second that
// doubles each time up to most, and of that a random part, so that connections
// which failed together do not come back together.
func backoff(attempt int, most time.Duration) time.Duration {
	return rand.N(max(1, min(most, 250*time.Millisecond<<min(attempt, 16))))
}

func httpClient(o Options) *awshttp.BuildableClient {
	client := awshttp.NewBuildableClient()
	dial := limits{
		timeout: o.Timeout, up: limiter(o.LimitUpload), down: limiter(o.LimitDownload),
	}.dialer(client.GetDialer())
	return client.WithTransportOptions(func(t *http.Transport) {
		t.DialContext = dial
		t.MaxConnsPerHost, t.MaxIdleConnsPerHost = o.Connections, o.Connections
		t.MaxResponseHeaderBytes = 64 << 10
		// HTTP/2 would put all requests into one connection; S3 does not speak it.
		t.ForceAttemptHTTP2, t.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
	})
}

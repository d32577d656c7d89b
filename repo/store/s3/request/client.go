package request

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"nightjar/internal/pace"
)

// NewClient returns the SDK's client for what Configure returned. Its requests are counted in sent.
func NewClient(cfg aws.Config, o Options, sent *Count) *s3.Client {
	return s3.NewFromConfig(cfg, func(c *s3.Options) {
		c.BaseEndpoint = cfg.BaseEndpoint // not what the SDK makes of the environment again
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
		c.APIOptions = append(c.APIOptions, boundAnswers, sent.add, signLess)
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
			return Backoff(attempt, o.MaxBackoff), nil
		})
		r.Retryables = slices.Insert(r.Retryables, 0, retry.IsErrorRetryable(retry.IsErrorRetryableFunc(final)))
		r.Retryables = append(r.Retryables, retry.RetryableErrorCode{Codes: retryCodes},
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}})
		// A quota over all requests would give up a whole night for a server
		// that fails one in five.
		r.RateLimiter = ratelimit.None
	})
}

// final is for what does not pass by itself, though it looks like a connection that failed.
func final(err error) aws.Ternary {
	if _, kind := classify(err); kind == ErrCertificate || kind == ErrEndpoint {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// signLess leaves out of the signature what proxies are free to change, and servers to see changed.
func signLess(stack *middleware.Stack) error {
	unsigned := []string{"Accept-Encoding", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request"}
	type kept struct{}
	err := stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("HideUnsigned",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			if r, ok := in.Request.(*smithyhttp.Request); ok {
				headers := http.Header{}
				for _, name := range unsigned {
					headers[name] = r.Header.Values(name)
					r.Header.Del(name)
				}
				ctx = middleware.WithStackValue(ctx, kept{}, headers)
			}
			return next.HandleFinalize(ctx, in)
		}), "Signing", middleware.Before)
	if err != nil {
		return err
	}
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("ShowUnsigned",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			headers, _ := middleware.GetStackValue(ctx, kept{}).(http.Header)
			if r, ok := in.Request.(*smithyhttp.Request); ok {
				maps.Copy(r.Header, headers)
			}
			return next.HandleFinalize(ctx, in)
		}), "Signing", middleware.After)
}

// SignBody has the signature of one request cover a body of that hash by https, too, where the SDK would leave it out.
func SignBody(sum [sha256.Size]byte) func(*s3.Options) {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("SignBody",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					return next.HandleInitialize(v4.SetPayloadHash(ctx, hex.EncodeToString(sum[:])), in)
				}), middleware.Before)
		})
	}
}

// Backoff is the delay after the given number of attempts: half a second that
// doubles each time up to most, and of that a random part, so that connections
// which failed together do not come back together.
func Backoff(attempt int, most time.Duration) time.Duration {
	return rand.N(max(1, min(most, 250*time.Millisecond<<min(attempt, 16))))
}

func httpClient(o Options) *awshttp.BuildableClient {
	client := awshttp.NewBuildableClient()
	dial := limits{timeout: o.Timeout, pace: pace.New(o.LimitUpload, o.LimitDownload)}.dialer(client.GetDialer())
	return client.WithTransportOptions(func(t *http.Transport) {
		t.DialContext = dial
		t.MaxConnsPerHost, t.MaxIdleConnsPerHost = o.Connections, o.Connections
		t.MaxResponseHeaderBytes = 64 << 10
		// HTTP/2 would put all requests into one connection; S3 does not speak it.
		t.ForceAttemptHTTP2, t.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
	})
}

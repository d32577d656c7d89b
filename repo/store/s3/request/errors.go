package request

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"nightjar/repo/store"
)

var (
	// ErrDenied says that the credentials are good, but not for that operation,
	// which the error names as policies do ("s3:PutObject on s3://…").
	ErrDenied error = unavailable("permission denied")
	// ErrCredentials says that there are no credentials, or wrong ones.
	ErrCredentials error = unavailable("no valid credentials")
	// ErrConfiguration says that the SDK's configuration cannot be used: a variable of the environment, a profile, a file that one of them names.
	ErrConfiguration error = unavailable("the AWS configuration cannot be used")
	// ErrSignature says that the server has found another signature than we did.
	ErrSignature error = unavailable("the server does not accept the signature")
	// ErrCertificate says that the server's certificate is not trusted, or is another's.
	ErrCertificate error = unavailable("the server's certificate is not trusted")
	// ErrEndpoint says that the server is not where requests are sent to, or not in that way.
	ErrEndpoint error = unavailable("the endpoint is not the server's")
	// ErrExpired says that the credentials were good once.
	ErrExpired error = unavailable("credentials have expired")
	// ErrClock says that this machine's clock is too far from the server's.
	ErrClock error = unavailable("this machine's clock and the server's differ too much")
	// ErrRegion says that the bucket is in another region.
	ErrRegion error = unavailable("bucket is in another region")
	// ErrUnreachable says that no answer came from the server.
	ErrUnreachable error = unavailable("server cannot be reached")
	// ErrFailing says that the server answered, and every time that it cannot now. That says nothing about an object.
	ErrFailing error = unavailable("server fails")
	// ErrAnswer says that an answer came that no S3 server would give, or one that contradicts itself. Nothing of it is believed.
	ErrAnswer error = unavailable("the server's answer cannot be used")

	// ErrRefused says that the server answered that it does not do what was asked, for a reason that is none of the others. That says nothing about an object.
	ErrRefused = store.Unread(errors.New("the server refuses"))

	// ErrNoLock says that objects cannot be locked in the bucket.
	ErrNoLock = errors.New("the bucket has no object lock")
)

// unavailable is a reason why nothing can be had from the store: a store.ErrUnavailable.
type unavailable string

func (u unavailable) Error() string { return string(u) }
func (u unavailable) Is(target error) bool {
	return target == store.ErrUnavailable || target == store.ErrUnread
}

// kinds are what error codes of the server mean to callers.
var kinds = map[string]error{
	"NoSuchKey":    store.ErrNotExist,
	"NoSuchBucket": store.ErrNoStore,

	"AccessDenied": ErrDenied, "AccessDeniedException": ErrDenied, "AllAccessDisabled": ErrDenied,
	"AccountProblem": ErrDenied, "Forbidden": ErrDenied, "KMS.AccessDeniedException": ErrDenied,

	"InvalidAccessKeyId": ErrCredentials, "SignatureDoesNotMatch": ErrSignature, "XAmzSignatureMismatch": ErrSignature, "InvalidToken": ErrCredentials,
	"InvalidClientTokenId": ErrCredentials, "UnrecognizedClientException": ErrCredentials,

	"ExpiredToken": ErrExpired, "ExpiredTokenException": ErrExpired, "TokenRefreshRequired": ErrExpired,

	"InvalidObjectState": store.ErrArchived,

	"RequestTimeTooSkewed": ErrClock, "RequestExpired": ErrClock,

	"AuthorizationHeaderMalformed": ErrRegion, "PermanentRedirect": ErrRegion, "TemporaryRedirect": ErrRegion,
	"MovedPermanently": ErrRegion, "IllegalLocationConstraintException": ErrRegion, "IncorrectEndpoint": ErrRegion,
}

// Explain makes an error of the SDK one that names the operation, as policies do ("s3:PutObject"), and the URL of the thing. It
// wraps what callers branch on, and nothing else: an SDK's error may wrap io.ErrUnexpectedEOF, say, which means something else to
// a Store's caller. now is this machine's time, which may be what is wrong.
func Explain(ctx context.Context, action, url string, now time.Time, err error) error {
	what := action + " on " + url
	if ctxErr := ctx.Err(); ctxErr != nil {
		return fmt.Errorf("%s: %w", what, ctxErr)
	}
	text, kind := classify(err)
	if kind == ErrClock {
		text += clockDifference(err, now)
	}
	if kind == store.ErrNotExist && strings.HasPrefix(action, "s3:ListBucket") {
		kind = ErrAnswer // a bucket that is missing is called so, and a listing is never of nothing
	}
	switch kind {
	case nil:
		if Status(err) >= 300 {
			return fmt.Errorf("%s: %w (%s)", what, ErrRefused, text)
		}
		return store.Unread(fmt.Errorf("%s: %s", what, text))
	case store.ErrNotExist:
		return fmt.Errorf("%s: %w", what, kind)
	case store.ErrNoStore:
		return fmt.Errorf("%s: %w: no such bucket", what, kind)
	}
	return fmt.Errorf("%s: %w (%s)", what, kind, text)
}

// Kind returns which of the errors of this package and of store an error of the SDK is, nil if it is none of them.
func Kind(err error) error {
	_, kind := classify(err)
	return kind
}

// classify is for an error of the SDK, or nil.
func classify(err error) (text string, kind error) {
	if err == nil {
		return "", nil
	}
	var tries string
	var most *retry.MaxAttemptsError
	if errors.As(err, &most) && most.Attempt > 1 {
		tries = fmt.Sprintf(", after %d attempts", most.Attempt)
	}
	var answer *BadAnswer
	if errors.As(err, &answer) {
		return answer.text + tries, answer.kind
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		kind = kinds[api.ErrorCode()]
		switch code := Status(err); {
		case kind != nil:
		case code == http.StatusNotFound && api.ErrorCode() == "NotFound":
			kind = store.ErrNotExist
		case code == http.StatusMovedPermanently, code == http.StatusTemporaryRedirect:
			kind = ErrRegion
		case code >= http.StatusInternalServerError && code != http.StatusNotImplemented, code == http.StatusTooManyRequests:
			kind = ErrFailing
		}
		if kind == ErrDenied && strings.Contains(api.ErrorMessage(), "not signed") { // as where a proxy dropped what was
			kind = ErrSignature
		}
		if noLock(err) {
			kind = ErrNoLock
		}
		text = clean(strings.TrimRight(api.ErrorCode()+": "+api.ErrorMessage(), ": ."))
		if code := Status(err); code != 0 {
			text = fmt.Sprintf("%d %s", code, text)
		}
		var answer *awshttp.ResponseError
		if errors.As(err, &answer) && answer.ServiceRequestID() != "" {
			text += ", request " + clean(answer.ServiceRequestID())
		}
		return text + tries, kind
	}
	if errors.Is(err, ErrCredentials) {
		return clean(strings.TrimPrefix(lastOf(err, ErrCredentials), ErrCredentials.Error()+": ")), ErrCredentials
	}
	var send *smithyhttp.RequestSendError
	if errors.As(err, &send) {
		kind, err = ErrUnreachable, send.Err
	}
	var request *url.Error // names the URL once more
	if errors.As(err, &request) {
		err = request.Err
	}
	if k := kindOfTLS(err); k != nil {
		kind = k
	}
	if strings.Contains(err.Error(), "invalid header field value") { // a line break in a key that a variable names, say
		kind = ErrConfiguration
	}
	return clean(err.Error()) + tries, kind
}

// clockDifference says how far this machine's clock is from the server's, if the answer tells.
func clockDifference(err error, now time.Time) string {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil {
		return ""
	}
	at, err := http.ParseTime(answer.Response.Header.Get("Date"))
	if err != nil {
		return ""
	}
	by := now.Sub(at).Round(time.Second)
	if by < 0 {
		return fmt.Sprintf(", this machine's is %v behind", -by)
	}
	return fmt.Sprintf(", this machine's is %v ahead", by)
}

// kindOfTLS tells what is wrong with a connection that was made, and then came to nothing; nil: it is not that.
func kindOfTLS(err error) error {
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return ErrCertificate
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return ErrEndpoint
	}
	return nil
}

// lastOf is the text of the innermost error that wraps target.
func lastOf(err, target error) string {
	text := err.Error()
	if i := strings.LastIndex(text, target.Error()); i >= 0 {
		return text[i:]
	}
	return text
}

var expecting = regexp.MustCompile(`expecting ['"]([a-z0-9-]{1,40})['"]`)

// RegionOf returns where the bucket is, if that is why the request failed.
func RegionOf(err error) string {
	var api smithy.APIError
	if _, kind := classify(err); kind != ErrRegion || !errors.As(err, &api) {
		return ""
	}
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		if region := answer.Response.Header.Get("X-Amz-Bucket-Region"); regionName.MatchString(region) {
			return region
		}
	}
	if m := expecting.FindStringSubmatch(api.ErrorMessage()); m != nil {
		return m[1]
	}
	return ""
}

// Status returns that of the server's answer, 0 if there was none.
func Status(err error) int {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		return answer.HTTPStatusCode()
	}
	return 0
}

// NotFound reports whether a server of S3, and no other, said that nothing is there.
func NotFound(err error) bool {
	return Status(err) == http.StatusNotFound && !errors.Is(err, ErrAnswer)
}

// NotImplemented reports whether the server knows no such operation.
func NotImplemented(err error) bool { return Status(err) == http.StatusNotImplemented }

// Unsupported reports whether the server knows no such operation on a bucket: some
// take it for the one that makes the bucket, and stumble over its XML.
func Unsupported(err error) bool {
	var api smithy.APIError
	return NotImplemented(err) || Status(err) == http.StatusMethodNotAllowed ||
		errors.As(err, &api) && api.ErrorCode() == "MalformedXML"
}

// PreconditionFailed reports whether a server of S3 refused since a condition of the request does not hold.
func PreconditionFailed(err error) bool {
	return Status(err) == http.StatusPreconditionFailed && !errors.Is(err, ErrAnswer)
}

// noLock reports whether the server refused because the bucket has no object lock:
// the code is that of many other mistakes.
func noLock(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && strings.Contains(strings.ToLower(strings.ReplaceAll(api.ErrorMessage(), " ", "")), "missingobjectlockconfiguration")
}

// clean keeps what a server says from taking over a terminal or a log.
func clean(s string) string {
	const most = 400
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
}

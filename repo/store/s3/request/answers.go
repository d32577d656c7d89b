package request

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A BadAnswer is an answer that a server which speaks the protocol would not
// give, or that came in part. Nothing of it is believed. It does not wrap its
// cause, often io.ErrUnexpectedEOF, which would say that an object is too short.
type BadAnswer struct {
	text  string
	kind  error
	final bool
}

func (e *BadAnswer) Error() string { return e.text }
func (e *BadAnswer) Unwrap() error { return e.kind }

// RetryableError tells the SDK: a proxy, or a server that starts, may do better next time.
func (e *BadAnswer) RetryableError() bool { return !e.final }

// Unusable returns a BadAnswer that is an ErrAnswer.
func Unusable(format string, args ...any) error {
	return &BadAnswer{text: clean(fmt.Sprintf(format, args...)), kind: ErrAnswer}
}

// BrokenOff returns a BadAnswer that is an ErrUnreachable.
func BrokenOff(format string, args ...any) error {
	return &BadAnswer{text: clean(fmt.Sprintf(format, args...)), kind: ErrUnreachable}
}

// MaxAnswer bounds every answer that is decoded: lists of some thousand keys, and errors. Objects are read by our own bounded code.
const MaxAnswer = 16 << 20

const bounding = "BoundAnswer"

// boundAnswers bounds what is decoded, and refuses redirects and what a web server, not one of S3, has said.
func boundAnswers(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc(bounding,
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			r, ok := out.RawResponse.(*smithyhttp.Response)
			if !ok || err != nil || r.Body == nil {
				return out, metadata, err
			}
			operation := awsmiddleware.GetOperationName(ctx)
			if r.Header.Get("Content-Encoding") == "gzip" && operation != "GetObject" && operation != "HeadObject" { // which a proxy has asked for
				unzipped, err := gzip.NewReader(r.Body)
				if err == io.EOF { // of nothing there is nothing to decompress
					return out, metadata, nil
				}
				if err != nil {
					r.Body.Close()
					return out, metadata, Unusable("an answer says that it is compressed, and is not: %v", err)
				}
				r.Body = struct {
					io.Reader
					io.Closer
				}{unzipped, r.Body}
			}
			if r.StatusCode != http.StatusPartialContent {
				r.Body = struct {
					io.Reader
					io.Closer
				}{io.LimitReader(r.Body, MaxAnswer), r.Body}
			}
			asked, _ := in.Request.(*smithyhttp.Request)
			if err = refuseRedirect(asked, r); err == nil {
				err = refuseWebPage(operation, r)
			}
			return out, metadata, err
		}), middleware.After)
}

// DecodedBy has decode, and not the SDK, read the body of a request's answer, if that is a success. What it returns is the request's error.
func DecodedBy(decode func(*smithyhttp.Response) error) func(*s3.Options) {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Deserialize.Insert(middleware.DeserializeMiddlewareFunc("DecodedBy", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
				out middleware.DeserializeOutput, metadata middleware.Metadata, err error,
			) {
				out, metadata, err = next.HandleDeserialize(ctx, in)
				if r, ok := out.RawResponse.(*smithyhttp.Response); ok && err == nil && r.StatusCode/100 == 2 {
					err = decode(r)
					r.Body.Close()
					r.Body = http.NoBody // the SDK is content with that
				}
				return out, metadata, err
			}), bounding, middleware.Before)
		})
	}
}

// refuseRedirect names where a server sends us, but where it says that the bucket is in another region, which is S3's own way: what
// is signed for one place counts in no other, and whom to believe is not for a server to say.
func refuseRedirect(asked *smithyhttp.Request, r *smithyhttp.Response) error {
	to := r.Header.Get("Location")
	switch final := r.Request; {
	case asked != nil && final != nil && (final.URL.Host != asked.URL.Host || final.URL.Scheme != asked.URL.Scheme):
		to = final.URL.String() // the SDK follows some
	case r.StatusCode/100 != 3, r.StatusCode == http.StatusNotModified, r.Header.Get("X-Amz-Bucket-Region") != "",
		strings.Contains(r.Header.Get("Content-Type"), "xml"):
		return nil
	}
	r.Body.Close()
	text := "it sends elsewhere"
	if u, err := url.Parse(to); err == nil && u.Host != "" {
		text += ", to " + u.Scheme + "://" + u.Host
	}
	return &BadAnswer{text: clean(text), kind: ErrEndpoint, final: true}
}

var (
	title   = regexp.MustCompile(`(?is)<title>\s*([^<]{1,100})`)
	inClear = regexp.MustCompile(`(?i)HTTP request\b.{1,30}\bHTTPS (server|port)`) // as Go's servers and nginx say it
)

// refuseWebPage names a page that a proxy, a portal or a web server has sent. Those of a server that fails mean the same as its other answers.
func refuseWebPage(operation string, r *smithyhttp.Response) error {
	object := r.StatusCode/100 == 2 && (operation == "GetObject" || operation == "HeadObject") // which may be of any type
	page := strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "text/html")
	if object || r.StatusCode != http.StatusBadRequest && (!page || r.StatusCode/100 != 2 && r.StatusCode/100 != 4) {
		return nil
	}
	begin, _ := io.ReadAll(io.LimitReader(r.Body, 4<<10)) // what fails to come says nothing
	switch {
	case r.StatusCode == http.StatusBadRequest && inClear.Match(begin):
		r.Body.Close()
		return &BadAnswer{text: "it wants https://", kind: ErrEndpoint, final: true}
	case !page:
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(begin), r.Body), r.Body}
		return nil
	}
	r.Body.Close()
	text := fmt.Sprintf("a web page with status %d", r.StatusCode)
	if found := title.FindSubmatch(begin); found != nil {
		text += fmt.Sprintf(", %q", strings.TrimSpace(string(found[1])))
	}
	return &BadAnswer{text: clean(text), kind: ErrAnswer, final: r.StatusCode/100 == 4}
}

package s3

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// answerError is an answer that a server which speaks the protocol would not
// give, or that came in part. Nothing of it is believed. It does not wrap its
// cause, often io.ErrUnexpectedEOF, which would say that an object is too short.
type answerError struct {
	text  string
	kind  error
	final bool
}

func (e *answerError) Error() string { return e.text }
func (e *answerError) Unwrap() error { return e.kind }

// RetryableError tells the SDK: a proxy, or a server that starts, may do better next time.
func (e *answerError) RetryableError() bool { return !e.final }

func unusable(format string, args ...any) error {
	return &answerError{text: clean(fmt.Sprintf(format, args...)), kind: ErrAnswer}
}

func brokenOff(format string, args ...any) error {
	return &answerError{text: clean(fmt.Sprintf(format, args...)), kind: ErrUnreachable}
}

// maxAnswer bounds every answer that is decoded: lists of some thousand keys, and errors. Objects are read by our own bounded code.
const maxAnswer = 16 << 20

// boundAnswers bounds what is decoded, and refuses what a web server, not one of S3, has said.
func boundAnswers(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("BoundAnswer",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			r, ok := out.RawResponse.(*smithyhttp.Response)
			if !ok || err != nil || r.Body == nil {
				return out, metadata, err
			}
			if r.StatusCode != http.StatusPartialContent {
				r.Body = struct {
					io.Reader
					io.Closer
				}{io.LimitReader(r.Body, maxAnswer), r.Body}
			}
			err = refuseWebPage(awsmiddleware.GetOperationName(ctx), r)
			return out, metadata, err
		}), middleware.After)
}

var title = regexp.MustCompile(`(?is)<title>\s*([^<]{1,100})`)

// refuseWebPage names a page that a proxy, a portal or a web server has sent. Those of a server that fails, or that sends elsewhere, mean
// the same as its other answers.
func refuseWebPage(operation string, r *smithyhttp.Response) error {
	object := r.StatusCode/100 == 2 && (operation == "GetObject" || operation == "HeadObject") // which may be of any type
	if object || r.StatusCode/100 != 2 && r.StatusCode/100 != 4 || !strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "text/html") {
		return nil
	}
	text := fmt.Sprintf("a web page with status %d", r.StatusCode)
	begin, _ := io.ReadAll(io.LimitReader(r.Body, 4<<10)) // what fails to come has no title
	r.Body.Close()
	if found := title.FindSubmatch(begin); found != nil {
		text += fmt.Sprintf(", %q", strings.TrimSpace(string(found[1])))
	}
	return &answerError{text: clean(text), kind: ErrAnswer, final: r.StatusCode/100 == 4}
}

package query

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Namespace is that of the one version of the API.
const (
	Version   = "2016-11-15"
	Namespace = "http://ec2.amazonaws.com/doc/" + Version + "/"
)

// A Reply is what goes out when nothing is refused.
type Reply struct {
	Status int // 0: 200
	Header http.Header
	Body   []byte
	Read   func() (http.Header, []byte, error) // if set, gives header and body when the call is over
}

// Answer is the document of an operation's output.
func Answer(operation, request string, out any) ([]byte, error) {
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	start := xml.StartElement{Name: xml.Name{Local: operation + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: Namespace}}}
	if err := e.EncodeElement(out, start); err != nil {
		return nil, fmt.Errorf("encode the answer to %s: %w", operation, err)
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	open, rest, _ := bytes.Cut(b.Bytes(), []byte(">"))
	return fmt.Appendf(nil, "%s%s><requestId>%s</requestId>%s", xml.Header, open, request, rest), nil
}

// ErrorAnswer is the document of a refusal.
func ErrorAnswer(err *Error, request string) []byte {
	var message bytes.Buffer
	_ = xml.EscapeText(&message, []byte(err.Message))
	return fmt.Appendf(nil, "%s<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>",
		xml.Header, err.Code, message.Bytes(), request)
}

// Time is how EC2 writes times. The zero value is left out.
type Time struct{ time.Time }

// MarshalXML implements xml.Marshaler.
func (t Time) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if t.IsZero() {
		return nil
	}
	return e.EncodeElement(t.UTC().Format("2006-01-02T15:04:05.000Z"), start)
}

// Token is what continues a listing after a resource of that ordinal. It names the listing, so that another one refuses it.
func Token(listing string, after uint64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s/%d", listing, after))
}

// ParseToken returns what Token was made of.
func ParseToken(listing, token string) (uint64, error) {
	b, err := base64.StdEncoding.DecodeString(token)
	name, after, ok := strings.Cut(string(b), "/")
	n, bad := strconv.ParseUint(after, 10, 64)
	if err != nil || !ok || bad != nil || name != listing {
		return 0, Refuse("InvalidParameterValue", "Unable to parse pagination token")
	}
	return n, nil
}

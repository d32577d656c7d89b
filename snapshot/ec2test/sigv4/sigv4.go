// Package sigv4 verifies requests that were signed with AWS Signature Version 4, in headers or in a query.
//
// It is written from the description of the algorithm and shares nothing with the SDK's signer. The invariant: a request passes only if every
// header that it says is signed, its path, query and payload are those that the holder of the secret signed.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Window is how far a signature's time may be from the server's.
const Window = 5 * time.Minute

// Unsigned stands for the hash of a payload that is not signed.
const Unsigned = "UNSIGNED-PAYLOAD"

// A Scope says who signed, and for what.
type Scope struct {
	Key     string // access key ID
	Date    string // 20060102
	Region  string
	Service string
}

// Credentials are what belongs to an access key ID.
type Credentials struct {
	Secret string
	Token  string // of a session; empty: there is none
}

// A Problem is why a signature was refused.
type Problem struct {
	Kind Kind
	Text string
}

// Kind tells what is wrong; services have their own codes for it.
type Kind int

// Why signatures are refused.
const (
	Missing Kind = iota + 1
	Malformed
	UnknownKey
	WrongToken
	WrongTime
	Mismatch
)

func (p *Problem) Error() string { return p.Text }

func problem(k Kind, format string, args ...any) error {
	return &Problem{k, fmt.Sprintf(format, args...)}
}

type signed struct {
	Scope
	time      string // 20060102T150405Z
	headers   []string
	signature string
	token     string
	payload   string
	query     url.Values
	expires   time.Duration
}

// Verify returns the scope of a request. The body has to be read before, and host is what the client called.
func Verify(r *http.Request, body []byte, now time.Time, known func(key string) (Credentials, bool)) (Scope, error) {
	if r.Header.Get("Authorization") == "" && !r.URL.Query().Has("X-Amz-Signature") {
		return Scope{}, problem(Missing, "the request is not signed")
	}
	s, err := parse(r, body)
	if err != nil {
		return Scope{}, err
	}
	at, err := time.Parse("20060102T150405Z", s.time)
	if err != nil || s.Date != at.Format("20060102") {
		return s.Scope, problem(Malformed, "date %q is not one of the scope %q", s.time, s.Date)
	}
	if now.Sub(at) > s.expires || at.Sub(now) > Window {
		return s.Scope, problem(WrongTime, "Signature expired: %s is now earlier than %s or later than %s", s.time, now.Add(-s.expires).UTC().Format("20060102T150405Z"), now.Add(Window).UTC().Format("20060102T150405Z"))
	}
	c, ok := known(s.Key)
	if !ok {
		return s.Scope, problem(UnknownKey, "The access key %q is not known", s.Key)
	}
	if c.Token != s.token {
		return s.Scope, problem(WrongToken, "The security token included in the request is invalid")
	}
	if !slices.Contains(s.headers, "host") || s.token != "" && s.query == nil && !slices.Contains(s.headers, "x-amz-security-token") {
		return s.Scope, problem(Malformed, "'host' and 'x-amz-security-token' must be signed")
	}
	if want := sign(c.Secret, s, canonical(r, s)); !hmac.Equal([]byte(want), []byte(s.signature)) {
		return s.Scope, problem(Mismatch, "The request signature we calculated does not match the signature you provided.")
	}
	return s.Scope, nil
}

func parse(r *http.Request, body []byte) (signed, error) {
	s := signed{expires: Window}
	var credential, headers, algorithm string
	if r.Header.Get("Authorization") != "" {
		var rest string
		algorithm, rest, _ = strings.Cut(r.Header.Get("Authorization"), " ")
		for part := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch name {
			case "Credential":
				credential = value
			case "SignedHeaders":
				headers = value
			case "Signature":
				s.signature = value
			}
		}
		s.time, s.token = r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Security-Token")
		sum := sha256.Sum256(body)
		s.payload = hex.EncodeToString(sum[:])
		if stated := r.Header.Get("X-Amz-Content-Sha256"); stated == Unsigned {
			s.payload = Unsigned
		} else if stated != "" && stated != s.payload {
			return s, problem(Mismatch, "X-Amz-Content-Sha256 is not the hash of the payload")
		}
	} else {
		s.query = r.URL.Query()
		algorithm, credential, headers = s.query.Get("X-Amz-Algorithm"), s.query.Get("X-Amz-Credential"), s.query.Get("X-Amz-SignedHeaders")
		s.time, s.signature, s.token = s.query.Get("X-Amz-Date"), s.query.Get("X-Amz-Signature"), s.query.Get("X-Amz-Security-Token")
		if n, err := time.ParseDuration(s.query.Get("X-Amz-Expires") + "s"); err == nil {
			s.expires = min(n, 7*24*time.Hour)
		}
		sum := sha256.Sum256(body)
		s.payload = hex.EncodeToString(sum[:])
	}
	scope := strings.Split(credential, "/")
	if algorithm != "AWS4-HMAC-SHA256" || len(scope) != 5 || scope[4] != "aws4_request" || headers == "" || len(s.signature) != 64 {
		return s, problem(Malformed, "the signature is incomplete")
	}
	s.Scope = Scope{Key: scope[0], Date: scope[1], Region: scope[2], Service: scope[3]}
	s.headers = strings.Split(headers, ";")
	return s, nil
}

func canonical(r *http.Request, s signed) string {
	path := r.URL.EscapedPath() // encoded once already: services other than S3 encode once more
	if path == "" {
		path = "/"
	}
	segments := strings.Split(path, "/")
	for i := range segments {
		segments[i] = escape(segments[i])
	}
	var pairs []string
	for name, values := range r.URL.Query() {
		for _, v := range values {
			if name != "X-Amz-Signature" {
				pairs = append(pairs, escape(name)+"="+escape(v))
			}
		}
	}
	slices.Sort(pairs)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, strings.Join(segments, "/"), strings.Join(pairs, "&"))
	for _, h := range s.headers {
		value := strings.Join(r.Header.Values(http.CanonicalHeaderKey(h)), ",")
		switch h {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&b, "%s:%s\n", h, strings.Join(strings.Fields(value), " "))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(s.headers, ";"), s.payload)
	return b.String()
}

func sign(secret string, s signed, request string) string {
	sum := sha256.Sum256([]byte(request))
	scope := s.Date + "/" + s.Region + "/" + s.Service + "/aws4_request"
	key := mac([]byte("AWS4"+secret), s.Date)
	key = mac(mac(mac(key, s.Region), s.Service), "aws4_request")
	return hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+s.time+"\n"+scope+"\n"+hex.EncodeToString(sum[:])))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// escape encodes all but what RFC 3986 leaves unreserved.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

package sigv4

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The example that AWS publishes with the description of the algorithm: a call of ListUsers.
func TestPublishedExample(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
	known := func(key string) (Credentials, bool) {
		return Credentials{Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, key == "AKIDEXAMPLE"
	}
	now := time.Date(2015, 8, 30, 12, 38, 0, 0, time.UTC)
	scope, err := Verify(r, nil, now, known)
	if err != nil || scope != (Scope{"AKIDEXAMPLE", "20150830", "us-east-1", "iam"}) {
		t.Errorf("got %+v, %v", scope, err)
	}
	if _, err := Verify(r, []byte("x"), now, known); err == nil {
		t.Error("another payload passed")
	}
	if _, err := Verify(r, nil, now.Add(Window), known); err == nil {
		t.Error("a late request passed")
	}
	r.Header.Set("Content-Type", "text/plain")
	if _, err := Verify(r, nil, now, known); err == nil {
		t.Error("another header passed")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/iam/aws4_request, SignedHeaders=host, Signature="+strings.Repeat("0", 64), "20150830T123600Z", "a=b")
	f.Add("", "", "X-Amz-Signature=x&X-Amz-Credential=a/b/c/d/aws4_request")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		_, err := Verify(r, nil, time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC), func(string) (Credentials, bool) { return Credentials{Secret: "unknown to the fuzzer"}, true })
		if err == nil {
			t.Errorf("%q passed", authorization)
		}
	})
}

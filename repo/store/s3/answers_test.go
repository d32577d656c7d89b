package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"nightjar/internal/s3test"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
)

const portal = "<!DOCTYPE html><html><head><meta charset=utf-8><title>Please sign in</title></head><body><p>Welcome<br>guest"

func replace(pairs ...string) func([]byte) []byte {
	return func(body []byte) []byte { return []byte(strings.NewReplacer(pairs...).Replace(string(body))) }
}

// onList is a fate for listings alone.
func onList(f s3test.Fate) func(int, *http.Request) s3test.Fate {
	return func(_ int, r *http.Request) s3test.Fate {
		if r.Method == http.MethodGet && (r.URL.Query().Has("list-type") || r.URL.Query().Has("versions")) {
			return f
		}
		return s3test.Fate{}
	}
}

// listings checks that a listing is whole or an error, whatever becomes of the server's answers.
func listings(t *testing.T, server *s3test.Server) {
	const objects = 25 // three pages
	w := s3test.NewWeather(t, server)
	o := options(t, server)
	o.Endpoint = w.Endpoint
	l := freshPlace()
	l.Path += "/a+b=(c)" // which a token or a marker has to encode
	s := open(t, l, o)
	s.SetPageSize(10)
	for i := range objects {
		put(t, s, fmt.Sprintf("content/%02x/%d", i%7, i), []byte{byte(i)})
	}
	count := func() (n int, err error) {
		err = s.List(t.Context(), "", func(store.Info) error { n++; return nil })
		return n, err
	}
	if n, err := count(); n != objects || err != nil {
		t.Fatalf("%d objects, %v", n, err)
	}
	// The second page is of another length each time.
	key := regexp.MustCompile(`(?s)<Contents>.*?</Contents>`)
	lastKeys := func(body []byte) []byte {
		all := key.FindAllIndex(body, -1)
		if len(all) < 5 {
			return body
		}
		return append(bytes.Clone(body[:all[4][0]]), body[all[len(all)-1][1]:]...)
	}
	token := regexp.MustCompile(`<NextContinuationToken>([^<]*)</NextContinuationToken>`)
	var first []byte
	again := func(body []byte) []byte {
		if found := token.Find(body); found != nil && first == nil {
			first = bytes.Clone(found)
		}
		return token.ReplaceAll(body, first)
	}
	var page []byte
	for name, f := range map[string]s3test.Fate{
		"truncated without a token": {Edit: func(b []byte) []byte { return token.ReplaceAll(b, nil) }},
		"a token that repeats":      {Edit: again},
		"the first page for ever": {Edit: func(b []byte) []byte {
			if page == nil {
				page = b
			}
			return page
		}},
		"the end too early":     {Edit: replace("<IsTruncated>true", "<IsTruncated>false")},
		"keys left out":         {Edit: lastKeys},
		"nothing":               {Edit: func([]byte) []byte { return nil }},
		"a portal":              {Page: portal},
		"a portal, said as XML": {Edit: func([]byte) []byte { return []byte(portal) }},
		"not found, by a proxy": {Page: portal, Status: 404},
		"an error with status 200": {Edit: func([]byte) []byte {
			return []byte("<?xml version='1.0'?><Error><Code>InternalError</Code></Error>")
		}},
		"half a body":              {Edit: func(b []byte) []byte { return b[:len(b)/2] }},
		"half a body, and a reset": {Cut: 700},
		"another root":             {Edit: replace("ListBucketResult", "ListAllMyBucketsResult")},
		"another prefix":           {Edit: replace("Some-Place", "Some-Other-Place")},
		"encoded keys":             {Edit: replace("/", "%2F")},
		"a page in a nutshell":     {Edit: replace("<IsTruncated>", "<CommonPrefixes><Prefix>x</Prefix></CommonPrefixes><IsTruncated>")},
	} {
		t.Run(name, func(t *testing.T) {
			first, page = nil, nil
			w.Becomes(onList(f))
			defer w.Becomes(nil)
			n, err := count()
			if err == nil {
				t.Fatalf("%d objects, and no error", n)
			}
			if !errors.Is(err, request.ErrAnswer) && !errors.Is(err, request.ErrUnreachable) {
				t.Errorf("error %v", err)
			}
			if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNoStore) || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
			if asked := len(w.Log()); asked > 3*o.MaxAttempts {
				t.Errorf("asked %d times", asked)
			}
		})
	}
	for n := 1; n <= 3; n++ { // one answer among good ones is asked for again
		w.Becomes(s3test.Nth(http.MethodGet, n, s3test.Fate{Page: portal}))
		if got, err := count(); got != objects || err != nil {
			t.Errorf("after one page of a portal: %d objects, %v", got, err)
		}
	}
	for _, f := range []s3test.Fate{{Page: portal}, {Page: portal, Status: 404}, {Edit: func([]byte) []byte { return nil }}, {Edit: func(b []byte) []byte { return b[:len(b)-1] }}} {
		w.Becomes(s3test.Always(f))
		if _, err := s3.Open(t.Context(), l, o); !errors.Is(err, request.ErrAnswer) {
			t.Errorf("open says %v", err)
		}
		if at, err := s.Now(t.Context()); !errors.Is(err, request.ErrAnswer) {
			t.Errorf("the time is %v, %v", at, err)
		}
	}
	w.Becomes(nil)
}

// versionListings is listings for versions.
func versionListings(t *testing.T, server *s3test.Server) {
	const objects = 14 // with a version and a note each, three pages
	w := s3test.NewWeather(t, server)
	o := options(t, server)
	o.Endpoint = w.Endpoint
	l := versionedPlace(t, server, "all-versions")
	l.Path = "all-versions/a+b=(c)"
	s := open(t, l, o)
	s.SetPageSize(10)
	for i := range objects {
		name := fmt.Sprintf("content/%02x/%d", i%7, i)
		put(t, s, name, []byte{byte(i)})
		if err := s.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	now, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int, err error) {
		err = s.Hidden(t.Context(), "", func(store.Info, time.Time) error { n++; return nil })
		return n, err
	}
	if n, err := count(); n != objects || err != nil {
		t.Fatalf("%d hidden objects, %v", n, err)
	}
	o.AsOf = now
	past := open(t, l, o)
	past.SetPageSize(10)
	marker := regexp.MustCompile(`<NextKeyMarker>([^<]*)</NextKeyMarker>`)
	for name, f := range map[string]s3test.Fate{
		"truncated without a marker": {Edit: func(b []byte) []byte { return marker.ReplaceAll(b, nil) }},
		"a marker that repeats": {Edit: func(b []byte) []byte {
			return marker.ReplaceAll(b, []byte("<NextKeyMarker>a%2Bb%3D%28c%29/content/00/0</NextKeyMarker><EncodingType>url</EncodingType>"))
		}},
		"nothing":      {Edit: func([]byte) []byte { return nil }},
		"a portal":     {Page: portal},
		"half a body":  {Edit: func(b []byte) []byte { return b[:len(b)/2] }},
		"another root": {Edit: replace("ListVersionsResult", "ListBucketResult")},
		"not found":    {Page: portal, Status: 404},
	} {
		t.Run(name, func(t *testing.T) {
			w.Becomes(onList(f))
			defer w.Becomes(nil)
			if n, err := count(); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%d hidden objects, %v", n, err)
			}
			if err := past.List(t.Context(), "", func(store.Info) error { return nil }); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("a listing of what was there: %v", err)
			}
		})
	}
	t.Run("no versions any more", func(t *testing.T) {
		w.Becomes(s3test.Nth(http.MethodGet, 1, s3test.Fate{Status: 501, Code: "NotImplemented"}))
		if n, err := count(); n != objects || err != nil {
			t.Errorf("after one refusal: %d hidden objects, %v", n, err)
		}
		w.Becomes(s3test.Nth(http.MethodGet, 2, s3test.Fate{Status: 501, Code: "NotImplemented"}))
		if n, err := count(); err == nil {
			t.Errorf("refused in the middle: %d hidden objects, no error", n)
		}
		w.Becomes(onList(s3test.Fate{Status: 501, Code: "NotImplemented"}))
		if n, err := count(); n != 0 || err != nil {
			t.Errorf("a server without versions: %d hidden objects, %v", n, err)
		}
		if err := past.List(t.Context(), "", func(store.Info) error { return nil }); err == nil {
			t.Error("what was there is listed without versions")
		}
	})
	w.Becomes(nil)
}

// answers checks that no answer of a web server is taken for one about an object.
func answers(t *testing.T, server *s3test.Server) {
	w := s3test.NewWeather(t, server)
	o := options(t, server)
	o.Endpoint = w.Endpoint
	s := open(t, freshPlace(), o)
	data, fresh := []byte("what is there"), []byte("what is put")
	put(t, s, hashName(data), data)
	for name, f := range map[string]s3test.Fate{
		"a portal":                   {Page: portal},
		"not found, by a proxy":      {Page: portal, Status: 404},
		"forbidden, by a proxy":      {Page: portal, Status: 403},
		"a failed condition of its":  {Page: portal, Status: 412},
		"without what S3 says of it": {StripReply: []string{"Etag", "Last-Modified", "Content-Range"}},
		"longer than asked for":      {StripReply: []string{"Etag", "Content-Range"}, Edit: func(b []byte) []byte { return append(b, "more"...) }},
	} {
		t.Run(name, func(t *testing.T) {
			w.Becomes(s3test.Always(f))
			defer w.Becomes(nil)
			_, putErr := s.Put(t.Context(), hashName(fresh), fresh)
			_, replaceErr := s.Replace(t.Context(), hashName(data), data, time.Time{})
			_, statErr := s.Stat(t.Context(), hashName(data))
			_, _, sumErr := s.Checksum(t.Context(), hashName(data))
			getErr := s.GetInto(t.Context(), hashName(data), 2, make([]byte, 5))
			deleteErr := s.Delete(t.Context(), hashName(data))
			for op, err := range map[string]error{"put": putErr, "replace": replaceErr, "stat": statErr, "checksum": sumErr, "get": getErr, "delete": deleteErr} {
				if err == nil || errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrExists) || !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("%s: %v", op, err)
				}
				if f.Page != "" && err != nil && op == "put" && !strings.Contains(err.Error(), "Please sign in") {
					t.Errorf("%s: %v does not say what was sent", op, err)
				}
			}
		})
	}
	w.Becomes(nil)
	wantContent(t, s, hashName(data), data)
}

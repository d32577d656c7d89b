package s3test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Glacier stands between a client and a real server that has no archive classes, and has them: what is stored there cannot be read before RestoreObject
// has asked for it and its time has come. It refuses what S3 refuses. Its clock stands still unless it is told to go on. It does not check who asks
// to restore, and knows no versions.
type Glacier struct {
	Endpoint string // http://127.0.0.1:port
	server   *Server

	mu     sync.Mutex
	now    time.Time
	frozen map[string]*frozen // by "/bucket/key"
	asked  int
}

// frozen is an object in an archive class.
type frozen struct {
	class  string
	ready  time.Time // when the copy that was asked for is there; zero: nobody has asked
	expire time.Time // when that copy goes
}

// How long it takes.
var thawTimes = map[string]map[string]time.Duration{
	"GLACIER":      {"Expedited": 5 * time.Minute, "Standard": 5 * time.Hour, "Bulk": 12 * time.Hour},
	"DEEP_ARCHIVE": {"Standard": 12 * time.Hour, "Bulk": 48 * time.Hour},
}

// NewGlacier starts one before a server.
func NewGlacier(t testing.TB, server *Server) *Glacier {
	g := &Glacier{server: server, now: time.Now(), frozen: map[string]*frozen{}}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	g.Endpoint = s.URL
	return g
}

// Advance lets time pass.
func (g *Glacier) Advance(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(d)
}

// Asked returns how many requests to restore were taken on.
func (g *Glacier) Asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

func (g *Glacier) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	body, err := bodyOf(in)
	if err != nil {
		reset(out)
		return
	}
	key := in.URL.Path
	object := strings.Count(strings.Trim(key, "/"), "/") > 0
	switch {
	case in.Method == http.MethodPost && in.URL.Query().Has("restore"):
		g.restore(out, in, body)
		return
	case in.Method == http.MethodGet && object && g.isFrozen(key):
		refuse(out, http.StatusForbidden, "InvalidObjectState")
		return
	}
	strip, class := []string(nil), in.Header.Get("X-Amz-Storage-Class")
	archive := thawTimes[class] != nil
	if archive {
		strip = []string{"X-Amz-Storage-Class"}
	}
	answer, err := g.server.pass(in, body, strip)
	if err != nil {
		reset(out)
		return
	}
	defer answer.Body.Close()
	if done := answer.StatusCode < http.StatusMultipleChoices; done && (in.Method == http.MethodPut || in.Method == http.MethodDelete) && object {
		g.mu.Lock()
		delete(g.frozen, key)
		if in.Method == http.MethodPut && archive {
			g.frozen[key] = &frozen{class: class}
		}
		g.mu.Unlock()
	}
	if in.Method == http.MethodHead || in.Method == http.MethodGet && object {
		g.describe(key, answer.Header)
	}
	if in.Method == http.MethodGet && !object && answer.StatusCode == http.StatusOK {
		list, err := io.ReadAll(answer.Body)
		if err != nil {
			reset(out)
			return
		}
		answer.Body = io.NopCloser(bytes.NewReader(g.classes(strings.Trim(key, "/"), list)))
		answer.Header.Del("Content-Length")
	}
	for name, values := range answer.Header {
		out.Header()[name] = values
	}
	out.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(out, answer.Body) // the client may have gone
}

func refuse(out http.ResponseWriter, status int, code string) {
	out.Header().Set("Content-Type", "application/xml")
	out.WriteHeader(status)
	fmt.Fprintf(out, "<Error><Code>%s</Code><Message>so does S3</Message></Error>", code)
}

// isFrozen says whether an object cannot be read now.
func (g *Glacier) isFrozen(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.frozen[key]
	return f != nil && !f.readable(g.now)
}

func (f *frozen) readable(now time.Time) bool {
	return !f.ready.IsZero() && !now.Before(f.ready) && now.Before(f.expire)
}

// describe tells an object's class, and how far it is.
func (g *Glacier) describe(key string, h http.Header) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.frozen[key]
	if f == nil {
		return
	}
	h.Set("X-Amz-Storage-Class", f.class)
	switch {
	case f.readable(g.now):
		h.Set("X-Amz-Restore", fmt.Sprintf(`ongoing-request="false", expiry-date=%q`, f.expire.UTC().Format(http.TimeFormat)))
	case g.now.Before(f.ready):
		h.Set("X-Amz-Restore", `ongoing-request="true"`)
	}
}

var listed = regexp.MustCompile(`(?s)<Contents>.*?</Contents>`)
var listedKey = regexp.MustCompile(`<Key>([^<]*)</Key>`)
var listedClass = regexp.MustCompile(`<StorageClass>[^<]*</StorageClass>`)

// classes puts the objects' classes into a listing.
func (g *Glacier) classes(bucket string, list []byte) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return listed.ReplaceAllFunc(list, func(element []byte) []byte {
		key := listedKey.FindSubmatch(element)
		if key == nil {
			return element
		}
		f := g.frozen["/"+bucket+"/"+strings.ReplaceAll(string(key[1]), "%2F", "/")]
		if f == nil {
			return element
		}
		return listedClass.ReplaceAll(element, []byte("<StorageClass>"+f.class+"</StorageClass>"))
	})
}

// restore is RestoreObject.
func (g *Glacier) restore(out http.ResponseWriter, in *http.Request, body []byte) {
	var request struct {
		XMLName xml.Name `xml:"RestoreRequest"`
		Days    int
		Tier    string `xml:"GlacierJobParameters>Tier"`
	}
	if !strings.Contains(in.Header.Get("Authorization"), "Credential="+g.server.AccessKey+"/") {
		refuse(out, http.StatusForbidden, "AccessDenied")
		return
	}
	if err := xml.Unmarshal(body, &request); err != nil || request.Days < 1 {
		refuse(out, http.StatusBadRequest, "MalformedXML")
		return
	}
	if request.Tier == "" {
		request.Tier = "Standard"
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := in.URL.Path
	f := g.frozen[key]
	if f == nil {
		g.refuseUnfrozen(out, in)
		return
	}
	takes, ok := thawTimes[f.class][request.Tier]
	switch {
	case !slices.Contains([]string{"Expedited", "Standard", "Bulk"}, request.Tier):
		refuse(out, http.StatusBadRequest, "MalformedXML")
	case !ok:
		refuse(out, http.StatusBadRequest, "InvalidArgument")
	case g.now.Before(f.ready):
		refuse(out, http.StatusConflict, "RestoreAlreadyInProgress")
	case f.readable(g.now):
		f.expire = g.now.AddDate(0, 0, request.Days)
		out.WriteHeader(http.StatusOK)
	default:
		g.asked++
		f.ready = g.now.Add(takes)
		f.expire = f.ready.AddDate(0, 0, request.Days)
		out.WriteHeader(http.StatusAccepted)
	}
}

// refuseUnfrozen tells what is not there from what is in no archive class.
func (g *Glacier) refuseUnfrozen(out http.ResponseWriter, in *http.Request) {
	head := in.Clone(in.Context())
	head.Method, head.URL.RawQuery = http.MethodHead, ""
	head.Header = http.Header{"X-Amz-Content-Sha256": {emptyHash}}
	answer, err := g.server.pass(head, nil, []string{})
	if err != nil {
		reset(out)
		return
	}
	answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound {
		refuse(out, http.StatusNotFound, "NoSuchKey")
		return
	}
	refuse(out, http.StatusForbidden, "InvalidObjectState")
}

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

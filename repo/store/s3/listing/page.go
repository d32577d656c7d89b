// Package listing decodes a server's answers to LIST, which say what is there, and so what prune may delete. The SDK takes an
// empty body, a page of HTML and a truncated answer without a token for the end of a listing.
//
// The invariant: a page is believed as a whole or not at all. It agrees with itself and with what was asked for, and is bounded;
// everything else is an error of package request.
//
// The package asks for nothing, and does not know whether the server tells the truth.
package listing

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"nightjar/repo/store"
	"nightjar/repo/store/s3/request"
)

// maxEntries bounds a page: S3 sends 1,000 keys, some servers are told another number.
const maxEntries = 10_000

// A Page is one answer to a listing.
type Page struct {
	Entries []Entry
	// Next says where the following page begins; nil: this is the last.
	Next *Marker
}

// A Marker is one place in a listing.
type Marker struct {
	Token        string // of ListObjectsV2
	Key, Version string // of ListObjectVersions
}

// An Entry is one object or one version of it.
type Entry struct {
	Key    string
	Name   string // "": no object of the store
	Size   int64
	Time   time.Time
	ID     string // of the version
	Latest bool
	// Deleted says that it is the note of a deletion.
	Deleted bool
}

// Info returns what a store says of the object.
func (e *Entry) Info() store.Info { return store.Info{Name: e.Name, Size: e.Size, Time: e.Time} }

// Has reports whether the page begins with a key.
func (p *Page) Has(key string) bool { return len(p.Entries) > 0 && p.Entries[0].Key == key }

// After returns the last name of a page that goes on after a name, and fails if
// names are out of order. With again they may repeat, as those of versions do.
// Some servers send what was deleted after all the rest.
func (p *Page) After(last string, again bool) (string, error) {
	ends := map[bool]string{false: last, true: last}
	for i := range p.Entries {
		e := &p.Entries[i]
		if e.Name == "" {
			continue
		}
		if end := ends[e.Deleted]; e.Name < end || e.Name == end && !again {
			return "", request.Unusable("the listing has %s after %s", e.Name, end)
		}
		ends[e.Deleted] = e.Name
	}
	return max(ends[false], ends[true]), nil
}

// Wanted is what a listing was asked for.
type Wanted struct {
	Bucket   string
	Prefix   string // of keys
	Versions bool
	Name     func(key string) (name string, ours bool) // of the object with a key; not ours: it is none of the store
}

// Decode returns the page that an answer holds, if it holds one and nothing speaks against it.
func (w *Wanted) Decode(r *smithyhttp.Response) (*Page, error) {
	if r.StatusCode != http.StatusOK {
		return nil, request.Unusable("the answer to a listing has status %d", r.StatusCode)
	}
	body := &io.LimitedReader{R: r.Body, N: request.MaxAnswer}
	p, err := w.parse(body)
	switch {
	case err == nil || errors.Is(err, request.ErrAnswer):
	case body.N <= 0:
		err = request.Unusable("the answer to a listing is longer than %d bytes", request.MaxAnswer)
	case errors.As(err, new(*xml.SyntaxError)):
		err = request.Unusable("the answer to a listing is no whole XML: %v", err)
	default:
		err = request.BrokenOff("the answer to a listing broke off: %v", err)
	}
	return p, err
}

// raw is a page as it was sent.
type raw struct {
	fields   map[string]string
	entries  []rawEntry
	deleted  []bool
	prefixes int
}

type rawEntry struct {
	Key, LastModified, VersionId string
	Size                         *int64
	IsLatest                     bool
}

// single are elements that a page has once at most.
var single = map[string]bool{
	"Name": true, "Prefix": true, "EncodingType": true, "IsTruncated": true, "KeyCount": true,
	"NextContinuationToken": true, "NextKeyMarker": true, "NextVersionIdMarker": true,
}

func (w *Wanted) parse(body io.Reader) (*Page, error) {
	root := "ListBucketResult"
	if w.Versions {
		root = "ListVersionsResult"
	}
	d := xml.NewDecoder(body)
	got := raw{fields: map[string]string{}}
	began, ended := false, false
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.EndElement:
			ended = true
		case xml.CharData:
			if (!began || ended) && len(strings.TrimSpace(string(t))) > 0 {
				return nil, request.Unusable("the answer to a listing is no XML, or not that alone")
			}
		case xml.StartElement:
			switch {
			case ended:
				return nil, request.Unusable("the answer to a listing goes on after its end")
			case began:
				if err := got.add(d, &t, w.Versions); err != nil {
					return nil, err
				}
			case t.Name.Local != root:
				return nil, request.Unusable("the answer to a listing is a %.40q, not a %s", t.Name.Local, root)
			}
			began = true
		}
	}
	if !began {
		return nil, request.Unusable("the answer to a listing is empty")
	}
	return w.check(&got)
}

// add reads one element of a page.
func (r *raw) add(d *xml.Decoder, t *xml.StartElement, versions bool) error {
	name := t.Name.Local
	switch {
	case name == "CommonPrefixes":
		r.prefixes++
	case !versions && name == "Contents", versions && (name == "Version" || name == "DeleteMarker"):
		if len(r.entries) == maxEntries {
			return request.Unusable("the answer to a listing has more than %d keys", maxEntries)
		}
		var e rawEntry
		if err := d.DecodeElement(&e, t); err != nil {
			return unnumbered(err)
		}
		r.entries, r.deleted = append(r.entries, e), append(r.deleted, name == "DeleteMarker")
		return nil
	case single[name]:
		if _, twice := r.fields[name]; twice {
			return request.Unusable("the answer to a listing has two %s", name)
		}
		var text string
		if err := d.DecodeElement(&text, t); err != nil {
			return err
		}
		r.fields[name] = text
		return nil
	}
	return d.Skip()
}

// unnumbered tells an element whose number is none from XML that is none.
func unnumbered(err error) error {
	var number *strconv.NumError
	if errors.As(err, &number) {
		return request.Unusable("the answer to a listing holds %q as a size or a truth", number.Num)
	}
	return err
}

// check believes a page that agrees with itself and with what was asked for.
func (w *Wanted) check(r *raw) (*Page, error) {
	encoded := r.fields["EncodingType"] == string(types.EncodingTypeUrl)
	plain := func(s string) (string, error) {
		if !encoded {
			return s, nil
		}
		return url.QueryUnescape(s)
	}
	p := &Page{}
	switch bucket, ok := r.fields["Name"]; {
	case ok && bucket != w.Bucket && !strings.HasSuffix(w.Bucket, "-s3alias"): // an access point's, for a bucket of another name
		return nil, request.Unusable("the answer to a listing is about bucket %.80q", bucket)
	case r.prefixes > 0:
		return nil, request.Unusable("the answer to a listing has folders, not all keys")
	}
	if prefix, ok := r.fields["Prefix"]; ok && prefix != w.Prefix { // some servers leave it as it is in any case
		if prefix, err := plain(prefix); err != nil || prefix != w.Prefix {
			return nil, request.Unusable("the answer to a listing is about prefix %.200q", r.fields["Prefix"])
		}
	}
	if count, ok := r.fields["KeyCount"]; ok && strings.TrimSpace(count) != strconv.Itoa(len(r.entries)) {
		return nil, request.Unusable("the answer to a listing has %d keys and says %.20q", len(r.entries), count)
	}
	var err error
	if p.Next, err = w.nextOf(r, plain); err != nil {
		return nil, err
	}
	type version struct{ name, id string }
	seen := map[version]bool{}
	disguised := false
	for i := range r.entries {
		e, err := w.entryOf(&r.entries[i], r.deleted[i], plain)
		if err != nil {
			return nil, err
		}
		if v := (version{e.Name, e.ID}); e.Name != "" {
			if seen[v] {
				return nil, request.Unusable("the answer to a listing has %s twice", e.Name)
			}
			seen[v] = true
		} else if name, err := url.QueryUnescape(r.entries[i].Key); err == nil && !encoded {
			_, ours := w.Name(name)
			disguised = disguised || ours
		}
		p.Entries = append(p.Entries, e)
	}
	if disguised && len(seen) == 0 { // with others beside it, it is a strange key that somebody stored
		return nil, request.Unusable("the keys in the answer to a listing are encoded, and it does not say so")
	}
	return p, nil
}

func (w *Wanted) nextOf(r *raw, plain func(string) (string, error)) (*Marker, error) {
	truncated, err := strconv.ParseBool(strings.TrimSpace(r.fields["IsTruncated"]))
	if err != nil {
		return nil, request.Unusable("the answer to a listing does not say whether it is all (IsTruncated %.20q)", r.fields["IsTruncated"])
	}
	next := Marker{Token: r.fields["NextContinuationToken"]}
	if w.Versions {
		next = Marker{Version: r.fields["NextVersionIdMarker"]}
		if next.Key, err = plain(r.fields["NextKeyMarker"]); err != nil {
			return nil, request.Unusable("the answer to a listing has the wrong escape %.200q", r.fields["NextKeyMarker"])
		}
	}
	switch given := next.Token != "" || next.Key != ""; {
	case truncated && !given:
		return nil, request.Unusable("the answer to a listing is truncated, and has no token for the rest")
	case given && !truncated:
		return nil, request.Unusable("the answer to a listing says that it is all, and has a token for more")
	case given:
		return &next, nil
	}
	return nil, nil
}

func (w *Wanted) entryOf(r *rawEntry, deleted bool, plain func(string) (string, error)) (e Entry, err error) {
	key, err := plain(r.Key)
	if err != nil {
		return e, nil // no key of ours needs an escape that could be wrong
	}
	if key == "" || !strings.HasPrefix(key, w.Prefix) {
		return e, request.Unusable("the answer to a listing has %.200q, which does not begin with %s", key, w.Prefix)
	}
	name, ours := w.Name(key)
	if !ours {
		return Entry{Key: key}, nil
	}
	at, err := time.Parse(time.RFC3339, r.LastModified)
	if err != nil {
		return e, request.Unusable("the answer to a listing has no time of %s", name)
	}
	if !deleted && (r.Size == nil || *r.Size < 0) {
		return e, request.Unusable("the answer to a listing has no size of %s", name)
	}
	// Lists know milliseconds, other answers do not.
	return Entry{key, name, aws.ToInt64(r.Size), at.UTC().Truncate(time.Second), r.VersionId, r.IsLatest, deleted}, nil
}

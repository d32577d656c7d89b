package listing

import (
	"errors"
	"strings"
	"testing"

	"nightjar/repo/store"
	"nightjar/repo/store/s3/request"
)

const listed = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>` +
	`<Contents><Key>p/a</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>"x"</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>` +
	`<Contents><Key>p/b</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>"y"</ETag><Size>0</Size></Contents></ListBucketResult>`

const listedVersions = `<ListVersionsResult><Name>bucket</Name><Prefix>p/</Prefix><IsTruncated>false</IsTruncated>` +
	`<Version><Key>p/a</Key><VersionId>2</VersionId><IsLatest>false</IsLatest><LastModified>2026-01-02T03:04:05Z</LastModified><Size>1</Size></Version>` +
	`<Version><Key>p/b</Key><VersionId>1</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-02T03:04:05Z</LastModified><Size>1</Size></Version>` +
	`<DeleteMarker><Key>p/a</Key><VersionId>3</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-02T03:04:06Z</LastModified></DeleteMarker></ListVersionsResult>`

func parsePage(versions bool, text string) (*Page, error) {
	w := Wanted{Bucket: "bucket", Prefix: "p/", Versions: versions, Name: func(key string) (string, bool) {
		name, ours := strings.CutPrefix(key, "p/")
		return name, ours && store.ValidName(name)
	}}
	return w.parse(strings.NewReader(text))
}

func TestPage(t *testing.T) {
	p, err := parsePage(false, listed)
	if err != nil || len(p.Entries) != 2 || p.Entries[0].Name != "a" || p.Entries[1].Size != 0 || p.Entries[0].Time.Nanosecond() != 0 || p.Next != nil {
		t.Errorf("a page is %+v, %v", p, err)
	}
	p, err = parsePage(true, listedVersions)
	if err != nil || len(p.Entries) != 3 || !p.Entries[2].Deleted || !p.Entries[2].Latest || p.Entries[2].ID != "3" {
		t.Errorf("a page of versions is %+v, %v", p, err)
	}
	more := strings.NewReplacer("<IsTruncated>false", "<EncodingType>url</EncodingType><NextContinuationToken>t%2F</NextContinuationToken><IsTruncated>true", "p/", "p%2F")
	if p, err = parsePage(false, more.Replace(listed)); err != nil || p.Next == nil || p.Next.Token != "t%2F" || p.Entries[1].Name != "b" {
		t.Errorf("a truncated page is %+v, %v", p, err)
	}
	more = strings.NewReplacer("<IsTruncated>false", "<EncodingType>url</EncodingType><NextKeyMarker>p%2Fb%2B</NextKeyMarker><NextVersionIdMarker>v%2F</NextVersionIdMarker><IsTruncated>true")
	if p, err = parsePage(true, more.Replace(listedVersions)); err != nil || p.Next == nil || p.Next.Key != "p/b+" || p.Next.Version != "v%2F" {
		t.Errorf("a truncated page of versions is %+v, %v", p, err)
	}
	for name, change := range map[string][]string{
		"another namespace":     {"http://s3.amazonaws.com/doc/2006-03-01/", "urn:else"},
		"no count":              {"<KeyCount>2</KeyCount>", ""},
		"an element of its own": {"<MaxKeys>", "<Key><Size>x</Size></Key><MaxKeys>"},
		"a comment after it":    {"</ListBucketResult>", "</ListBucketResult>\n<!-- proxy -->\n"},
		"a strange key beside":  {"<Key>p/b</Key>", "<Key>p/B%2Fc</Key>"},
	} {
		if _, err := parsePage(false, strings.NewReplacer(change...).Replace(listed)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What no complete answer to a listing can be is an error, whatever it is.
func TestNoPage(t *testing.T) {
	for name, text := range map[string]string{
		"empty":        "",
		"blank":        " \n",
		"a page":       "<!DOCTYPE html><html><head><meta charset=utf-8><title>Sign in</title>",
		"words":        "Service is fine",
		"another list": listedVersions,
		"an error":     "<Error><Code>NoSuchKey</Code></Error>",
		"two":          listed + listed,
		"more behind":  listed + "…",
		"JSON":         `{"Contents": []}`,
	} {
		if p, err := parsePage(false, text); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for i := range len(listed) - 1 {
		if p, err := parsePage(false, listed[:i]); err == nil {
			t.Fatalf("cut after %d bytes: %+v", i, p)
		}
	}
	for name, change := range map[string][]string{
		"truncated without a token":   {"<IsTruncated>false", "<IsTruncated>true"},
		"an empty token":              {"<IsTruncated>false", "<NextContinuationToken></NextContinuationToken><IsTruncated>true"},
		"complete with a token":       {"<IsTruncated>", "<NextContinuationToken>t</NextContinuationToken><IsTruncated>"},
		"does not say if it is all":   {"<IsTruncated>false</IsTruncated>", ""},
		"says nothing if it is all":   {"<IsTruncated>false", "<IsTruncated>"},
		"says both":                   {"<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated><IsTruncated>false</IsTruncated>"},
		"a count too small":           {"<KeyCount>2", "<KeyCount>1"},
		"a count too large":           {"<KeyCount>2", "<KeyCount>1000"},
		"a count that is none":        {"<KeyCount>2", "<KeyCount>two"},
		"another bucket":              {"<Name>bucket", "<Name>bucket2"},
		"another prefix":              {"<Prefix>p/", "<Prefix>q/"},
		"a key twice":                 {"p/b", "p/a"},
		"a key outside":               {"p/b", "q/b"},
		"a key shorter than it":       {"<Key>p/b", "<Key>p"},
		"no key":                      {"<Key>p/b</Key>", ""},
		"no size":                     {"<Size>1</Size>", ""},
		"a negative size":             {"<Size>1<", "<Size>-1<"},
		"a size that is none":         {"<Size>1<", "<Size>1x<"},
		"no time":                     {"<LastModified>2026-01-02T03:04:05.678Z</LastModified>", ""},
		"a time that is none":         {"2026-01-02T03:04:05.678Z", "yesterday"},
		"folders":                     {"<MaxKeys>", "<CommonPrefixes><Prefix>p/c/</Prefix></CommonPrefixes><MaxKeys>"},
		"encoded, and does not say":   {"<Key>p/", "<Key>p/%61%2F"},
		"encoded to the prefix":       {"<Key>p/", "<Key>p%2F"},
		"encoded, but says otherwise": {"<Prefix>p/", "<Prefix>p%2F"},
	} {
		changed := strings.NewReplacer(change...).Replace(listed)
		if changed == listed {
			t.Errorf("%s: nothing was changed", name)
		}
		if p, err := parsePage(false, changed); !errors.Is(err, request.ErrAnswer) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for name, change := range map[string][]string{
		"truncated without a marker": {"<IsTruncated>false", "<IsTruncated>true"},
		"only a version's marker":    {"<IsTruncated>false", "<NextVersionIdMarker>1</NextVersionIdMarker><IsTruncated>true"},
		"a wrong escape in it":       {"<IsTruncated>false", "<EncodingType>url</EncodingType><NextKeyMarker>%x</NextKeyMarker><IsTruncated>true"},
		"a version twice":            {"p/b", "p/a", "<VersionId>1", "<VersionId>2"},
		"no latest":                  {"<IsLatest>true", "<IsLatest>maybe"},
	} {
		if p, err := parsePage(true, strings.NewReplacer(change...).Replace(listedVersions)); !errors.Is(err, request.ErrAnswer) {
			t.Errorf("versions, %s: %+v, %v", name, p, err)
		}
	}
	if _, err := parsePage(true, listed); !errors.Is(err, request.ErrAnswer) {
		t.Errorf("a list of objects for one of versions: %v", err)
	}
	many := strings.Replace(listed, "<KeyCount>2</KeyCount>", strings.Repeat("<Contents/>", maxEntries), 1)
	if _, err := parsePage(false, many); !errors.Is(err, request.ErrAnswer) {
		t.Errorf("%d keys: %v", maxEntries+2, err)
	}
}

func TestPageOrder(t *testing.T) {
	for name, c := range map[string]struct {
		entries []Entry
		again   bool
		last    string // "": an error
	}{
		"ascending":            {[]Entry{{Name: "b"}, {}, {Name: "c"}}, false, "c"},
		"again":                {[]Entry{{Name: "a"}, {Name: "b"}}, false, ""},
		"descending":           {[]Entry{{Name: "c"}, {Name: "b"}}, false, ""},
		"before the last page": {[]Entry{{Name: "A"}}, false, ""},
		"versions":             {[]Entry{{Name: "a"}, {Name: "b"}, {Name: "b"}}, true, "b"},
		"deleted ones apart":   {[]Entry{{Name: "a"}, {Name: "c"}, {Name: "b", Deleted: true}}, true, "c"},
		"versions descending":  {[]Entry{{Name: "c"}, {Name: "b"}}, true, ""},
	} {
		p := Page{Entries: c.entries}
		last, err := p.After("a", c.again)
		if last != c.last || (err == nil) != (c.last != "") {
			t.Errorf("%s: %q, %v", name, last, err)
		}
	}
}

func FuzzPage(f *testing.F) {
	for _, text := range []string{listed, listedVersions, "", "<html>", strings.Replace(listed, "<IsTruncated>false", "<EncodingType>url</EncodingType><NextContinuationToken>t</NextContinuationToken><IsTruncated>true", 1)} {
		f.Add(false, text)
		f.Add(true, text)
	}
	f.Fuzz(func(t *testing.T, versions bool, text string) {
		p, err := parsePage(versions, text)
		if err != nil {
			return
		}
		for _, e := range p.Entries {
			if e.Key != "" && !strings.HasPrefix(e.Key, "p/") || e.Name != "" && e.Key != "p/"+e.Name || e.Size < 0 {
				t.Fatalf("%+v was believed", e)
			}
		}
	})
}

package query

import (
	"encoding/xml"
	"net/url"
	"reflect"
	"testing"
	"time"
)

type nested struct {
	Key    string   `q:"Key,required"`
	Values []string `q:"Value"`
}

type parameters struct {
	Name  string    `q:"Name"`
	Count *int      `q:"Count"`
	Yes   bool      `q:"Yes"`
	Time  time.Time `q:"Time"`
	List  []nested  `q:"Filter"`
	One   *nested   `q:"One"`
}

func TestDecode(t *testing.T) {
	var got parameters
	form, _ := url.ParseQuery("Action=X&Version=1&Name=a&Count=-3&Yes=true&Time=2026-01-02T03:04:05Z&Filter.1.Key=k&Filter.1.Value.1=v&Filter.1.Value.2=w&Filter.2.Key=l&One.Key=o")
	if err := Decode(form, &got); err != nil {
		t.Fatal(err)
	}
	n := -3
	want := parameters{"a", &n, true, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), []nested{{"k", []string{"v", "w"}}, {"l", nil}}, &nested{"o", nil}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for text, code := range map[string]string{
		"Nmae=a": "UnknownParameter", "Name=a&Name=b": "InvalidParameterValue", "Count=x": "InvalidParameterValue", "Count=4294967296": "InvalidParameterValue",
		"Yes=1": "InvalidParameterValue", "Time=now": "InvalidParameterValue", "Filter.2.Key=k": "UnknownParameter", "Filter.1.Value.1=v": "MissingParameter", "Name.1=x": "UnknownParameter",
	} {
		form, _ := url.ParseQuery(text)
		err := Decode(form, &parameters{})
		if refused, ok := err.(*Error); !ok || refused.Code != code {
			t.Errorf("%s: got %v, want %s", text, err, code)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("Name=a&Filter.1.Key=k&Filter.1.Value.1=v")
	f.Add("Filter.999999999.Key=k&Count=1")
	f.Fuzz(func(t *testing.T, text string) {
		form, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		_ = Decode(form, &parameters{})
	})
}

func TestAnswer(t *testing.T) {
	text, err := Answer("DescribeThings", "id-1", struct {
		Things []string `xml:"thingSet>item"`
		At     Time     `xml:"at"`
		Never  Time     `xml:"never"`
	}{[]string{"a<b"}, Time{time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)}, Time{}})
	want := xml.Header + `<DescribeThingsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>id-1</requestId><thingSet><item>a&lt;b</item></thingSet><at>2026-01-02T03:04:05.006Z</at></DescribeThingsResponse>`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestToken(t *testing.T) {
	token := Token("a", 7)
	if n, err := ParseToken("a", token); n != 7 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	for _, bad := range []string{"", "x", token + "x"} {
		if _, err := ParseToken("a", bad); err == nil {
			t.Errorf("token %q passed", bad)
		}
	}
	if _, err := ParseToken("b", token); err == nil {
		t.Error("the token of another listing passed")
	}
}

package versioned

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

type record struct {
	Version int               `json:"version"`
	Job     string            `json:"job"`
	Paths   []string          `json:"paths"`
	Labels  map[string]string `json:"labels"`
	Count   int64             `json:"count"`
	Small   uint8             `json:"small"`
	At      time.Time         `json:"at,omitzero"`
	Inner   struct {
		Name string `json:"name"`
	} `json:"inner"`
}

var bounds = Bounds{Bytes: 1 << 20, Objects: 1000, Values: 10_000}

func TestAccepts(t *testing.T) {
	for _, text := range []string{
		`{"version":0}`,
		" {\n\"version\" : 0 } \n",
		`{"version":0,"unknown":{"deep":[[[{}]]]},"job":"x"}`,
		`{"version":0,"labels":{"a":"1","b":"2"},"inner":{"name":"a"},"paths":[]}`,
		`{"version":0,"other":{"version":1,"job":"y"}}`,
		`{"version":0,"JOB":"y","count":9223372036854775807,"small":255}`, // another, unknown member
		`{"version":0,"other":[18446744073709551615,-9223372036854775808]}`,
		`{"version":0,"job":"\u00e9\ud83d\ude00"}`,
	} {
		var r record
		if err := Parse([]byte(text), &r, bounds); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if r.Job == "y" {
			t.Errorf("%s: a member of another name is taken for job", text)
		}
	}
}

func TestRefuses(t *testing.T) {
	deep := strings.Repeat("[", 20) + strings.Repeat("]", 20)
	for _, text := range []string{
		``, ` `, `{`, `{}`, `[]`, `"x"`, `0`, `null`, `{"version":0`, `{"version":-1}`, `{"version":"0"}`, `{"version":0.5}`, `{"version":1e0}`,
		`{"version":0}{"version":0}`, `{"version":0} x`, `{"version":0}` + "\x00", "\ufeff" + `{"version":0}`, `{"version":0,}`, `// {"version":0}`,
		`{"version":0,"version":0}`, `{"version":0,"job":"a","job":"a"}`, `{"version":0,"job":"a","\u006aob":"b"}`,
		`{"version":0,"job":"a","JOB":"b"}`, `{"version":0,"unknown":1,"Unknown":1}`, `{"version":0,"a":"","\u212a":1,"k":2}`,
		`{"version":0,"inner":{"name":"a","name":"b"}}`, `{"version":0,"other":[{"x":1,"x":2}]}`, `{"version":0,"labels":{"a":"1","A":"2"}}`,
		"{\"version\":0,\"job\":\"\xff\"}", "{\"version\":0,\"\xff\":1}", `{"version":0,"job":"\ud800"}`, `{"version":0,"other":"\udc00x"}`,
		`{"version":0,"job":null}`, `{"version":0,"paths":null}`, `{"version":0,"paths":[null]}`, `{"version":0,"other":{"x":null}}`, `{"version":null}`,
		`{"version":0,"count":9223372036854775808}`, `{"version":0,"count":1.0}`, `{"version":0,"small":256}`, `{"version":0,"small":-1}`, `{"version":0,"count":"1"}`,
		`{"version":0,"other":1.5}`, `{"version":0,"other":[1e3]}`, `{"version":0,"other":18446744073709551616}`, `{"version":0,"other":-9223372036854775809}`,
		`{"version":0,"at":"yesterday"}`, `{"version":0,"job":1}`, `{"version":0,"paths":"x"}`, `{"version":0,"other":` + deep + `}`,
		`{"version":0,"paths":[` + strings.TrimSuffix(strings.Repeat(`"",`, 10_001), ",") + `]}`,
		`{"version":0,"other":[` + strings.TrimSuffix(strings.Repeat(`{},`, 1001), ",") + `]}`,
		`{"version":0,"job":"` + strings.Repeat("x", 1<<20) + `"}`,
		`{"version":1}`,
	} {
		var r record
		if err := Parse([]byte(text), &r, bounds); err == nil {
			t.Errorf("%.60q is accepted", text)
		}
	}
	many := "{\"version\":0"
	for i := range membersMax {
		many += fmt.Sprintf(`,"m%d":0`, i)
	}
	if err := Parse([]byte(many+"}"), new(record), bounds); err == nil {
		t.Error("too many members are accepted")
	}
}

func TestVersion(t *testing.T) {
	higher := []byte(`{"version":7,"job":["of another kind"]}`)
	if err := ParseFirst(higher, new(record), bounds); !errors.Is(err, ErrNewer) {
		t.Errorf("what says of which version all is: %v", err)
	}
	if err := Parse(higher, new(record), bounds); err == nil || errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "version 7") {
		t.Errorf("what stands beside keys of this version: %v", err)
	}
}

func TestEncode(t *testing.T) {
	r := record{Job: "<&>", Labels: map[string]string{"b": "1", "a": "2"}}
	text, err := Encode(&r, bounds)
	if want := `{"version":0,"job":"<&>","paths":[],"labels":{"a":"2","b":"1"},"count":0,"small":0,"inner":{"name":""}}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	var got record
	if err := Parse(text, &got, bounds); err != nil || !reflect.DeepEqual(got.Labels, r.Labels) {
		t.Error(err)
	}
	for name, r := range map[string]record{
		"invalid UTF-8": {Job: "\xff"}, "names that differ in case": {Labels: map[string]string{"a": "", "A": ""}}, "too much": {Paths: make([]string, 20_000)},
	} {
		if text, err := Encode(&r, bounds); err == nil {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// A record takes no more than a few times its bounds, whatever it says.
func TestMemory(t *testing.T) {
	b := Bounds{Bytes: 8 << 20, Objects: 10_000, Values: 100_000}
	fill := func(before, piece, after string) []byte {
		return []byte(before + strings.Repeat(piece, (b.Bytes-len(before)-len(after))/len(piece)) + after)
	}
	var names strings.Builder
	names.WriteString(`{"version":0,"labels":{"x":""`)
	for i := 0; names.Len() < b.Bytes-40; i++ {
		fmt.Fprintf(&names, `,"%x":""`, i)
	}
	names.WriteString("}}")
	for name, text := range map[string][]byte{
		"empty strings": fill(`{"version":0,"paths":[`, `"",`, `""]}`),
		"objects":       fill(`{"version":0,"other":[`, `{},`, `{}]}`),
		"depth":         fill(`{"version":0,"other":`, `[`, ``),
		"one name":      fill(`{"version":0,"`, `x`, `":0}`),
		"names":         []byte(names.String()),
	} {
		for what, parse := range map[string]func() error{
			"parse": func() error { return Parse(text, new(record), b) },
			"peek":  func() error { return Peek(text, &struct{ Version int }{}) },
		} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_ = parse()
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > uint64(6*len(text)) {
				t.Errorf("%s of %d bytes of %s took %d", what, len(text), name, took)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":0,"job":"a","paths":["b"],"labels":{"c":"d"},"inner":{"name":"e"},"count":1,"at":"2026-03-01T12:00:00.000000007Z"}`))
	f.Add([]byte(`{"version":0,"JOB":"a","job":"b"}`))
	f.Add([]byte(`{"version":0,"x":[[[null]]]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r record
		if Parse(text, &r, bounds) != nil {
			return
		}
		again, err := Encode(&r, bounds)
		if err != nil {
			t.Fatalf("%q is read and not written: %v", text, err)
		}
		var second record
		if err := Parse(again, &second, bounds); err != nil {
			t.Fatalf("%q: %v", again, err)
		}
		if third, err := Encode(&second, bounds); err != nil || string(third) != string(again) {
			t.Fatalf("%q becomes %q, %v", again, third, err)
		}
	})
}

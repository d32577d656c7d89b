package record

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/internal/versioned"
	"nightjar/repo/index"
)

var at = time.Date(2026, 11, 25, 3, 0, 0, 7, time.UTC)

func examples() []any {
	blobs := []Blobs{{Pack: index.ObjectID{2}, Recipes: Keys{{1}, {2}}}, {Pack: index.ObjectID{3}, Trees: Keys{{3}}}}
	return []any{
		&Forget{Archives: []Forgotten{{Archive: index.ObjectID{1}, Host: "web1", Job: "web1:/srv/\xff", Time: at, Predecessor: "ab", Reason: "keep-daily 7"}}},
		&Condemned{Packs: []index.ObjectID{{1}, {2}}, Blobs: blobs, View: at},
		&Dropped{Packs: []index.ObjectID{{1}}, Blobs: blobs, Condemned: index.ObjectID{9}, View: at},
		&Verified{Archives: []index.ObjectID{{1}}, Objects: []index.ObjectID{{2}}, View: at},
		&Lost{Packs: []index.ObjectID{{5}}, Blobs: []Blobs{{Pack: index.ObjectID{2}, Chunks: Keys{{7}}}}, Objects: []index.ObjectID{{6}}, Chunks: []LostChunk{{ID: chunk.ID{1}, Paths: []Text{"/a\n\xfe"}}}, Archives: []index.ObjectID{{4}}},
	}
}

func fresh(v any) any { return reflect.New(reflect.TypeOf(v).Elem()).Interface() }

func TestRoundTrip(t *testing.T) {
	for _, v := range examples() {
		b, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		got := fresh(v)
		if err := Decode(b, got); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%s\nbecomes %+v, %v", b, got, err)
		}
	}
}

func TestHostile(t *testing.T) {
	for name, s := range map[string]string{
		"nothing":         ``,
		"no version":      `{"packs":[]}`,
		"below 0":         `{"version":-1}`,
		"short id":        `{"version":0,"packs":["00"]}`,
		"upper case":      `{"version":0,"packs":["` + strings.Repeat("AB", 32) + `"]}`,
		"half a key":      `{"version":0,"blobs":[{"pack":"` + strings.Repeat("00", 32) + `","recipes":"AAAA"}]}`,
		"no base64":       `{"version":0,"blobs":[{"pack":"` + strings.Repeat("00", 32) + `","recipes":"!"}]}`,
		"something after": `{"version":0} {}`,
		"twice":           `{"version":0,"packs":[],"packs":[]}`,
		"two spellings":   `{"version":0,"packs":[],"Packs":[]}`,
		"null":            `{"version":0,"packs":null}`,
		"no UTF-8":        "{\"version\":0,\"x\":\"\xff\"}",
	} {
		if err := Decode([]byte(s), new(Condemned)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, v := range examples() {
		if err := Decode([]byte(`{"version":1}`), v); err == nil || errors.Is(err, versioned.ErrNewer) {
			t.Errorf("%T of a later version: %v", v, err)
		}
	}
	if err := Decode(append([]byte(`{"version":0}`), bytes.Repeat([]byte(" "), MaxSize)...), new(Condemned)); err == nil {
		t.Error("a record without end is accepted")
	}
	if _, err := Encode(&Condemned{Packs: make([]index.ObjectID, MaxSize/64)}); err == nil {
		t.Error("a list is not split, and is accepted")
	}
}

// No record takes more memory than a few times the bytes that it may have, whatever it says.
func TestMemory(t *testing.T) {
	fill := func(member, piece string) []byte {
		before, after := `{"version":0,"`+member+`":[`, piece+"]}"
		return []byte(before + strings.Repeat(piece+",", (MaxSize-len(before)-len(after))/(len(piece)+1)) + after)
	}
	id := strings.Repeat("0", 64)
	for name, text := range map[string][]byte{
		"archives": fill("archives", `{}`), "packs": fill("packs", `"`+id+`"`), "blobs": fill("blobs", `{}`), "chunks": fill("chunks", `{"paths":[""]}`),
		"paths": fill("chunks", `{"paths":[`+strings.Repeat(`"",`, 10_000)+`""]}`), "keys": fill("blobs", `{"pack":"`+id+`","trees":"`+strings.Repeat("AAAA", 16_000)+`"}`),
	} {
		for _, v := range examples() {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := Decode(text, fresh(v))
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 10*MaxSize {
				t.Errorf("%T of %d bytes of %s took %d: %v", v, len(text), name, took, err)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range examples() {
		b, err := Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range examples() {
			got := fresh(v)
			if Decode(b, got) != nil {
				continue
			}
			again, err := Encode(got)
			if err != nil { // what escaping makes longer than allowed
				continue
			}
			second := fresh(v)
			if err := Decode(again, second); err != nil {
				t.Fatal(err)
			}
			if third, err := Encode(second); err != nil || !bytes.Equal(third, again) { // an empty list may have been absent
				t.Fatalf("%s\nbecomes %s, %v", again, third, err)
			}
		}
	})
}

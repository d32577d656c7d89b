package snapshot

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func example() Label {
	return Label{
		ID: "20261129T020000Z-3f9a1c", Job: "nightly db", Host: "db1", Time: time.Date(2026, 11, 29, 2, 0, 0, 123e6, time.UTC), Class: "nightly",
		Consistency: Application, Why: "it was asked for",
		Position: Position{File: "mysql-bin.000123", Offset: 4567, GTIDs: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,\n0-1-7", GTIDSum: SumGTIDs("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,\n0-1-7"), Server: "3e11fa47-71ca-11e1-9e33-c80aa9429562"},
		Volumes: []Volume{
			{ID: "vol-0123456789abcdef0", Device: "/dev/xvda", Mount: "/", FS: "ext4", Boot: true},
			{ID: "vol-0123456789abcdef1", Device: "/dev/sdf", Mount: "/var/lib/my sql=+@%\n\xff\"*?", FS: "xfs", Mode: "noatime,nodiratime"},
			{ID: "vol-0123456789abcdef2"},
		},
	}
}

var accepted = regexp.MustCompile(`^[A-Za-z0-9+\-=._:/@]([A-Za-z0-9 +\-=._:/@]*[A-Za-z0-9+\-=._:/@])?$`)

func checkTags(t *testing.T, tags map[string]string) {
	t.Helper()
	if len(tags) > MaxTags-3 {
		t.Errorf("%d tags", len(tags))
	}
	for key, value := range tags {
		if len(key) > 127 || len(value) > 255 || !accepted.MatchString(key) || !accepted.MatchString(value) {
			t.Errorf("tag %q = %q", key, value)
		}
	}
}

func TestLabel(t *testing.T) {
	want := example()
	tags, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	checkTags(t, tags)
	if got, ok := tags[TagPosition], "mysql-bin.000123:4567"; got != ok {
		t.Errorf("position %q", got)
	}
	if got, ok := tags["nightjar:map-1"], "vol-0123456789abcdef0=/dev/xvda=/=ext4==boot+vol-0123456789abcdef1=/dev/sdf=/var/lib/my@20sql@3D@2B@40@25@0A@FF@22@2A@3F=xfs=noatime@2Cnodiratime+vol-0123456789abcdef2+"; got != ok {
		t.Errorf("map %q", got)
	}
	tags["Name"] = "of somebody else"
	got, err := Decode(tags)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestLabelOfManyVolumes(t *testing.T) {
	l := example()
	l.Volumes = nil
	for i := range MaxVolumes {
		l.Volumes = append(l.Volumes, Volume{ID: fmt.Sprintf("vol-%017x", i), Device: fmt.Sprintf("/dev/sd%c", 'a'+i%26), Mount: fmt.Sprintf("/data/%d", i), FS: "xfs"})
	}
	tags, err := Encode(l)
	if err != nil {
		t.Fatal(err)
	}
	checkTags(t, tags)
	if got, err := Decode(tags); err != nil || !reflect.DeepEqual(got, l) {
		t.Error(err, got)
	}
	l.Volumes = append(l.Volumes, Volume{ID: "vol-fff"})
	if _, err := Encode(l); err == nil {
		t.Error("too many volumes were encoded")
	}
}

func TestLabelOfLongMounts(t *testing.T) {
	l := example()
	l.Volumes = []Volume{{ID: "vol-1", Mount: "/" + strings.Repeat("\xff", 2000)}, {ID: "vol-2", Mount: "/b"}}
	tags, err := Encode(l)
	if err != nil {
		t.Fatal(err)
	}
	checkTags(t, tags)
	if got, err := Decode(tags); err != nil || !reflect.DeepEqual(got, l) {
		t.Error(err, got)
	}
	delete(tags, "nightjar:map-2")
	if _, err := Decode(tags); err == nil {
		t.Error("a map with a gap was decoded")
	}
	l.Volumes[1].Mount = "/" + strings.Repeat("\xff", 2000)
	if _, err := Encode(l); err == nil {
		t.Error("a map of 48 tags was encoded")
	}
}

func TestLongGTIDs(t *testing.T) {
	l := example()
	l.Position.GTIDs = strings.Repeat("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5,", 7)
	l.Position.GTIDSum = ""
	l.Why = strings.Repeat("€", 300)
	tags, err := Encode(l)
	if err != nil {
		t.Fatal(err)
	}
	checkTags(t, tags)
	got, err := Decode(tags)
	if err != nil {
		t.Fatal(err)
	}
	if got.Position.GTIDs != "" || got.Position.GTIDSum != SumGTIDs(l.Position.GTIDs) {
		t.Errorf("%+v", got.Position)
	}
	if !strings.HasPrefix(l.Why, got.Why) || got.Why == "" {
		t.Errorf("why %q", got.Why)
	}
}

func TestHostileTags(t *testing.T) {
	if _, err := Decode(map[string]string{"Name": "x"}); !errors.Is(err, ErrNoLabel) {
		t.Error(err)
	}
	for key, values := range map[string][]string{
		TagSet:           {"", "../x", "a b", strings.Repeat("a", 65), "*"},
		TagTime:          {"", "yesterday", "0001-01-01T00:00:00.000Z"},
		TagConsistency:   {"", "perfect"},
		TagJob:           {"@", "@4", "@zz", "@4a", strings.Repeat("a", 129), strings.Repeat("a", 256)},
		TagPosition:      {"x", ":4", "x:", "x:-1", "x:18446744073709551616"},
		TagGTIDSum:       {"", "abc", strings.Repeat("0", 64)},
		"nightjar:map-1": {"vol-1", "x=y+", "vol-1+vol-1+", "vol-1=a=b=c=d=boot=f+", "vol-1=a=b=c=d=x+", strings.Repeat("+", 255), "vol-1=@+", strings.Repeat("a", 256)},
	} {
		for _, value := range values {
			tags, err := Encode(example())
			if err != nil {
				t.Fatal(err)
			}
			tags[key] = value
			if key == TagGTIDSum && value == "" {
				continue
			}
			if l, err := Decode(tags); err == nil {
				t.Errorf("%s = %q was decoded: %+v", key, value, l)
			}
		}
	}
}

func TestDescription(t *testing.T) {
	l := example()
	if got, want := l.Description(), "nightjar: nightly db of db1, 2026-11-29 02:00:00 UTC, set 20261129T020000Z-3f9a1c of 3 volumes"; got != want {
		t.Errorf("%q", got)
	}
	l.Host = strings.Repeat("ü\n", 200)
	if got := l.Description(); len(got) != 255 || strings.ContainsAny(got, "ü\n") {
		t.Errorf("%q", got)
	}
}

func TestConsistencies(t *testing.T) {
	all := []Consistency{"unknown", Apart, Crash, FileSystem, Application}
	for i, c := range all {
		for j, other := range all {
			if c.AtLeast(other) != (i >= j) {
				t.Error(c, other)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	tags, err := Encode(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tags[TagSet], tags[TagTime], tags[TagJob], tags[TagPosition], tags["nightjar:map-1"], "")
	f.Add("a", "2026-11-29T02:00:00.000Z", "@20", "x:1", "vol-1+", "vol-2=@2B=@@+")
	f.Fuzz(func(t *testing.T, id, at, job, position, first, second string) {
		tags := map[string]string{TagSet: id, TagTime: at, TagJob: job, TagPosition: position, TagConsistency: "crash", "nightjar:map-1": first, "nightjar:map-2": second}
		l, err := Decode(tags)
		if err != nil {
			return
		}
		again, err := Encode(l)
		if err != nil {
			return // escaped it may be longer than it came
		}
		checkTags(t, again)
		if got, err := Decode(again); err != nil || !reflect.DeepEqual(got, l) {
			t.Errorf("%v: %+v became %+v", err, l, got)
		}
	})
}

func FuzzMount(f *testing.F) {
	f.Add("/dev/sdf", "/var/lib/mysql", "noatime", "job")
	f.Add("=+@", "\x00 \xff", " ", " a ")
	f.Fuzz(func(t *testing.T, device, mount, mode, job string) {
		l := example()
		l.Job = job
		l.Volumes[1].Device, l.Volumes[1].Mount, l.Volumes[1].Mode = device, mount, mode
		tags, err := Encode(l)
		if err != nil {
			return
		}
		checkTags(t, tags)
		if got, err := Decode(maps.Clone(tags)); err != nil || !reflect.DeepEqual(got, l) {
			t.Errorf("%v: %+v became %+v", err, l, got)
		}
	})
}

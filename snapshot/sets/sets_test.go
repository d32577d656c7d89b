package sets

import (
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"nightjar/snapshot"
)

func label(t *testing.T, id string, volumes ...string) (snapshot.Label, map[string]string) {
	t.Helper()
	l := snapshot.Label{ID: id, Job: "nightly", Host: "db1", Time: time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC), Consistency: snapshot.Crash}
	for _, v := range volumes {
		l.Volumes = append(l.Volumes, snapshot.Volume{ID: v})
	}
	tags, err := snapshot.Encode(l)
	if err != nil {
		t.Fatal(err)
	}
	return l, tags
}

func member(tags map[string]string, id, volume string, state snapshot.State) snapshot.Snapshot {
	tags = maps.Clone(tags)
	tags[snapshot.TagVolume] = volume
	return snapshot.Snapshot{ID: id, Volume: volume, State: state, Tags: tags, Region: "us-east-1", GiB: 1}
}

func TestGroup(t *testing.T) {
	_, tags := label(t, "a", "vol-1", "vol-2")
	whole := []snapshot.Snapshot{member(tags, "snap-2", "vol-2", snapshot.Completed), member(tags, "snap-1", "vol-1", snapshot.Completed)}
	with := func(change func(all []snapshot.Snapshot) []snapshot.Snapshot) []snapshot.Snapshot {
		return change([]snapshot.Snapshot{whole[0], whole[1]})
	}
	type faults struct {
		Missing, Failed, Untagged, Differ []string
		Extra                             int
		Whole, Pending                    bool
	}
	for name, of := range map[string]struct {
		all  []snapshot.Snapshot
		want faults
	}{
		"whole":   {whole, faults{Whole: true}},
		"missing": {whole[:1], faults{Missing: []string{"vol-1"}}},
		"failed": {with(func(all []snapshot.Snapshot) []snapshot.Snapshot {
			all[0].State = snapshot.Failed
			return all
		}), faults{Failed: []string{"snap-2"}}},
		"pending": {with(func(all []snapshot.Snapshot) []snapshot.Snapshot {
			all[0].State = snapshot.Pending
			return all
		}), faults{Pending: true}},
		"half tagged": {with(func(all []snapshot.Snapshot) []snapshot.Snapshot {
			all[0].Tags = tags
			return all
		}), faults{Untagged: []string{"snap-2"}, Whole: true}},
		"another volume's": {append(with(func(all []snapshot.Snapshot) []snapshot.Snapshot { return all }), member(tags, "snap-3", "vol-3", snapshot.Completed)), faults{Extra: 1}},
		"twice":            {append(with(func(all []snapshot.Snapshot) []snapshot.Snapshot { return all }), member(tags, "snap-0", "vol-2", snapshot.Pending)), faults{Extra: 1}},
		"differs": {with(func(all []snapshot.Snapshot) []snapshot.Snapshot {
			all[0].Tags = maps.Clone(all[0].Tags)
			all[0].Tags[snapshot.TagJob] = "weekly"
			return all
		}), faults{Differ: []string{"snap-2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			stranger := snapshot.Snapshot{ID: "snap-9", Tags: map[string]string{"Name": "x"}}
			broken := snapshot.Snapshot{ID: "snap-8", Tags: map[string]string{snapshot.TagSet: "a"}}
			sets, strays := Group(append([]snapshot.Snapshot{stranger, broken}, of.all...))
			if len(sets) != 1 || len(strays) != 1 || strays[0].Snapshot.ID != "snap-8" {
				t.Fatal(sets, strays)
			}
			s := sets[0]
			if got := (faults{s.Missing, s.Failed, s.Untagged, s.Differ, len(s.Extra), s.Whole(), s.Pending()}); !reflect.DeepEqual(got, of.want) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The weakest consistency counts: a run that dies while it raises what the tags say leaves some behind.
func TestGroupTakesWeakest(t *testing.T) {
	_, tags := label(t, "a", "vol-1", "vol-2")
	one, other := member(tags, "snap-1", "vol-1", snapshot.Completed), member(tags, "snap-2", "vol-2", snapshot.Completed)
	one.Tags[snapshot.TagConsistency] = string(snapshot.Application)
	for _, all := range [][]snapshot.Snapshot{{one, other}, {other, one}} {
		sets, _ := Group(all)
		if len(sets) != 1 || sets[0].Consistency != snapshot.Crash || !sets[0].Whole() {
			t.Errorf("%+v", sets)
		}
	}
}

func TestGroupKeepsCopiesApart(t *testing.T) {
	_, tags := label(t, "a", "vol-1")
	original, copied := member(tags, "snap-2", "vol-1", snapshot.Completed), member(tags, "snap-1", "vol-1", snapshot.Completed)
	copied.CopyOf, copied.CopyFrom = "snap-2", "us-east-1"
	sets, _ := Group([]snapshot.Snapshot{copied, original})
	if len(sets) != 2 || sets[0].CopyFrom != "" || sets[1].CopyFrom != "us-east-1" || !sets[0].Whole() || !sets[1].Whole() {
		t.Errorf("%+v", sets)
	}
}

func TestOwnTags(t *testing.T) {
	_, tags := label(t, "a", "vol-1")
	volume := map[string]string{"Name": "data", "aws:cloudformation:stack-name": "x", snapshot.TagSet: "of a restore", snapshot.TagVolume: "vol-9"}
	for i := range 50 {
		volume[fmt.Sprintf("k%02d", i)] = "v"
	}
	own, dropped := own(snapshot.Snapshot{Volume: "vol-1", Tags: tags}, volume)
	if own[snapshot.TagVolume] != "vol-1" || own["Name"] != "data" || own[snapshot.TagSet] != "" || len(own)+len(tags) != snapshot.MaxTags || len(own)+len(dropped) != 52 {
		t.Error(len(own), len(tags), dropped)
	}
}

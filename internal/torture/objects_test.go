package torture

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"nightjar/repo/store"
)

// noticed fails unless a check names the object that is wrong, or all archives came back whole: then it does not matter.
func (v *vault) noticed(what, name string, j verdict) {
	v.t.Helper()
	all := strings.Join(j.faults, "\n")
	if whole := len(j.faults) == 0 && j.problems == 0 && j.restored == len(v.archives); !whole && !strings.Contains(all, name) {
		v.t.Errorf("%s: a check does not name it:\n%+v", what, j)
	}
}

// TestGone deletes each object, and then has lists leave it out that can be read all the same.
func TestGone(t *testing.T) {
	v := newVault(t, 200)
	names, _ := v.objects()
	chosen := some(random(4), 2*len(names), rounds(2*len(names), len(names)))
	for _, n := range chosen {
		name, late := names[n/2], n%2 == 1
		what := name + " is gone"
		if late {
			what = name + " is not listed"
		}
		j := v.judge(context.Background(), &spoiltStore{Store: v.store, name: name, late: late}, v.seen(), what)
		switch kind, _, _ := strings.Cut(name, "/"); {
		case kind == "archive": // the rest is as it was; what a list lacks is there for who asks for it, and the first was forgotten
			known := late || name == "archive/"+v.archives[0].ID
			if !known {
				v.noticed(what, name, j)
			}
			if known != (len(j.faults) == 0) || j.problems > 0 || j.restored != len(v.archives)-1 {
				t.Errorf("%s: %+v", what, j)
			}
		case kind == "index": // nothing says what it was called, only what was in it
			if len(j.faults) == 0 {
				t.Errorf("%s: a check finds nothing", what)
			}
		default:
			v.noticed(what, name, j)
		}
	}
	survived(t, len(chosen), "objects deleted or listed late")
}

// TestSwapped gives objects the bytes of others.
func TestSwapped(t *testing.T) {
	v := newVault(t, 300)
	names, objects := v.objects()
	r := random(3)
	n := rounds(len(names)*(len(names)-1), len(names))
	for round := range n {
		name := names[round%len(names)]
		other := names[r.IntN(len(names))]
		if bytes.Equal(objects[name], objects[other]) {
			continue
		}
		what := fmt.Sprintf("%s with the bytes of %s", name, other)
		v.noticed(what, name, v.judge(context.Background(), &spoiltStore{Store: v.store, name: name, data: objects[other]}, v.seen(), what))
	}
	survived(t, n, "objects swapped")
}

// TestReplayed shows the repository as it was after each of its objects. What is shown is whole, or some run's that had not ended, and whoever
// remembers newer keys says so.
func TestReplayed(t *testing.T) {
	v := newVault(t, 400)
	times := map[time.Time]bool{}
	must(t, v.store.List(context.Background(), "", func(i store.Info) error { times[i.Time] = true; return nil }))
	for at := range times {
		what := fmt.Sprintf("the repository of %v", at)
		_, err := (&pastStore{v.store, at}).Stat(context.Background(), "keys/000002")
		j := v.judge(context.Background(), &pastStore{v.store, at}, nil, what)
		if err != nil {
			v.noticed(what, "keys/000002", j)
			continue
		}
		want := 0
		for _, a := range v.archives {
			if !a.Stored.After(at) {
				want++
			}
		}
		if len(j.faults) > 0 || j.problems > 0 || j.restored != want {
			t.Errorf("%s: %d archives: %+v", what, want, j)
		}
	}
	survived(t, len(times), "pasts shown")
}

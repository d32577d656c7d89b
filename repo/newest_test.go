package repo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/record"
	"nightjar/repo/repotest"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// opens counts the archives that are read from the store while f runs.
func opens(p *repotest.Place, f func()) (n int) {
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if (c.Op == storetest.Get || c.Op == storetest.Fetch) && strings.HasPrefix(c.Name, "archive/") {
			n++
		}
		return nil
	}}
	defer func() { p.Faulty.Before = nil }()
	f()
	return n
}

// Of a host with many archives, as few are read as it takes to be certain.
func TestNewestReadsFew(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	var ids []string
	put := func(job, kind string) {
		a, _, err := r.PutArchive(t.Context(), &repo.Record{Host: "db1", Job: repo.Text(job), Kind: repo.Text(kind), Time: p.Clock.Now(), Views: []time.Time{p.Clock.Now()}, Predecessor: last(ids)})
		repotest.Must(a, err)
		ids = append(ids, a.ID)
		p.Clock.Move(time.Hour)
	}
	for range 40 {
		put("files", "files")
	}
	put("logs", "mysql-binlog")
	put("logs", "mysql-binlog")
	want := func(what string, s repo.Selection, id string, most int) {
		t.Helper()
		roll := repotest.Must(r.Roll(t.Context()))
		var got *repo.Archive
		n := opens(p, func() {
			found, err := roll.Newest(t.Context(), s.Host, s.Fits, noFault(t))
			if got = found.Newest; err != nil {
				t.Fatal(err)
			}
		})
		if id == "" && got != nil || id != "" && (got == nil || got.ID != id) {
			t.Errorf("%s: %+v, want %s", what, got, id)
		}
		if n > most {
			t.Errorf("%s: %d archives are read, want at most %d", what, n, most)
		}
	}
	want("the newest", repo.Selection{}, ids[41], 2)
	want("the newest of a host", repo.Selection{Host: "db1"}, ids[41], 2)
	want("the newest of files", repo.Selection{}.OfPaths(), ids[39], 6)
	want("the newest of then", repo.Selection{At: p.Clock.Now().Add(-13 * time.Hour)}, ids[29], 30)
	want("none", repo.Selection{Job: "none"}, "", 42)
	want("none of the host", repo.Selection{Host: "web1"}, "", 42)
}

// One that says as late a time as it may is found behind those that were stored after it, and not read behind those that are newer.
func TestNewestSaysLater(t *testing.T) {
	for gap, want := range map[time.Duration]int{sealed.MaxSkew / 2: 0, sealed.MaxSkew - 1: 0, sealed.MaxSkew: 0, sealed.MaxSkew + 1: 2} {
		p := repotest.NewPlace(t)
		r := p.Open(repotest.HostKey())
		var ids []string
		put := func(ahead time.Duration, end time.Time) {
			at := p.Clock.Now().Add(ahead)
			a, _, err := r.PutArchive(t.Context(), &repo.Record{Host: "db1", Job: repo.Text(fmt.Sprint(len(ids))), Time: at, End: end, Views: []time.Time{at}})
			ids = append(ids, repotest.Must(a, err).ID)
		}
		put(sealed.MaxSkew, repotest.Noon.Add(time.Hour)) // of those of one time the last to end is the newest
		p.Clock.Move(gap - 1)
		put(0, repotest.Noon)
		p.Clock.Move(1)
		put(0, repotest.Noon)
		found, err := repotest.Must(r.Roll(t.Context())).Newest(t.Context(), "", repo.Selection{}.Fits, noFault(t))
		if err != nil || found.Newest == nil || found.Newest.ID != ids[want] || found.More != (want == 2) {
			t.Errorf("%s: %+v, %v, want %s", gap, found, err, ids[want])
		}
	}
}

// A copy knows the times at home of what it has.
type copied struct {
	store.Store
	home map[string]time.Time
}

func (c copied) HomeTime(_ context.Context, info store.Info) (time.Time, error) {
	if at, ok := c.home[info.Name]; ok {
		return at, nil
	}
	return info.Time, nil
}

// In a copy whose clock is behind the home's, when it got an archive says nothing.
func TestNewestInCopy(t *testing.T) {
	p := repotest.NewPlace(t)
	r, home := p.Open(repotest.HostKey()), map[string]time.Time{}
	p.Faulty.Store = copied{p.Memory, home}
	for _, at := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour} {
		at := repotest.Noon.Add(at)
		content := repotest.Must((&repo.Record{Host: "db1", Job: "j", Time: at, Views: []time.Time{at}}).Encode())
		home[repotest.Must(r.PutRecordAs(t.Context(), r.Host(), "archive", content)).Name] = at
		p.Clock.Move(time.Minute)
	}
	found, err := repotest.Must(r.Roll(t.Context())).Newest(t.Context(), "", repo.Selection{}.Fits, noFault(t))
	if err != nil || found.Newest == nil || !found.Newest.Time.Equal(repotest.Noon.Add(3*time.Hour)) {
		t.Errorf("%+v, %v", found, err)
	}
}

// What was not read now is known from before, and only that: nothing is asked of the store.
func TestRemembered(t *testing.T) {
	p := repotest.NewPlace(t)
	other := repotest.Must(crypto.Generate("web1", p.Clock.Now(), nil))
	p.Enroll("web1", other, keyring.Backup)
	r, dir := p.Open(repotest.HostKey()), t.TempDir()
	put := func(r *repo.Repository, host, job string) {
		repotest.Must(r.PutRecordAs(t.Context(), r.Host(), "archive", repotest.Must((&repo.Record{Host: host, Job: repo.Text(job), Time: p.Clock.Now(), Views: []time.Time{p.Clock.Now()}}).Encode())))
		p.Clock.Move(time.Hour)
	}
	for i := range 4 {
		put(r, "db1", fmt.Sprint(i))
	}
	put(p.Open(other), "web1", "web")
	for _, step := range []struct {
		before     func(*repo.Roll)
		host, want string
	}{
		{func(*repo.Roll) {}, "", ""},
		{func(l *repo.Roll) { repotest.Must(l.Newest(t.Context(), "", repo.Selection{}.Fits, noFault(t))) }, "", "3 web"},
		{func(*repo.Roll) {}, "db1", "3"},
		{func(l *repo.Roll) { repotest.Must(l.Archives(t.Context(), "", noFault(t))) }, "", "0 1 2 3 web"},
		{func(*repo.Roll) {}, "web1", "web"},
		{func(*repo.Roll) {}, "none", ""},
	} {
		reader := p.Open(repotest.HostKey(), func(o *repo.Options) { o.RecordDir = dir })
		roll := repotest.Must(reader.Roll(t.Context()))
		step.before(roll)
		var got []string
		if n := opens(p, func() {
			for a := range roll.Remembered(step.host) {
				got = append(got, string(a.Job))
			}
		}); n > 0 {
			t.Errorf("%q: %d archives are read", step.want, n)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != step.want {
			t.Errorf("of %q there are %q, want %q", step.host, got, step.want)
		}
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}
}

// history stores archives of two hosts: of right and wrong times, some of which count all the same, with predecessors of whatever kind, and sealed again. The
// store's clock goes back now and then, archives vanish, and one may be damaged.
func history(p *repotest.Place, repositories map[string]*repo.Repository, random *rand.Rand, damage bool) (begin time.Time) {
	ctx := p.T.Context()
	begin = p.Clock.Now()
	var ids []string
	var contents [][]byte
	var hosts, there []string
	for range 8 + random.IntN(16) {
		host := []string{"db1", "web1"}[random.IntN(2)]
		r := repositories[host]
		at := p.Clock.Now()
		verify := false
		switch random.IntN(5) {
		case 0, 1: // as late, or as early, as it may be, or just not
			at = at.Add(time.Duration(random.IntN(5)-2)*sealed.MaxSkew/2 + time.Duration(random.IntN(2)))
		case 2: // of any time
			at = begin.Add(time.Duration(random.IntN(400)-200) * time.Minute)
			verify = random.IntN(2) > 0
		}
		a := &repo.Record{Version: repo.FormatVersion, Host: host, Job: repo.Text(fmt.Sprint(random.IntN(2))), Kind: repo.Files, Time: at, Views: []time.Time{at}}
		if len(ids) > 0 && random.IntN(3) > 0 {
			a.Predecessor = ids[random.IntN(len(ids))]
		}
		content := repotest.Must(a.Encode())
		if n := len(contents); n > 0 && random.IntN(4) == 0 { // the same again, sealed anew
			n = random.IntN(n)
			content, r = contents[n], repositories[hosts[n]]
			host = hosts[n]
		}
		info := repotest.Must(r.PutRecordAs(ctx, r.Host(), "archive", content))
		ids, contents, hosts = append(ids, strings.TrimPrefix(info.Name, "archive/")), append(contents, content), append(hosts, host)
		if verify {
			id := repotest.Must(index.ParseObjectID(last(ids)))
			repotest.Must(repositories["db1"].PutRecord(ctx, record.VerifiedKind, repotest.Must(record.Encode(&record.Verified{Archives: []index.ObjectID{id}}))))
		}
		p.Clock.Move(time.Duration(random.IntN(5)*random.IntN(5)) * time.Minute)
		if random.IntN(8) == 0 {
			p.Clock.Move(-time.Duration(random.IntN(60)) * time.Minute)
		}
		there = append(there, last(ids))
		if n := random.IntN(len(there)); len(there) > 1 && random.IntN(8) == 0 {
			p.Delete("archive/" + there[n])
			there = slices.Delete(there, n, n+1)
		}
	}
	if damage {
		p.Put("archive/"+there[random.IntN(len(there))], []byte("rubbish"))
	}
	return begin
}

// Whatever hosts, thieves and clocks have done, the newest is the one that reading all of them finds.
func TestNewestIsNewest(t *testing.T) {
	p := repotest.NewPlace(t)
	other := repotest.Must(crypto.Generate("web1", p.Clock.Now(), nil))
	p.Enroll("web1", other, keyring.Backup)
	repositories := map[string]*repo.Repository{"db1": p.Open(repotest.HostKey()), "web1": p.Open(other)}
	dir := t.TempDir()
	reader := p.Open(repotest.HostKey(), func(o *repo.Options) { o.RecordDir = dir }) // which opens each once
	early := 0
	for seed := range uint64(25) {
		for _, name := range append(p.Names("archive/"), p.Names("verified/")...) {
			p.Delete(name)
		}
		damaged, fault := seed%3 == 0, noFault(t)
		if damaged {
			fault = func(string, error) {}
		}
		begin := history(p, repositories, rand.New(rand.NewPCG(seed, 7)), damaged)
		roll := repotest.Must(reader.Roll(t.Context()))
		for _, host := range []string{"", "db1", "web1"} {
			all := repotest.Must(roll.Archives(t.Context(), host, fault))
			for i := range 40 {
				s := repo.Selection{Host: host, Job: []string{"", "0", "1"}[i%3], At: begin.Add(time.Duration(i-10) * 7 * time.Minute)}
				want, got := "", ""
				if chosen := s.Select(all); repo.Latest(chosen) >= 0 {
					want = chosen[repo.Latest(chosen)].ID
				}
				found, err := roll.Newest(t.Context(), host, s.Fits, fault)
				if err != nil {
					t.Fatal(err)
				}
				if found.Newest != nil {
					got = found.Newest.ID
				} else if fmt.Sprint(found.Opened) != fmt.Sprint(all) {
					t.Errorf("seed %d, %+v: there is none among\n%v, want\n%v", seed, s, found.Opened, all)
				}
				if got != want {
					t.Errorf("seed %d, %+v: the newest is %.8q, want %.8q of %d", seed, s, got, want, len(all))
				}
				if !damaged && found.More != (len(found.Opened) < len(all)) {
					t.Errorf("seed %d, %+v: there are more: %v, %d of %d", seed, s, found.More, len(found.Opened), len(all))
				}
				if found.More {
					early++
				}
			}
		}
		p.Clock.Move(24 * time.Hour) // past all of that
	}
	if early < 300 {
		t.Errorf("only %d searches ended early", early)
	}
}

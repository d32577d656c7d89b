package simulate

import (
	"errors"
	"fmt"
	"time"

	"nightjar/repo"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/maintain/retain"
)

// A pruner gives archives up and prunes.
type pruner struct {
	*actor
	rots bool // now and then it looks for lists that nobody can read
}

func (w *world) pruner(number int, seed uint64) *pruner {
	return &pruner{actor: w.actor(prunerName(number), w.pruners[number], seed)}
}

// live is all that a pruner does.
func (p *pruner) live(until time.Time) {
	for {
		time.Sleep(time.Duration(p.rng.Int64N(int64(4 * day))))
		if time.Now().After(until) {
			return
		}
		*p.line = line{actor: p.actor}
		p.line.trouble()
		err := p.work(p.rng.IntN(2) == 0)
		if p.rots && p.rng.IntN(2) == 0 && err == nil {
			err = p.end()
		}
		if err != nil && unexpected(err) {
			p.fail(fmt.Errorf("%s: %w", p.name, err))
		}
	}
}

// work is one night's.
func (p *pruner) work(forget bool) error {
	r, err := p.boot()
	if err != nil {
		return err
	}
	defer r.Close()
	if forget {
		if err := p.forget(r, 1+p.rng.IntN(3)); err != nil {
			return err
		}
	}
	_, err = p.prune(r)
	return err
}

func (p *pruner) prune(r *repo.Repository) (prune.Summary, error) {
	done, err := prune.Run(p.ctx, r, prune.Options{Problem: p.warn(p.name)})
	p.logf("%s: %+v %v", p.name, done, err)
	p.mu.Lock()
	p.count.Prunes++
	p.count.Condemned += done.PacksCondemned
	p.count.Reprieved += done.PacksReprieved
	p.count.Removed += done.PacksRemoved
	p.count.BlobsRemoved += done.BlobsRemoved
	p.mu.Unlock()
	if done.PacksRemoved+done.BlobsRemoved+done.IndexesRemoved+done.ListsRemoved > 0 {
		p.check(p.name + " pruned")
	}
	return done, err
}

// forget keeps so many archives of each job, and now and then not even the newest.
func (p *pruner) forget(r *repo.Repository, keep int) error {
	archives, err := r.Archives(p.ctx, func(name string, err error) { p.logf("%s: %s: %v", p.name, name, err) })
	if err == nil {
		err = retain.Mark(p.ctx, r, archives, func(name string, err error) { p.logf("%s: %s: %v", p.name, name, err) })
	}
	if err != nil {
		return err
	}
	var decisions []retain.Decision
	kept := map[repo.Text]int{}
	for i := len(archives) - 1; i >= 0; i-- {
		a := &archives[i]
		if !a.Forgotten.IsZero() {
			continue
		}
		kept[a.Job]++
		if kept[a.Job] > keep || keep == 0 || p.rng.IntN(20) == 0 {
			decisions = append(decisions, retain.Decision{Archive: a, Reasons: []string{"simulated"}})
		}
	}
	return retain.Forget(p.ctx, r, decisions)
}

// quiet prunes without trouble until nothing should be left to do, and wants what no archive needs to be gone.
func (p *pruner) quiet(keep int) error {
	*p.line = line{actor: p.actor}
	r, err := p.boot()
	if err != nil {
		return err
	}
	if err := p.end(); err != nil {
		return err
	}
	if err := p.forget(r, keep); err != nil {
		return err
	}
	for range 6 {
		time.Sleep(ripe)
		if _, err := p.prune(r); err != nil {
			return fmt.Errorf("in quiet times: %w", err)
		}
	}
	if keep > 0 {
		return nil
	}
	var left []error
	for _, kind := range []string{"archive/", "content/", "metadata/", "index/", "condemned/", "dropped/"} {
		if names := p.names(kind); len(names) > 0 {
			left = append(left, fmt.Errorf("%d objects of kind %s are left", len(names), kind))
		}
	}
	return errors.Join(left...)
}

package dump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/queue"
	"nightjar/mysqldump/ranges"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/server"
)

// An attempt is one dump, from a look at the definitions to the last file.
type attempt struct {
	run       *run
	queue     *queue.Queue[task]
	inventory *schema.Inventory
	tables    []*table
	packet    int // bytes of the longest statement that the server takes itself

	databases map[string]schema.Database

	asked      atomic.Uint64 // how often somebody wanted to know what there is
	look       sync.Mutex
	looking    *server.Session // outside of the snapshot
	answered   uint64          // of asked, before identities were read
	identities map[schema.Name]schema.Identity

	mu     sync.Mutex
	result Result
	broken map[schema.Name]bool // tables that are left out
}

// attempt makes one dump.
func (r *run) attempt(ctx context.Context) (Result, error) {
	a := &attempt{run: r, queue: queue.New[task](), databases: map[string]schema.Database{}, broken: map[schema.Name]bool{}}
	session, err := r.srv.Connect(ctx)
	if err != nil {
		return a.result, err
	}
	defer session.Close()
	a.looking = session
	if err := a.find(ctx); err != nil {
		return a.result, err
	}
	o := r.o.Lock
	o.Snapshots, o.Sources = r.o.Threads, true
	o.Covered = nil
	if covered := a.uncovered(); len(covered) > 0 {
		if o.None {
			return a.result, fmt.Errorf("%s: is in no snapshot (%s), and cannot be dumped without a lock; tables like it: %d", covered[0], covered[0].Engine, len(covered))
		}
		o.Covered = func(ctx context.Context, sessions []*server.Session) error { return a.cover(ctx, covered, sessions) }
	}
	held, err := lock.Take(ctx, r.srv, o)
	if err != nil {
		return a.result, err
	}
	defer held.Close()
	a.result.Position, a.result.Sources = held.Position, held.Sources
	inside, cancel := held.Context(ctx)
	defer cancel()
	if err := a.dump(inside, held); err != nil {
		var changed *ChangedError
		if ctx.Err() == nil && !errors.As(err, &changed) {
			err = errors.Join(held.Check(ctx), err) // sessions that were ended do not say why
		}
		return a.result, err
	}
	if err := held.Check(ctx); err != nil {
		return a.result, err
	}
	a.result.Lock = held.Report
	return a.result, held.Close()
}

// find finds out what there is.
func (a *attempt) find(ctx context.Context) error {
	row, err := a.looking.Row(ctx, "SELECT VERSION(), @@max_allowed_packet")
	if err != nil {
		return err
	}
	a.result.Version = string(row[0])
	if a.packet, err = strconv.Atoi(string(row[1])); err != nil {
		return fmt.Errorf("read max_allowed_packet: %w", err)
	}
	a.packet = min(a.packet, targetPacket)
	if a.inventory, err = schema.Read(ctx, a.looking, a.run.o.Selection); err != nil {
		return err
	}
	if err := a.mayRead(ctx); err != nil {
		return err
	}
	for _, d := range a.inventory.Databases {
		a.databases[d.Name] = d
	}
	a.result.Left = a.inventory.Left
	for _, b := range a.inventory.Broken {
		if err := a.leaveOut(string(b.Kind), b.Database, b.Name, b.Err); err != nil {
			return err
		}
	}
	former := map[[2]string][]ranges.Range{}
	for _, f := range a.run.o.Previous {
		if of, r, ok := ranges.Noted(f.Name, f.Notes); ok {
			former[of] = append(former[of], r)
		}
	}
	for i := range a.inventory.Tables {
		t := &table{Table: &a.inventory.Tables[i]}
		if t.Kind != schema.Base {
			continue
		}
		if err := t.setColumns(); err != nil {
			return err
		}
		if t.Identity == (schema.Identity{}) && t.Transactional && !t.NoRows {
			if strings.EqualFold(t.Engine, "InnoDB") {
				return &ChangedError{"", t.String(), errors.New("InnoDB does not know it by this name")}
			}
			a.result.Left = append(a.result.Left, schema.LeftOut{What: "proof", Name: t.String(), Why: "nobody can tell whether its definition was changed during the dump: its engine is " + t.Engine})
		}
		if t.Transactional {
			t.former = t.key.Usable(former[[2]string{t.Database, t.Name}], t.Bytes, a.run.o.RangeBytes)
		}
		for _, f := range t.former {
			t.next = max(t.next, f.Number+1)
		}
		a.tables = append(a.tables, t)
	}
	return nil
}

// leaveOut notes what cannot be read, or fails if that is not to be left out.
func (a *attempt) leaveOut(kind, database, name string, why error) error {
	if !a.run.o.BrokenSkip {
		return &BrokenError{kind + " " + database + "." + name, why}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if kind == string(schema.Base) {
		a.broken[schema.Name{Database: database, Name: name}] = true
	}
	a.result.Broken = append(a.result.Broken, schema.LeftOut{What: kind, Name: database + "." + name, Why: why.Error()})
	return nil
}

// uncovered returns the tables that no snapshot covers, those first that are read soonest.
func (a *attempt) uncovered() (all []*table) {
	for _, t := range a.tables {
		if t.covered() {
			all = append(all, t)
		}
	}
	slices.SortStableFunc(all, func(x, y *table) int { return cmp.Compare(x.Bytes, y.Bytes) })
	return all
}

// cover reads the tables that no snapshot covers. It may be called again, if the lock has to be.
func (a *attempt) cover(ctx context.Context, tables []*table, sessions []*server.Session) error {
	q := queue.New[task]()
	for _, t := range tables {
		if err := a.run.remove(t.files); err != nil {
			return err
		}
		t.reset()
		q.Add(task{tables: []*table{t}})
	}
	return a.work(ctx, q, sessions, true)
}

// work has a worker for each session do what is in a queue.
func (a *attempt) work(ctx context.Context, q *queue.Queue[task], sessions []*server.Session, covered bool) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sessions {
		group.Go(func() error { return (&worker{a: a, queue: q, session: s, covered: covered}).work(ctx) })
	}
	return group.Wait()
}

// dump reads all that is not read yet, and writes all files but those of rows that are.
func (a *attempt) dump(ctx context.Context, held *lock.Held) error {
	if err := a.same(ctx, a.tables); err != nil {
		return err
	}
	if err := a.nothingNew(ctx); err != nil {
		return err
	}
	slices.SortStableFunc(a.tables, func(x, y *table) int { return cmp.Compare(y.Bytes, x.Bytes) })
	a.enqueue()
	if err := a.work(ctx, a.queue, held.Sessions, false); err != nil {
		return err
	}
	return a.writeObjects(ctx)
}

// How many tables a worker is given at a time, and how many bytes these have together.
const (
	batchTables = 128
	batchBytes  = 8 << 20
)

// enqueue puts all tables into the queue, large ones first, small ones several at a time.
func (a *attempt) enqueue() {
	var batch task
	var bytes uint64
	flush := func() {
		if len(batch.tables) > 0 {
			a.queue.Add(batch)
		}
		batch, bytes = task{}, 0
	}
	for _, t := range a.tables {
		t.expect(1)
		switch {
		case t.Transactional && !t.NoRows && t.Bytes >= 2*a.run.o.RangeBytes && t.key.Bounded() > 0 || len(t.former) > 0:
			a.queue.Add(task{tables: []*table{t}, plan: true})
		default:
			if bytes+t.Bytes > batchBytes || len(batch.tables) == batchTables {
				flush()
			}
			batch.tables = append(batch.tables, t)
			bytes += t.Bytes
		}
	}
	flush()
}

// same returns an error if one of the tables is not that of the inventory any more.
func (a *attempt) same(ctx context.Context, tables []*table) error {
	asked := a.asked.Add(1)
	a.look.Lock()
	defer a.look.Unlock()
	if a.answered < asked { // else somebody looked meanwhile
		answered := a.asked.Load()
		now, err := schema.Identities(ctx, a.looking)
		if err != nil {
			return err
		}
		a.answered, a.identities = answered, now
	}
	for _, t := range tables {
		if a.identities[t.FullName()] != t.Identity {
			return &ChangedError{"", t.String(), errors.New("it was emptied or altered, or another has its name")}
		}
	}
	return nil
}

// nothingNew returns an error if something was made or defined anew after the inventory was read: the position may be after that,
// and the dump would lack it. What is made later is no part of the dump.
func (a *attempt) nothingNew(ctx context.Context) error {
	a.look.Lock()
	defer a.look.Unlock()
	changed, err := a.inventory.Since(ctx, a.looking, a.run.o.Selection)
	if err != nil {
		return err
	}
	for _, o := range changed {
		if o.Kind == schema.AccountKind && !a.run.o.Accounts {
			continue
		}
		name := o.Name.Name
		if o.Database != "" {
			name = o.Database + "." + name
		}
		return &ChangedError{o.Kind, name, errors.New("it was made, dropped or defined anew while the dump began")}
	}
	return nil
}

package logs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/server"
)

// Options say what a run does. The zero value archives all that the server has.
type Options struct {
	// Since is from when on logs are needed: those that were closed before are left out. Zero: all are needed. Logs say in whole
	// seconds when they were begun: one that may have been closed after Since is kept.
	Since time.Time
	// Warn is told of what is wrong but stops nothing; nil: nobody.
	Warn func(error)
	// Read returns the entries of a folder of the archive before, as the function Read returns each; nil: all are read already.
	Read func(folder string) ([]Entry, error)
}

// A Result says what a run has archived.
type Result struct {
	Entries  []Entry            // all of the archive: by history, in order of time
	Position mysqldump.Position // up to where
	Breaks   []Break            // of the chain, that this run found
	Dropped  int                // logs that nobody needs any more
	Read     uint64             // bytes of logs that were read
	Behind   uint64             // bytes that the server had written by the end of the run, and the archive does not have
}

// A run is one run.
type run struct {
	ctx    context.Context
	src    Source
	tree   Tree
	o      Options
	id     server.Identity
	before []Entry // of the archive before
	list   []Log   // of the server
	gap    Case    // why the first log that is new does not follow
	lost   string  // history of the log that came last, if that is lost
	result Result
}

// Run puts into a Tree what the archive before has and what the server has written since. Entries are those of the
// archive before, as Read or Unread returned them; of those that are kept unread, so are the Result's.
func Run(ctx context.Context, srv *server.Server, src Source, before []Entry, tree Tree, o Options) (Result, error) {
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	r := &run{ctx: ctx, src: src, tree: tree, o: o, before: before}
	at, err := r.ask(srv)
	if err == nil {
		err = r.all()
	}
	var last *Entry
	if err == nil {
		last = &r.result.Entries[len(r.result.Entries)-1]
		err = r.read(last)
	}
	if err != nil {
		return Result{}, fmt.Errorf("archive binary logs: %w", err)
	}
	at.File, at.Offset = last.Name, last.Size
	if !at.GTIDs.IsZero() { // else it has none, or not for all transactions
		at.GTIDs = last.Span.After
	}
	if r.result.Position = at; at.Check() != nil {
		r.result.Position.GTIDs = mysqldump.GTIDSet{} // too many
	}
	return r.result, nil
}

// ask finds out who the server is and which logs it has.
func (r *run) ask(srv *server.Server) (at mysqldump.Position, err error) {
	c, err := srv.Connect(r.ctx)
	if err != nil {
		return at, err
	}
	defer c.Close()
	keeping, err := c.Keeping(r.ctx)
	if err == nil {
		err = keeping.BinaryLogFiles()
	}
	if err != nil {
		return at, err
	}
	if at, err = c.Position(r.ctx); err != nil {
		return at, err
	}
	if r.id, err = c.Identity(r.ctx); err != nil {
		return at, err
	}
	r.list, err = r.src.Logs(r.ctx)
	if err == nil && len(r.list) == 0 {
		err = server.ErrNoBinaryLog
	}
	return at, err
}

// all keeps what there is, and reads what is new.
func (r *run) all() error {
	if n := len(r.before); n > 0 {
		if err := r.read(&r.before[n-1]); err != nil {
			return err
		}
	}
	at, err := r.begin()
	if err != nil {
		return err
	}
	kept := r.before
	var open *Entry
	if at.same {
		open, kept = &kept[len(kept)-1], kept[:len(kept)-1]
	}
	history := ""
	if at.goesOn {
		history = r.before[len(r.before)-1].History
	}
	r.result.Entries = make([]Entry, 0, len(r.before)+len(r.list)-at.first)
	if err := r.keepAll(kept, history, r.list[at.first:]); err != nil {
		return err
	}
	gap := r.gap
	for i, log := range r.list[at.first:] {
		var was *Entry
		if i == 0 && open != nil {
			was, gap = open, open.Gap
		}
		if err := r.archive(log, was, history, at.first+i, gap); err != nil {
			return err
		}
		history, gap = r.result.Entries[len(r.result.Entries)-1].History, ""
	}
	if len(r.result.Entries) == 0 {
		return errors.New("the server has no log, and the archive before has none that can be kept")
	}
	return nil
}

// unneeded returns how many logs of the archive before, from the first one on, nobody needs: the next one of each was begun
// before the time from which on logs are needed, wherever in its second that was.
func (r *run) unneeded() (n int, err error) {
	if r.o.Since.IsZero() {
		return 0, nil
	}
	for n+1 < len(r.before) {
		next := &r.before[n+1]
		if err := r.read(next); err != nil || next.Span.Format.Created.Add(time.Second).After(r.o.Since) {
			return n, err
		}
		n++
	}
	return n, nil
}

// keepAll takes logs of the archive before: folders as they are, unless something goes out of them or, of what is new
// of a history, into them.
func (r *run) keepAll(kept []Entry, history string, news []Log) error {
	touched := map[string]bool{}
	for _, log := range news {
		e := Entry{History: history, Name: log.Name}
		touched[e.Folder()] = true
	}
	drop, err := r.unneeded()
	if err != nil {
		return err
	}
	drop = min(drop, len(kept))
	r.result.Dropped = drop
	if drop > 0 {
		touched[kept[drop-1].Folder()] = true
	}
	for i := drop; i < len(kept); {
		folder, end, bytes := kept[i].Folder(), i, uint64(0)
		for ; end < len(kept) && kept[end].Folder() == folder; end++ {
			bytes += kept[end].Size
		}
		if folder != kept[i].History && !touched[folder] {
			ok, err := r.tree.KeepFolder(folder, uint64(end-i), bytes)
			if err != nil {
				return err
			}
			if ok {
				r.result.Entries = append(r.result.Entries, kept[i:end]...)
				r.lost, i = "", end
				continue
			}
		}
		for ; i < end; i++ {
			if err := r.keep(&kept[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep takes a log of the archive before.
func (r *run) keep(e *Entry) error {
	ok, err := r.tree.Keep(e.Path())
	if err != nil {
		return err
	}
	if ok {
		r.result.Entries, r.lost = append(r.result.Entries, *e), ""
		return nil
	}
	for i, log := range r.list { // the server may have it yet
		if log.Name != e.Name {
			continue
		}
		if same, err := r.same(e); err != nil {
			return err
		} else if same {
			return r.archive(log, nil, e.History, i, e.Gap)
		}
	}
	r.lost = e.History
	r.result.Breaks = append(r.result.Breaks, Break{Case: Lost, At: e.Path(), Says: "the archive before has it damaged, and the server does not have it any more"})
	return nil
}

// broken notes why the log that is archived next does not follow.
func (r *run) broken(c Case, at, says string) {
	r.gap = c
	r.result.Breaks = append(r.result.Breaks, Break{Case: c, At: at, Says: says})
}

// same reports whether the server's log of an Entry's name is that of the Entry.
func (r *run) same(e *Entry) (bool, error) {
	if err := r.read(e); err != nil {
		return false, err
	}
	events, err := r.src.Open(r.ctx, e.Name, binlog.Start)
	if err != nil {
		return false, err
	}
	defer events.Close()
	identity, err := binlog.Identify(events.First())
	return identity == e.Span.Identity, err
}

// archive writes the file of a log, from its beginning or from the last block of what there was of it.
func (r *run) archive(log Log, was *Entry, history string, at int, gap Case) error {
	if gap == "" && history != "" && r.lost == history {
		gap = Lost
	}
	w := &writer{run: r, log: log, listed: at < len(r.list)-1, gap: gap}
	err := errAnew
	if was != nil && was.Block > binlog.Start && was.Block <= 1<<32-1 {
		err = w.write(was, was.History)
	}
	if errors.Is(err, errAnew) {
		err = w.write(nil, history)
	}
	if err == nil {
		r.result.Entries, r.lost = append(r.result.Entries, w.entry), ""
	}
	return err
}

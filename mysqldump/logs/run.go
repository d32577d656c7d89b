package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/server"
)

const (
	// blockSize is from how many bytes on a block of a file ends, with a transaction. What comes after the last such end is
	// read and stored again when the log goes on.
	blockSize = 512 << 10
	// maxBlock is how many bytes a block may have: a transaction that is larger is cut.
	maxBlock = 4 << 20
)

// Options say what a run does. The zero value archives all that the server has.
type Options struct {
	// Since is from when on logs are needed: those that were closed before are left out. Zero: all are needed.
	Since time.Time
	// Warn is told of what is wrong but stops nothing; nil: nobody.
	Warn func(error)
}

// A Result says what a run has archived.
type Result struct {
	Entries  []Entry            // all of the archive: by history, in order of time
	Position mysqldump.Position // up to where
	Breaks   []Break            // of the chain, that this run found
	Dropped  int                // logs that nobody needs any more
	Read     uint64             // bytes of logs that were read
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
// archive before, as Read returned them.
func Run(ctx context.Context, srv *server.Server, src Source, before []Entry, tree Tree, o Options) (Result, error) {
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	r := &run{ctx: ctx, src: src, tree: tree, o: o, before: before}
	at, err := r.ask(srv)
	if err == nil {
		err = r.all()
	}
	if err != nil {
		return Result{}, fmt.Errorf("archive binary logs: %w", err)
	}
	last := &r.result.Entries[len(r.result.Entries)-1]
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
// before the time from which on logs are needed.
func (r *run) unneeded() (n int) {
	if r.o.Since.IsZero() {
		return 0
	}
	for n+1 < len(r.before) && !r.before[n+1].Span.Format.Created.After(r.o.Since) {
		n++
	}
	return n
}

// keepAll takes logs of the archive before: folders as they are, unless something goes out of them or, of what is new
// of a history, into them.
func (r *run) keepAll(kept []Entry, history string, news []Log) error {
	touched := map[string]bool{}
	for _, log := range news {
		e := Entry{History: history, Name: log.Name}
		touched[e.Folder()] = true
	}
	drop := min(r.unneeded(), len(kept))
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

// errAnew says that the beginning of a file has to be read again, since the archive before does not have all of it.
var errAnew = errors.New("it is read anew")

// A writer writes the file of one log.
type writer struct {
	run     *run
	log     Log
	listed  bool // with its final size
	gap     Case // why it does not follow the log before it
	file    File
	scanner *binlog.Scanner
	decoder binlog.Decoder
	entry   Entry
	buf     []byte // of the block that is not complete
	at      uint64 // where buf ends
}

func (w *writer) write(was *Entry, history string) error {
	at := uint64(binlog.Start)
	if was != nil {
		at = was.Block
	}
	events, err := w.run.src.Open(w.run.ctx, w.log.Name, at)
	if err != nil {
		return err
	}
	defer events.Close()
	if err := w.begin(events, was, history, at); err != nil {
		return err
	}
	defer w.file.Abort()
	for {
		raw, err := events.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = w.add(raw)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w.log.Name, err)
		}
	}
	if err := w.end(events.Closed()); err != nil {
		return fmt.Errorf("%s: %w", w.log.Name, err)
	}
	return nil
}

func (w *writer) begin(events Events, was *Entry, history string, at uint64) (err error) {
	identity, err := binlog.Identify(events.First())
	if err != nil {
		return fmt.Errorf("%s: %w", w.log.Name, err)
	}
	id := w.run.id
	w.entry = Entry{Name: w.log.Name, History: history, ServerID: id.ServerID, ServerUUID: id.ServerUUID, Flavor: id.Flavor, Block: at, Gap: w.gap}
	w.scanner, w.decoder, w.buf, w.at = new(binlog.Scanner), binlog.Decoder{}, append(w.buf[:0], binlog.Magic...), at
	if was != nil {
		if identity != was.Span.Identity {
			return fmt.Errorf("%s was begun anew while it was read", w.log.Name)
		}
		w.buf = w.buf[:0]
		if w.scanner, err = binlog.Continue(was.Span); err == nil {
			err = w.decoder.Resume(events.First(), at)
		}
		if err != nil {
			return err
		}
	}
	if history == "" {
		var s binlog.Span
		if s.Format, err = binlog.FormatOf(events.First()); err != nil {
			return err
		}
		s.Identity = identity
		w.entry.History = w.run.newHistory(&s)
	}
	if w.file, err = w.run.tree.Create(w.entry.Path()); err != nil || was == nil {
		return err
	}
	n, err := w.file.Same(int64(at))
	if err != nil || uint64(n) != at {
		w.file.Abort()
		if err == nil || uint64(n) < at && w.run.ctx.Err() == nil {
			err = errAnew
		}
	}
	return err
}

// add appends an event.
func (w *writer) add(raw []byte) error {
	e, err := w.decoder.Decode(raw)
	if err != nil {
		return err
	}
	if _, err := w.scanner.Add(&e); err != nil {
		return err
	}
	w.buf = append(w.buf, raw...)
	w.at = e.Next
	w.run.result.Read += uint64(len(raw))
	whole := w.scanner.To() == w.at // else what is open has to be read from its beginning, next time
	if len(w.buf) < maxBlock && (!whole || w.at-w.entry.Block < blockSize) {
		return nil
	}
	if whole {
		w.entry.Block = w.at
	}
	return w.block()
}

func (w *writer) block() error {
	for rest := w.buf; len(rest) > 0; {
		n := min(len(rest), maxBlock)
		if err := w.file.Block(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if w.buf = w.buf[:0]; cap(w.buf) > 2*maxBlock {
		w.buf = nil
	}
	return nil
}

// end writes what is left, up to the end of a transaction unless the log is closed.
func (w *writer) end(closed bool) (err error) {
	e := &w.entry
	if e.Span, err = w.scanner.Span(); err != nil {
		return err
	}
	e.Closed, e.Span.Format.InUse = closed, false
	if begins := w.at - uint64(len(w.buf)); !closed && e.Span.To >= begins && e.Span.To > binlog.Start {
		w.buf = w.buf[:e.Span.To-begins]
		w.at = e.Span.To
	}
	e.Size = w.at
	w.run.link(e)
	if closed && w.listed && e.Size != w.log.Size {
		return fmt.Errorf("%d bytes of it came, and the server says that it has %d", e.Size, w.log.Size)
	}
	if err = w.block(); err != nil {
		return err
	}
	if err = e.note(w.file); err != nil {
		return err
	}
	return w.file.Close()
}

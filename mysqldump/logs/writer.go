package logs

import (
	"errors"
	"fmt"
	"io"

	"nightjar/mysqldump/binlog"
)

const (
	// blockSize is from how many bytes on a block of a file ends, with a transaction. What comes after the last such end is
	// read and stored again when the log goes on.
	blockSize = 512 << 10
	// maxBlock is how many bytes a block may have: a transaction that is larger is cut.
	maxBlock = 4 << 20
)

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
	if err := w.run.link(e); err != nil {
		return err
	}
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

package read

import (
	"fmt"
	"io"
)

// Beside is what fetches take beside a budget.
const Beside = fetchesAtOnce * batchBytes

// Pieces is how many pieces are fetched together.
const Pieces = batchPieces

// Idle returns an error if somebody has something of a budget.
func (b *Budget) Idle() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used != 0 || b.spared != 0 || b.fetching != 0 || len(b.readers) != 0 {
		return fmt.Errorf("%d bytes used, %d spare, %d fetches, %d readers", b.used, b.spared, b.fetching, len(b.readers))
	}
	return nil
}

// Settle waits until a reader has fetched so much and nothing is on its way, and returns how much it has.
func Settle(from io.ReadCloser, least int64) int64 {
	r := from.(*reader)
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	for r.held < least || r.budget.fetching > 0 {
		r.changed.Wait()
	}
	return r.held
}

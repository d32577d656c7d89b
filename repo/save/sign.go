package save

import (
	"bytes"

	"nightjar/chunk/delta"
	"nightjar/repo/pack"
)

const (
	signBlock   = 512     // bytes of a block
	fineBlock   = 256     // of what changes in few bytes at many places
	shortBlock  = 192     // of such lines that are short
	finestBlock = 128     // of the shortest
	shortLine   = 144     // bytes of a line in the mean that is short, if it has fewer
	shortest    = 64      // likewise
	signFrom    = 8 << 10 // chunks from this size on have a signature, if they compress or changed before
	signLiteral = 128     // so have literals: else what changed once is sent again with every change beside it
)

// signable reports whether a piece is long enough to have a signature.
func (p *piece) signable() bool {
	return p.typ == pack.WholeContent && (len(p.data) >= signFrom || p.literal && len(p.data) >= signLiteral)
}

// block returns the size of blocks for a piece. One that changes is sent with each line that does: so what it costs in the first
// night pays sooner where lines are short (doc/performance.md has the figures).
func (p *piece) block() int {
	switch lines := bytes.Count(p.data, newline) + 1; {
	case delta.Paged(p.place.Page):
		return fineBlock
	case !p.place.Fine:
		return signBlock
	case len(p.data) < shortest*lines:
		return finestBlock
	case len(p.data) < shortLine*lines:
		return shortBlock
	}
	return fineBlock
}

var newline = []byte{'\n'}

// sign stores the signature of a chunk.
func (s *Saver) sign(p *piece) error {
	runs := p.runs
	if delta.Paged(p.place.Page) && !p.literal {
		runs = delta.PageRuns(nil, p.place.Offset, len(p.data), p.place.Page)
	}
	s.encoded = s.encoder.signer.Sign(p.id, p.data, p.block(), runs).Append(s.encoded[:0])
	return s.blob(pack.SignatureOf+p.typ, p.id, s.encoded)
}

// signKnown signs a known chunk whose signature was lost: a run that dies has indexed most of its content, and none of its
// metadata.
func (s *Saver) signKnown(p *piece) error {
	if !p.signable() {
		return nil
	}
	if signed, err := s.w.view.Indexed(p.id.Key(), pack.SignatureOf+p.typ); signed || err != nil {
		return err
	}
	if !p.literal && pack.ClassOf(p.data) == pack.Opaque || !s.w.unsigned(p) {
		return nil
	}
	return s.sign(p)
}

// unsigned reports whether a chunk that has no signature was stored whole by a run before; if so, the caller has to sign it.
func (w *Writer) unsigned(p *piece) bool {
	all, err := w.reader.Locations(w.run.work, p.id, p.typ)
	return err == nil && w.unindexed.others(all, w.accept) && w.claims.take(p.id.Key(), false)
}

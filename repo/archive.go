package repo

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"nightjar/crypto"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
)

// What an archive's record is made of.
type (
	Record = record.Archive // what the host signs of one finished run, and nothing else
	Text   = record.Text    // bytes in a record, where they may be invalid UTF-8
	Labels = record.Labels
	Root   = record.Root // names the tree that holds the root directory
)

// Kinds of archives that this program makes of what people name, and the label that names other archives that one needs.
const (
	Files  = record.Files
	Stream = record.Stream
	Needs  = record.Needs
)

// An Archive is the record of one finished run as it lies in the repository, and what the repository makes of it.
type Archive struct {
	Record
	ID     string    // the hash in its name
	Stored time.Time // when, by the store's clock
	Signer string    // fingerprint
	Standing
	Forgotten time.Time // when retention gave it up, for whoever looked that up; zero: it did not
}

// Dated returns the time by which retention goes: the store's; but the archive's own where a record says that it counts in spite of that.
func (a *Archive) Dated() time.Time {
	if a.Is(Vouched) {
		return a.Time
	}
	return a.Stored
}

// older orders archives by time.
func older(a, b *Archive) int {
	return cmp.Or(a.Time.Compare(b.Time),
		a.End.Compare(b.End), // S3 counts whole seconds; within one even a host's clock is better than nothing
		strings.Compare(a.ID, b.ID))
}

// Archives returns all archives, oldest first. damaged is told of each that cannot be read.
func (r *Repository) Archives(ctx context.Context, damaged func(name string, err error)) ([]Archive, error) {
	roll, err := r.Roll(ctx)
	if err != nil {
		return nil, err
	}
	return roll.Archives(ctx, "", damaged)
}

// checkHost refuses an archive that one host has signed in another's name.
func (r *Repository) checkHost(a *Record, signer crypto.Fingerprint) error {
	host, err := r.Keys().Owner(signer)
	if err == nil && host != a.Host {
		err = fmt.Errorf("it says that it is of host %q, and host %q has signed it: %w", a.Host, host, crypto.ErrIntegrity)
	}
	return err
}

// PutArchive writes an archive with a record; nothing that it needs may be written after it.
func (r *Repository) PutArchive(ctx context.Context, x *Record) (a *Archive, size int64, err error) {
	x.Kind = cmp.Or(x.Kind, Files)
	content, err := x.Encode()
	if err != nil {
		return nil, 0, err
	}
	info, err := r.PutRecordAs(ctx, r.Host(), "archive", content)
	if err != nil {
		return nil, 0, err
	}
	a = &Archive{Record: *x, ID: strings.TrimPrefix(info.Name, "archive/"), Signer: string(r.Host().Fingerprint())}
	r.StandAt(a, info.Time)
	if a.Is(Late) {
		return a, 0, fmt.Errorf("store archive %s: the store dated it %s, %s from its last answer and %s after the run's last view of the repository: it does not count",
			a.ID, sealed.Stamp(a.Stored), a.Time.Sub(a.Stored).Abs(), a.Stored.Sub(a.View()))
	}
	return a, info.Size, nil
}

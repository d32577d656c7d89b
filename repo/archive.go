package repo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/quote"
	"nightjar/internal/versioned"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// A Text is bytes in a JSON record, where they may be invalid UTF-8.
type Text = record.Text

// Labels say more of an archive; keys, too, may be any bytes.
type Labels map[Text]Text

// MarshalJSON escapes keys as well as values: encoding/json takes keys of a string type as they are, yet hands them to UnmarshalText when it reads.
func (l Labels) MarshalJSON() ([]byte, error) {
	escaped := make(map[string]Text, len(l))
	for k, v := range l {
		escaped[quote.Text(string(k))] = v
	}
	return json.Marshal(escaped)
}

// archiveBounds leave room for as many paths as a command line takes.
var archiveBounds = versioned.Bounds{Bytes: sealed.ArchiveMax, Objects: 64, Values: 1 << 18}

// Fits returns an error if the archive would have more than one may have, once the run has filled it in, or labels that differ in case only.
func (a *Archive) Fits() error {
	b := archiveBounds
	b.Bytes, b.Values = b.Bytes-256<<10, b.Values-8<<10
	_, err := versioned.Encode(a, b)
	return err
}

// An Archive is the signed record of one finished backup run.
type Archive struct {
	Version     int               `json:"version"`
	Host        string            `json:"host"`
	Job         Text              `json:"job"`
	Paths       []Text            `json:"paths,omitempty"`
	Stream      Text              `json:"stream,omitempty"`
	Excludes    []Text            `json:"excludes,omitempty"`
	Tags        []Text            `json:"tags,omitempty"`
	Labels      Labels            `json:"labels,omitempty"`
	Root        Root              `json:"root"`
	Start       time.Time         `json:"start"` // by the host's clock, as End
	End         time.Time         `json:"end"`
	Time        time.Time         `json:"time"` // the store's
	Views       []time.Time       `json:"views"`
	Predecessor string            `json:"predecessor,omitempty"`
	Statistics  map[string]uint64 `json:"statistics"`
	Complete    bool              `json:"complete"`
	Program     string            `json:"program"`

	ID        string        `json:"-"` // the hash in its name
	Stored    time.Time     `json:"-"` // when, by the store's clock
	Signer    string        `json:"-"` // fingerprint
	Grace     time.Duration `json:"-"` // in which it had to be stored after its last view
	Verified  bool          `json:"-"` // a record says that it counts, late or not
	Backdated bool          `json:"-"` // it says that it is older than its job's predecessor
	Repeated  bool          `json:"-"` // another that was stored before it says the same, word for word
	Redated   bool          `json:"-"` // it is late, yet is the predecessor of another, or older than the repository is here: it counted once, and was stored again, alone or with the whole repository

	rooted bool // Verified by the root

	Forgotten time.Time `json:"-"` // when retention gave it up, for whoever looked that up; zero: it did not
}

// Root names the tree that holds the root directory.
type Root struct {
	ID     chunk.ID `json:"id"`
	Length int64    `json:"length"`
}

// Late reports whether the store dated the archive so long after its last view that what it refers to may be gone, or otherwise than
// it says of itself. It can still be restored by its id.
func (a *Archive) Late() bool {
	return a.Grace < forever && (sealed.Skewed(a.Time, a.Stored) || a.Stored.Sub(a.view()) > a.Grace)
}

// lateByItself reports whether the archive would be late whatever the store says: so it never counted.
func (a *Archive) lateByItself() bool { return a.Grace < forever && a.Time.Sub(a.view()) > a.Grace }

// Dated returns the time by which retention goes: the store's, but of an archive that counts since a record says so, although the store's time speaks against it, its own.
func (a *Archive) Dated() time.Time {
	if a.Vouched() {
		return a.Time
	}
	return a.Stored
}

// Vouched reports whether the archive counts only since a record says so: nobody but its signer says of when it is.
func (a *Archive) Vouched() bool { return a.Verified && sealed.Skewed(a.Time, a.Stored) }

// forever is the Grace of an archive that cannot be late, which is so in the simulation only.
const forever = math.MaxInt64

// allowance returns how long after its last view an archive may be stored.
func (r *Repository) allowance(view time.Time) time.Duration {
	if r.options.Without.Late {
		return forever
	}
	return r.Keys().Allowance(view)
}

// view returns the last one; zero if there was none.
func (a *Archive) view() (last time.Time) {
	for _, v := range a.Views {
		if v.After(last) {
			last = v
		}
	}
	return last
}

// Counts reports whether prune keeps what the archive needs.
func (a *Archive) Counts() bool { return a.Verified || !a.Late() }

// Displaces reports whether the archive may stand before others of its job: as the latest, as the predecessor of the next, in retention.
func (a *Archive) Displaces() bool { return a.Counts() && !a.Backdated && !a.Repeated }

// Archives returns all archives, oldest first. damaged is told of each that cannot be read.
func (r *Repository) Archives(ctx context.Context, damaged func(name string, err error)) ([]Archive, error) {
	roll, err := r.Roll(ctx)
	if err != nil {
		return nil, err
	}
	return roll.Archives(ctx, "", damaged)
}

// standing sets what archives are among each other. Only those of one host have to do with each other, so it takes all of a host.
func standing(all []Archive, contents map[string][sha256.Size]byte, arrived time.Time) {
	byID, named := map[string]*Archive{}, map[string]bool{}
	for i := range all {
		byID[all[i].ID] = &all[i]
	}
	before := func(a *Archive) *Archive {
		if p := byID[a.Predecessor]; p != nil && p.Host == a.Host {
			return p
		}
		return nil
	}
	for i := range all {
		if p := before(&all[i]); p != nil {
			named[p.ID] = true
		}
	}
	for i := range all {
		a := &all[i]
		p := before(a)
		a.Backdated = p != nil && a.Time.Before(p.Time)
		a.Redated = !a.Counts() && !a.lateByItself() && (named[a.ID] || arrived.Sub(a.Time) > sealed.MaxSkew)
	}
	markRepeated(all, contents, named)
}

// older orders archives by time.
func older(a, b *Archive) int {
	return cmp.Or(a.Time.Compare(b.Time),
		a.End.Compare(b.End), // S3 counts whole seconds; within one even a host's clock is better than nothing
		strings.Compare(a.ID, b.ID))
}

// arrived returns since when the store has the config, the first object of any repository. Nobody asks unless an archive is late.
func (r *Repository) arrived(ctx context.Context, all []Archive) (time.Time, error) {
	if !slices.ContainsFunc(all, func(a Archive) bool { return !a.Counts() }) {
		return time.Time{}, nil
	}
	info, err := r.Store().Stat(ctx, sealed.Config)
	if err == nil {
		info.Time, err = store.HomeTime(ctx, r.Store(), info)
	}
	if errors.Is(err, store.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("ask since when the store has the repository: %w", err)
	}
	return info.Time, nil
}

// markRepeated marks all but one of those that say the same. Whoever can open an archive can seal it anew, signature and all, and X25519 takes other points for
// the same: so a signed archive may come again under another name, and another host could fill the places of a job with its own archives. The one is the first of
// those that count, else of those that others name. While one counts, it keeps what the others need, too: so of them it does not matter when they were stored.
func markRepeated(archives []Archive, contents map[string][sha256.Size]byte, named map[string]bool) {
	before := func(a, b *Archive) bool {
		switch {
		case a.Counts() != b.Counts():
			return a.Counts()
		case !a.Counts() && named[a.ID] != named[b.ID]:
			return named[a.ID]
		}
		return a.Stored.Before(b.Stored)
	}
	first := map[[sha256.Size]byte]*Archive{}
	for i := range archives {
		a := &archives[i]
		if other := first[contents[a.ID]]; other == nil || before(a, other) {
			first[contents[a.ID]] = a
		}
	}
	for i := range archives {
		a := &archives[i]
		one := first[contents[a.ID]]
		a.Repeated = one != a
		a.Redated = a.Redated && (!a.Repeated || !one.Counts())
	}
}

// checkHost refuses an archive that one host has signed in another's name.
func (r *Repository) checkHost(a *Archive, signer crypto.Fingerprint) error {
	host, err := r.Keys().Owner(signer)
	if err == nil && host != a.Host {
		err = fmt.Errorf("it says that it is of host %q, and host %q has signed it: %w", a.Host, host, crypto.ErrIntegrity)
	}
	return err
}

// A Selection narrows archives down. Zero fields select everything.
type Selection struct {
	Host string
	Job  string
	Tags []string  // all of them
	At   time.Time // the newest not after this
}

// Select returns the archives that match, in the same order.
func (s Selection) Select(archives []Archive) []Archive {
	var out []Archive
	for _, a := range archives {
		if s.Host != "" && a.Host != s.Host || s.Job != "" && string(a.Job) != s.Job || !s.At.IsZero() && a.Time.After(s.At) || !a.hasTags(s.Tags) {
			continue
		}
		out = append(out, a)
	}
	return out
}

func (a *Archive) hasTags(want []string) bool {
	for _, w := range want {
		found := false
		for _, have := range a.Tags {
			found = found || string(have) == w
		}
		if !found {
			return false
		}
	}
	return true
}

// Latest returns the place of the newest archive that may displace others and was not given up; -1: there is none. archives are in order of time.
func Latest(archives []Archive) int {
	for i := len(archives) - 1; i >= 0; i-- {
		if archives[i].Displaces() && archives[i].Forgotten.IsZero() {
			return i
		}
	}
	return -1
}

// Find returns the archive that name stands for: "latest", the newest that may displace others and was not given up, or at least eight digits of an id.
// archives are in order of time.
func Find(archives []Archive, name string) (*Archive, error) {
	if name == "latest" {
		if i := Latest(archives); i >= 0 {
			return &archives[i], nil
		}
		if len(archives) > 0 { // a repository that was copied without its times: better than nothing at 3 a.m.
			return &archives[len(archives)-1], nil
		}
		return nil, fmt.Errorf("latest: %w", ErrNoArchive)
	}
	const short = 8
	if len(name) < short {
		return nil, fmt.Errorf("archive %q: give at least %d digits: %w", name, short, ErrNoArchive)
	}
	var found *Archive
	for i := range archives {
		if !strings.HasPrefix(archives[i].ID, name) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("archive %q: several begin like this: %w", name, ErrNoArchive)
		}
		found = &archives[i]
	}
	if found == nil {
		return nil, fmt.Errorf("archive %q: %w", name, ErrNoArchive)
	}
	return found, nil
}

// PutArchive writes the archive; nothing that it needs may be written after it.
func (r *Repository) PutArchive(ctx context.Context, a *Archive) (size int64, err error) {
	content, err := versioned.Encode(a, archiveBounds)
	if err != nil {
		return 0, fmt.Errorf("encode archive: %w", err)
	}
	info, err := r.PutRecordAs(ctx, r.Host(), "archive", content)
	if err != nil {
		return 0, err
	}
	a.ID, a.Stored, a.Signer, a.Grace = strings.TrimPrefix(info.Name, "archive/"), info.Time, string(r.Host().Fingerprint()), r.allowance(a.view())
	if a.Late() {
		return 0, fmt.Errorf("store archive %s: the store dated it %s, %s from its last answer and %s after the run's last view of the repository: it does not count",
			a.ID, sealed.Stamp(a.Stored), a.Time.Sub(a.Stored).Abs(), a.Stored.Sub(a.view()))
	}
	return info.Size, nil
}

package sealed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// Record reads, verifies and returns the content of any record, and who signed it.
func (s *Objects) Record(ctx context.Context, info store.Info) (content []byte, signer crypto.Fingerprint, err error) {
	x := s.ReadRecord(ctx, info)
	return x.Content, x.Signer, x.Err
}

// A Record is one record as it was read, or why it could not be. Its time is the home's.
type Record struct {
	store.Info
	ID      index.ObjectID
	Content []byte
	Signer  crypto.Fingerprint
	Err     error

	Disowned []byte // with an ErrDisowned: the content
}

// Records calls f for each record of a kind (archive, index, forget, condemned, …). Only one is in memory at a time.
func (s *Objects) Records(ctx context.Context, kind string, f func(Record) error) error {
	return s.RecordsOf(ctx, kind, "", f)
}

// RecordsOf is Records without those that are known to be of other hosts alone: archives that they have signed, and forget records that name theirs. All, if
// host is empty.
func (s *Objects) RecordsOf(ctx context.Context, kind, host string, f func(Record) error) error {
	infos, err := s.ListRecords(ctx, kind)
	if err != nil {
		return err
	}
	return s.ReadRecords(ctx, s.Of(infos, host), f)
}

// ReadRecords calls f for each of the records that were listed.
func (s *Objects) ReadRecords(ctx context.Context, infos []store.Info, f func(Record) error) error {
	for _, info := range infos {
		x := s.ReadRecord(ctx, info)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// ListRecords returns what there is of a kind of record.
func (s *Objects) ListRecords(ctx context.Context, kind string) ([]store.Info, error) {
	var infos []store.Info
	err := s.store.List(ctx, kind+"/", func(i store.Info) error {
		if IsName(kind, i.Name) {
			infos = append(infos, i)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s objects: %w", kind, err)
	}
	s.forgetGone(kind, infos)
	return infos, nil
}

// ReadRecord reads one record. If it takes an older version, Info is that one's.
func (s *Objects) ReadRecord(ctx context.Context, info store.Info) Record {
	content, opened, err := s.record(ctx, &info)
	return newRecord(info, content, opened, err)
}

func newRecord(info store.Info, content []byte, opened crypto.Opened, err error) Record {
	sum, _ := store.SumOf(info.Name)
	x := Record{Info: info, ID: sum, Content: content, Signer: opened.Signer, Err: err}
	if err != nil {
		x.Content, x.Disowned = nil, content
	}
	return x
}

// record reads and opens one record: a small sealed object named by its hash. If it takes an older version, info becomes that one's; its time becomes the home's.
func (s *Objects) record(ctx context.Context, info *store.Info) (content []byte, opened crypto.Opened, err error) {
	content, opened, err = s.oneVersion(ctx, info)
	if errors.Is(err, crypto.ErrIntegrity) && !errors.Is(err, ErrDisowned) {
		if older, ok := s.Recover(ctx, info.Name); ok {
			*info = older
			return s.oneVersion(ctx, info)
		}
	}
	return content, opened, err
}

// oneVersion is record of the version that the store gives.
func (s *Objects) oneVersion(ctx context.Context, info *store.Info) (content []byte, opened crypto.Opened, err error) {
	kind, _, _ := strings.Cut(info.Name, "/")
	note, noted := s.noted(kind, *info)
	var object []byte
	if !noted || s.options.Reread {
		object, err = s.recordObject(ctx, kind, *info)
	}
	if err == nil {
		info.Time, err = store.HomeTime(ctx, s.store, *info)
	}
	if err != nil {
		return nil, opened, fmt.Errorf("read %s: %w", info.Name, err)
	}
	if noted {
		return s.judge(kind, *info, note)
	}
	content, opened, err = s.openRecord(kind, *info, object)
	s.note(kind, *info, content, opened, err)
	return content, opened, err
}

// openRecord is record for an object that has the hash in its name. With an ErrDisowned it returns the content all the same.
func (s *Objects) openRecord(kind string, info store.Info, object []byte) (content []byte, opened crypto.Opened, err error) {
	if opened, err = s.openSealed(object, s.Signers(kind), kind, info.Time); err != nil {
		return nil, opened, fmt.Errorf("open %s: %w", info.Name, err)
	}
	if content, err = s.decompressRecord(kind, opened.Plain); err != nil {
		return nil, opened, fmt.Errorf("open %s: %w", info.Name, err)
	}
	sum, _ := store.SumOf(info.Name)
	if err = s.Disowned(opened.Signer, sum); err != nil {
		err = fmt.Errorf("open %s: %w", info.Name, err)
	}
	return content, opened, err
}

// recordObject returns a record as it is stored, with the right hash.
func (s *Objects) recordObject(ctx context.Context, kind string, info store.Info) ([]byte, error) {
	if info.Size > store.MaxObject {
		return nil, fmt.Errorf("%d bytes: %w: %w", info.Size, store.ErrTooLarge, crypto.ErrIntegrity)
	}
	object := make([]byte, info.Size)
	err := s.store.GetInto(ctx, info.Name, 0, object)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, Missing(err) // it has become another since it was listed
	}
	if err == nil && nameOf(kind, object) != info.Name {
		err = fmt.Errorf("its bytes do not have that hash: %w", crypto.ErrIntegrity)
	}
	return object, err
}

// openSealed opens what must be sealed to this repository's metadata key.
func (s *Objects) openSealed(object []byte, signers []crypto.Signer, kind string, at time.Time) (crypto.Opened, error) {
	opened, err := s.metadata.Open(object, signers, s.binding(kind), at)
	if errors.Is(err, crypto.ErrNoKey) { // the key is at hand, so the object is from elsewhere
		err = fmt.Errorf("it is not sealed to this repository's metadata key: %w", crypto.ErrIntegrity)
	}
	return opened, err
}

// seal makes a record of content: sealed to the metadata key and signed.
func seal(metadata, signer *crypto.Key, b crypto.Binding, content []byte, random io.Reader, now func() time.Time) ([]byte, error) {
	c, err := pack.NewCompressor(pack.Default)
	if err != nil {
		return nil, err
	}
	sealer, err := crypto.NewSealer(metadata, signer, b, random, now)
	if err != nil {
		return nil, err
	}
	sealed, err := sealer.Seal(c.AppendRecord(nil, content))
	if err != nil {
		return nil, err
	}
	return sealed.Object, nil
}

// PutRecord seals a record and stores it. It signs as this host, if its role suffices for the kind, and else as the root, if a recovery key has opened the repository.
func (s *Objects) PutRecord(ctx context.Context, kind string, content []byte) (store.Info, error) {
	signer, err := s.signer(ctx, kind)
	if err != nil {
		return store.Info{}, fmt.Errorf("sign %s: %w", kind, err)
	}
	return s.PutRecordAs(ctx, signer, kind, content)
}

// MayPut reports why PutRecord would not sign a record of this kind; nil if it would.
func (s *Objects) MayPut(ctx context.Context, kind string) error {
	if _, err := s.signer(ctx, kind); err != nil {
		return fmt.Errorf("sign %s: %w", kind, err)
	}
	return nil
}

func (s *Objects) signer(ctx context.Context, kind string) (*crypto.Key, error) {
	err := errors.New("no host key")
	if s.host != nil {
		now, failed := s.StoreTime(ctx)
		if failed != nil {
			return nil, failed
		}
		if err = s.keys.MayWrite(s.host.Fingerprint(), kind, now); err == nil {
			return s.host, nil
		}
	}
	if root := s.Root(); root != nil && keyring.RootMayWrite(kind) {
		return root, nil
	}
	return nil, err
}

// PutRecordAs seals a record and stores it, signed by a key of which it is known that it may.
func (s *Objects) PutRecordAs(ctx context.Context, signer *crypto.Key, kind string, content []byte) (store.Info, error) {
	metadata, err := s.keys.MetadataKey()
	if err != nil {
		return store.Info{}, err
	}
	object, err := seal(metadata, signer, s.binding(kind), content, s.options.Random, s.options.Now)
	if err != nil {
		return store.Info{}, fmt.Errorf("seal %s: %w", kind, err)
	}
	info, err := s.store.Put(ctx, nameOf(kind, object), object)
	if err != nil {
		return store.Info{}, fmt.Errorf("store %s: %w", kind, err)
	}
	if s.keys.Names(signer.Fingerprint()) { // the store may have dated it after the key's end
		if err := s.keys.MayWrite(signer.Fingerprint(), kind, info.Time); err != nil {
			return store.Info{}, fmt.Errorf("store %s: nobody accepts it: %w", kind, err)
		}
	}
	return info, nil
}

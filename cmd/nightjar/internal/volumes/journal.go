package volumes

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nightjar/chunk"
)

// A Journal says as which chunk each block of a snapshot was saved by runs that have not committed: a run that goes on does not have to pay for it again, if the repository has
// the chunk. It is a sparse file of one record for each block of the volume, its id and a checksum: what is torn, or was never written, is not known. A nil Journal knows nothing.
type Journal struct {
	file *os.File
	salt [sha256.Size]byte // of the checksums, so that no file counts for another snapshot
}

// A zero id stands for a block that holds nothing.

const (
	sumSize    = 8
	recordSize = len(chunk.ID{}) + sumSize
)

// OpenJournal opens that of a snapshot, in a folder that is made if it is missing.
func OpenJournal(folder, region, snapshot string) (*Journal, error) {
	if !isID.MatchString(snapshot) {
		return nil, fmt.Errorf("open the journal of %.80q: it is no snapshot's id", snapshot)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("open the journal of %s: %w", snapshot, err)
	}
	f, err := os.OpenFile(filepath.Join(folder, snapshot), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the journal of %s: %w", snapshot, err)
	}
	return &Journal{file: f, salt: sha256.Sum256([]byte(region + " " + snapshot))}, nil
}

func (j *Journal) sum(index int32, id []byte) []byte {
	h := sha256.New()
	h.Write(j.salt[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(index)))
	h.Write(id)
	return h.Sum(nil)[:sumSize]
}

// Get returns the chunk of a block, which is zero if it holds nothing, and whether it is known. It may be called from several goroutines.
func (j *Journal) Get(index int32) (id chunk.ID, known bool) {
	if j == nil || index < 0 {
		return id, false
	}
	var record [recordSize]byte
	if _, err := j.file.ReadAt(record[:], int64(index)*int64(recordSize)); err != nil {
		return id, false
	}
	copy(id[:], record[:])
	return id, string(j.sum(index, id[:])) == string(record[len(id):])
}

// Put notes the chunk of a block. It is a write to the page cache: a process that is killed loses nothing, a machine that loses power the last half minute.
func (j *Journal) Put(index int32, id chunk.ID) error {
	if j == nil {
		return nil
	}
	if _, err := j.file.WriteAt(append(id[:], j.sum(index, id[:])...), int64(index)*int64(recordSize)); err != nil {
		return fmt.Errorf("note which blocks were read: %w", err)
	}
	return nil
}

// Remove deletes a journal that is needed no more.
func (j *Journal) Remove() error {
	if j == nil {
		return nil
	}
	if err := os.Remove(j.file.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the journal of a snapshot: %w", err)
	}
	return nil
}

// Close closes it. What it says stays.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	return j.file.Close()
}

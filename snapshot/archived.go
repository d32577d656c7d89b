package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TagArchived marks a snapshot that the next archive of a job is compared with: it stays. Its value is the archive's id, shortened. Each job of each repository has a key of
// its own: this with "-" and eight digits. The key without them is of versions that had but one.
const TagArchived = Prefix + "archived"

// MaxArchives is how many jobs may mark one snapshot, so that tags of its volume find room.
const MaxArchives = 8

// ErrArchives says that a snapshot has as many marks as it may have.
var ErrArchives = errors.New("too many jobs archive it")

// IsArchived reports whether a key is one of those.
func IsArchived(key string) bool {
	return key == TagArchived || strings.HasPrefix(key, TagArchived+"-")
}

// ArchivedKey returns the key of a job of a repository.
func ArchivedKey(repository, job string) string {
	sum := sha256.Sum256([]byte(repository + "\x00" + job))
	return TagArchived + "-" + hex.EncodeToString(sum[:4])
}

// Archives returns the archives whose successors need a snapshot with these tags, in order.
func Archives(tags map[string]string) (ids []string) {
	for key, id := range tags {
		if IsArchived(key) && id != "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// MayArchive returns ErrArchives for a snapshot that has no room for another mark.
func (s *Snapshot) MayArchive(key string) error {
	n := 0
	for other := range s.Tags {
		if IsArchived(other) && other != key {
			n++
		}
	}
	if n >= MaxArchives {
		return fmt.Errorf("%s: %w: %d have marked it", s.ID, ErrArchives, n)
	}
	return nil
}

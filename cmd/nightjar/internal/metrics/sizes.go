package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/bounded"
	"nightjar/internal/durable"
	"nightjar/internal/versioned"
)

// Sizes are how much is in a repository, as it was measured: that lists all objects, which a bucket bills.
type Sizes struct {
	Version  int                        `json:"version"`
	Measured time.Time                  `json:"measured"`
	Objects  map[string]show.ObjectSums `json:"objects"` // by kinds
}

// fresh is how long Sizes are good for.
const fresh = 20 * time.Hour

var sizesBounds = versioned.Bounds{Bytes: 64 << 10, Objects: 1000, Values: 4000}

// Fresh reports whether the sizes need not be measured again. The zero value is not.
func (s *Sizes) Fresh(now time.Time) bool {
	age := now.Sub(s.Measured)
	return age >= 0 && age < fresh
}

// ReadSizes reads what Write wrote. Without such a file they are zero.
func ReadSizes(path string) (Sizes, error) {
	content, err := bounded.ReadFile(path, sizesBounds.Bytes)
	if errors.Is(err, fs.ErrNotExist) {
		return Sizes{}, nil
	}
	var s Sizes
	if err == nil {
		s, err = parseSizes(content)
	}
	if err != nil {
		return Sizes{}, fmt.Errorf("read how large the repository was: %s: %w", path, err)
	}
	return s, nil
}

func parseSizes(content []byte) (s Sizes, err error) {
	if err := versioned.Parse(content, &s, sizesBounds); err != nil {
		return Sizes{}, err
	}
	return s, nil
}

// Write keeps the sizes.
func (s *Sizes) Write(path string) error {
	kept := Sizes{versioned.Version, s.Measured.UTC(), s.bounded()}
	content, err := versioned.Encode(&kept, sizesBounds)
	if err == nil {
		err = durable.WriteFile(path, content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write how large the repository is: %w", err)
	}
	return nil
}

// bounded has few kinds, whatever lies in the store.
func (s *Sizes) bounded() map[string]show.ObjectSums {
	all := map[string]show.ObjectSums{}
	for _, kind := range slices.Sorted(maps.Keys(s.Objects)) {
		sum := s.Objects[kind]
		if !kindName.MatchString(kind) || len(all) >= maxKinds-1 && all[kind].Count == 0 {
			kind = "other"
		}
		have := all[kind]
		have.Count += sum.Count
		have.Bytes += sum.Bytes
		all[kind] = have
	}
	return all
}

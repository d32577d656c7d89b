package sealed

import (
	"fmt"
	"io"
	"time"

	"github.com/restic/chunker"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/versioned"
)

// Config is the name of the object that holds what never changes in a repository.
const Config = "config"

const configMax = 1 << 20 // bytes

var configBounds = versioned.Bounds{Bytes: 64 << 10, Objects: 16, Values: 256}

// config is what never changes in a repository.
type config struct {
	secret chunk.Secret
	rule   chunk.Rule
}

type configRecord struct {
	Version    int           `json:"version"`
	Repository string        `json:"repository"`
	Secret     []byte        `json:"secret"`
	Chunker    chunkerRecord `json:"chunker"`
}

type chunkerRecord struct {
	Polynomial chunker.Pol `json:"polynomial"`
	Min        int         `json:"min"`
	Bits       int         `json:"bits"`
	Max        int         `json:"max"`
}

// newConfig chooses what never changes in a new repository, and returns it encoded.
func newConfig(repository string, random io.Reader) ([]byte, error) {
	rule, err := chunk.NewRule(random)
	if err != nil {
		return nil, err
	}
	c := configRecord{
		Version:    versioned.Version,
		Repository: repository,
		Secret:     make([]byte, len(chunk.Secret{})),
		Chunker:    chunkerRecord(rule),
	}
	if _, err := io.ReadFull(random, c.Secret); err != nil {
		return nil, fmt.Errorf("choose repository secret: %w", err)
	}
	return versioned.Encode(c, configBounds)
}

// SealConfig chooses what never changes in a new repository, and returns the object that says so.
func SealConfig(repository string, root, metadata *crypto.Key, random io.Reader, now func() time.Time) ([]byte, error) {
	plain, err := newConfig(repository, random)
	if err != nil {
		return nil, err
	}
	config, err := seal(metadata, root, binding(repository, Config), plain, random, now)
	if err != nil {
		return nil, fmt.Errorf("seal config: %w", err)
	}
	return config, nil
}

// openConfig opens the stored config; the root must have signed it.
func (s *Objects) openConfig(object []byte) error {
	if err := s.keys.CheckConfig(object); err != nil {
		return fmt.Errorf("open config: %w", err)
	}
	opened, err := s.openSealed(object, s.keys.Signers(Config), Config, time.Time{})
	if err != nil {
		return fmt.Errorf("open config: %w", err)
	}
	content, err := s.decompressRecord(Config, opened.Plain)
	if err != nil {
		return fmt.Errorf("open config: %w", err)
	}
	var c configRecord
	if err := versioned.ParseFirst(content, &c, configBounds); err != nil {
		return fmt.Errorf("open config: %w", err)
	}
	rule := chunk.Rule(c.Chunker)
	if err := rule.Validate(); err != nil {
		return fmt.Errorf("open config: %w", err)
	}
	if c.Repository != s.keys.ID() || len(c.Secret) != len(chunk.Secret{}) {
		return fmt.Errorf("open config: it belongs to another repository: %w", crypto.ErrIntegrity)
	}
	s.config = config{secret: chunk.Secret(c.Secret), rule: rule}
	return nil
}

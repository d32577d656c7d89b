package keyring

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightjar/crypto"
)

const (
	objectMax   = 16 << 20
	hostsMax    = 10_000
	recoveryMax = 64
	prefix      = "keys/"
	nameWidth   = 6
)

// A Role is what a host may do.
type Role string

const (
	Backup Role = "backup" // write packs, indexes and archives
	Prune  Role = "prune"  // write records of maintenance
)

// Name returns the name of the keys object of that number.
func Name(number int) string { return fmt.Sprintf("%s%0*d", prefix, nameWidth, number) }

// Number returns the number of a keys object by its name; ok is false if the name is none.
func Number(name string) (number int, ok bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(name, prefix))
	return n, err == nil && n > 0 && Name(n) == name
}

type recordJSON struct {
	Version        int        `json:"version"`
	Number         int        `json:"number"`
	Repository     string     `json:"repository"`
	Features       []string   `json:"features"`
	Root           string     `json:"root"`
	Content        []sealJSON `json:"content"`
	Metadata       []sealJSON `json:"metadata"`
	Recovery       []string   `json:"recovery"`
	Hosts          []hostJSON `json:"hosts"`
	Grace          int64      `json:"grace"`
	Secrets        string     `json:"secrets"`
	MetadataSecret string     `json:"metadata_secret"`
}

type sealJSON struct {
	Certificate string     `json:"certificate"`
	Retired     *time.Time `json:"retired,omitempty"`
}

type hostJSON struct {
	Name         string            `json:"name"`
	Roles        []Role            `json:"roles"`
	Certificates []certificateJSON `json:"certificates"`
}

type certificateJSON struct {
	Certificate string     `json:"certificate"`
	From        *time.Time `json:"from,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	Compromised bool       `json:"compromised,omitempty"`
}

// sign makes the object.
func (r *recordJSON) sign(root *crypto.Key, now time.Time) ([]byte, error) {
	content, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	b := crypto.Binding{Repository: r.Repository, Kind: Name(r.Number), Version: r.Version}
	return crypto.Sign(root, append(content, '\n'), b, now)
}

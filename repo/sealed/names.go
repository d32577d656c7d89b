package sealed

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"slices"
	"strings"

	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/store"
)

// kinds are the folders of objects that are named by their hash.
var kinds = []string{"content", "metadata", "index", "archive", "forget", "verified", "lost", "condemned", "dropped"}

// recordMax returns how many bytes a record of a kind may have, decompressed, of which so many are stored.
func recordMax(kind string, stored int) int {
	switch kind {
	case Config:
		return configBounds.Bytes
	case "archive":
		return record.ArchiveMax
	case "index":
		return index.MaxPlain(stored)
	}
	return record.MaxSize
}

// Kind returns what an object of this name should be, by its folder, or "" if the format has no such name.
func Kind(name string) string {
	if name == Config {
		return Config
	}
	if _, ok := keyring.Number(name); ok {
		return "keys"
	}
	kind, _, ok := strings.Cut(name, "/")
	if !ok || !IsName(kind, name) {
		return ""
	}
	if slices.Contains(kinds, kind) {
		return kind
	}
	return ""
}

// Belongs says what has its place under a name: an object (0), a folder of objects, or store.Nothing.
func Belongs(name string) fs.FileMode {
	if Kind(name) != "" {
		return 0
	}
	kind, sub, deep := strings.Cut(name, "/")
	switch isPack := kind == pack.Content.String() || kind == pack.Metadata.String(); {
	case !deep && (kind == "keys" || slices.Contains(kinds, kind)):
		return fs.ModeDir
	case deep && isPack && len(sub) == 2 && strings.Trim(sub, "0123456789abcdef") == "":
		return fs.ModeDir
	}
	return store.Nothing
}

// ObjectID returns the hash in an object's name.
func ObjectID(name string) (index.ObjectID, error) { return index.ParseObjectID(path.Base(name)) }

// PackName returns where a pack lies.
func PackName(kind pack.Kind, id index.ObjectID) string { return Name(kind.String(), id) }

// nameOf returns where an object of a kind with this content lies.
func nameOf(kind string, object []byte) string {
	sum := sha256.Sum256(object)
	return Name(kind, sum)
}

// Name returns where an object of a kind lies that has this hash.
func Name(kind string, sum [32]byte) string {
	h := hex.EncodeToString(sum[:])
	if kind == pack.Content.String() || kind == pack.Metadata.String() {
		return kind + "/" + h[:2] + "/" + h
	}
	return kind + "/" + h
}

// IsName reports whether name is that of an object of the kind, and no stranger.
func IsName(kind, name string) bool {
	sum, ok := store.SumOf(name)
	return ok && Name(kind, sum) == name
}

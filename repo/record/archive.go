package record

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/chunk"
	"nightjar/internal/quote"
	"nightjar/internal/versioned"
	"nightjar/repo/index"
)

// ArchiveMax is how many bytes an archive may have, decompressed.
const ArchiveMax = 4 << 20

// archiveBounds leave room for as many paths as a command line takes.
var archiveBounds = versioned.Bounds{Bytes: ArchiveMax, Objects: 64, Values: 1 << 18}

// An Archive is what the host signs of one finished backup run. doc/format.md, section 8.
type Archive struct {
	Version     int               `json:"version"`
	Host        string            `json:"host"`
	Job         Text              `json:"job"`
	Kind        Text              `json:"kind"` // Files, Stream, or what else a program saves
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
}

// Root names the tree that holds the root directory.
type Root struct {
	ID     chunk.ID `json:"id"`
	Length int64    `json:"length"`
}

// Kinds of archives. Others are of programs of their own, and of later versions: a reader that does not know one shows it.
const (
	Files  Text = "files" // what an archive is of that does not say it
	Stream Text = "stream"
)

// Labels say more of an archive; keys, too, may be any bytes.
type Labels map[Text]Text

// Needs is the label that names archives of the same host without which this one is of no use: their ids, separated by spaces. Retention keeps these, too.
const Needs Text = "needs"

// Needs returns the ids that the label of that name has, without what is no id.
func (l Labels) Needs() []string {
	return slices.DeleteFunc(strings.Fields(string(l[Needs])), func(id string) bool { return !isID(id) })
}

func isID(s string) bool {
	_, err := index.ParseObjectID(s)
	return err == nil
}

// MarshalJSON escapes keys as well as values: encoding/json takes keys of a string type as they are, yet hands them to UnmarshalText when it reads.
func (l Labels) MarshalJSON() ([]byte, error) {
	escaped := make(map[string]Text, len(l))
	for k, v := range l {
		escaped[quote.Text(string(k))] = v
	}
	return json.Marshal(escaped)
}

// Encode returns the archive as it is sealed.
func (a *Archive) Encode() ([]byte, error) {
	b, err := versioned.Encode(a, archiveBounds)
	if err != nil {
		return nil, fmt.Errorf("encode archive: %w", err)
	}
	return b, nil
}

// Decode parses an archive. Members that are not known are ignored.
func (a *Archive) Decode(b []byte) error {
	err := versioned.Parse(b, a, archiveBounds)
	a.Kind = cmp.Or(a.Kind, Files)
	return err
}

// Fits returns an error if the archive would have more than one may have, once the run has filled it in, or labels that differ in case only, or that name as
// needed what is no archive.
func (a *Archive) Fits() error {
	for _, id := range strings.Fields(string(a.Labels[Needs])) {
		if !isID(id) {
			return fmt.Errorf("label %s: %q is no id of an archive, which has 64 digits", Needs, id)
		}
	}
	b := archiveBounds
	b.Bytes, b.Values = b.Bytes-256<<10, b.Values-8<<10
	_, err := versioned.Encode(a, b)
	return err
}

// View returns the last one that the run took; zero if it took none.
func (a *Archive) View() (last time.Time) {
	for _, v := range a.Views {
		if v.After(last) {
			last = v
		}
	}
	return last
}

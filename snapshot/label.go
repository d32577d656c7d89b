package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Prefix begins the key of every tag of this tool.
const Prefix = "nightjar:"

// Keys of tags that all snapshots of a set have with the same value, from their creation.
const (
	TagSet         = Prefix + "set"
	TagJob         = Prefix + "job"
	TagHost        = Prefix + "host"
	TagTime        = Prefix + "time"
	TagClass       = Prefix + "class"
	TagConsistency = Prefix + "consistency"
	TagWhy         = Prefix + "why"
	TagPosition    = Prefix + "position" // FILE:OFFSET
	TagGTIDs       = Prefix + "gtids"
	TagGTIDSum     = Prefix + "gtids-sha256"
	TagServer      = Prefix + "server"
	tagMap         = Prefix + "map-" // and a number, from 1
)

// Keys of tags of single snapshots. One without TagVolume is half tagged.
const (
	TagVolume   = Prefix + "volume"
	TagCopyOf   = Prefix + "copy-of"   // the snapshot that it is a copy of
	TagCopyFrom = Prefix + "copy-from" // and its region
)

// MaxTags is how many tags EC2 lets a snapshot have.
const MaxTags = 50

// MaxVolumes is how many volumes of an instance EC2 takes together.
const MaxVolumes = 128

// Limits of what Encode writes and Decode reads.
const (
	maxValue = 255  // of a tag, in bytes
	maxName  = 128  // of a job, a host, a class, a device or a server, unescaped
	maxMap   = 34   // tags with the map of volumes, which leaves room for others
	maxPath  = 4096 // of a mount, unescaped
)

const timeForm = "2006-01-02T15:04:05.000Z"

var (
	isID     = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.-]{0,63}$`)
	isVolume = regexp.MustCompile(`^vol-[0-9a-z]{1,60}$`)
	isSum    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// ErrNoLabel says that tags are not those of a set.
var ErrNoLabel = errors.New("no tags of a set")

// SumGTIDs returns what Position.GTIDSum is of a GTID set, byte for byte.
func SumGTIDs(gtids string) string {
	sum := sha256.Sum256([]byte(gtids))
	return hex.EncodeToString(sum[:])
}

// Encode returns the tags that say l, with characters that every service of Amazon accepts. They keep milliseconds of the time, of Why what
// fits into a tag, and of GTIDs that do not fit their sum alone. It fails if anything else is beyond its limit.
func Encode(l Label) (map[string]string, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	tags := map[string]string{TagSet: l.ID, TagTime: l.Time.UTC().Format(timeForm), TagConsistency: string(l.Consistency)}
	add := func(key, value string) {
		if value != "" {
			tags[key] = value
		}
	}
	add(TagJob, Escape(l.Job))
	add(TagHost, Escape(l.Host))
	add(TagClass, Escape(l.Class))
	add(TagWhy, escapeUpTo(l.Why, maxValue))
	add(TagServer, Escape(l.Position.Server))
	if l.Position.File != "" {
		add(TagPosition, Escape(l.Position.File)+":"+strconv.FormatUint(l.Position.Offset, 10))
	}
	add(TagGTIDSum, l.Position.GTIDSum)
	if l.Position.GTIDs != "" {
		add(TagGTIDSum, SumGTIDs(l.Position.GTIDs))
		if len(l.Position.GTIDs) <= maxValue {
			add(TagGTIDs, Escape(l.Position.GTIDs))
		}
	}
	if len(tags[TagGTIDs]) > maxValue {
		delete(tags, TagGTIDs)
	}
	for key, value := range tags {
		if len(value) > maxValue {
			return nil, fmt.Errorf("write tag %s: %d bytes are too many", key, len(value))
		}
	}
	packed := packVolumes(l.Volumes)
	if len(packed) > maxMap {
		return nil, fmt.Errorf("write the map of %d volumes: it takes %d tags, and %d is the most", len(l.Volumes), len(packed), maxMap)
	}
	for i, value := range packed {
		tags[tagMap+strconv.Itoa(i+1)] = value
	}
	return tags, nil
}

// Decode reads what Encode wrote, among other tags. The error is ErrNoLabel if the tags are of no set.
func Decode(tags map[string]string) (Label, error) {
	if _, ok := tags[TagSet]; !ok {
		return Label{}, ErrNoLabel
	}
	l := Label{ID: tags[TagSet], Consistency: Consistency(tags[TagConsistency])}
	var err error
	if l.Time, err = time.Parse(timeForm, tags[TagTime]); err != nil {
		return Label{}, fmt.Errorf("read tag %s: it is no time", TagTime)
	}
	for key, to := range map[string]*string{
		TagJob: &l.Job, TagHost: &l.Host, TagClass: &l.Class, TagWhy: &l.Why, TagServer: &l.Position.Server, TagGTIDs: &l.Position.GTIDs,
	} {
		if *to, err = unescape(tags[key]); err != nil {
			return Label{}, fmt.Errorf("read tag %s: %w", key, err)
		}
	}
	if l.Position.File, l.Position.Offset, err = readPosition(tags[TagPosition]); err != nil {
		return Label{}, fmt.Errorf("read tag %s: %w", TagPosition, err)
	}
	l.Position.GTIDSum = tags[TagGTIDSum]
	var packed strings.Builder
	for i := 1; i <= maxMap; i++ {
		value, ok := tags[tagMap+strconv.Itoa(i)]
		if !ok {
			break
		}
		if len(value) > maxValue {
			return Label{}, fmt.Errorf("read tag %s%d: %d bytes are too many", tagMap, i, len(value))
		}
		packed.WriteString(value)
	}
	if l.Volumes, err = unpackVolumes(packed.String()); err != nil {
		return Label{}, fmt.Errorf("read tags %s…: %w", tagMap, err)
	}
	return l, l.check()
}

func readPosition(value string) (file string, offset uint64, err error) {
	if value == "" {
		return "", 0, nil
	}
	at := strings.LastIndexByte(value, ':')
	if at <= 0 {
		return "", 0, errors.New("it is not FILE:OFFSET")
	}
	if offset, err = strconv.ParseUint(value[at+1:], 10, 64); err != nil {
		return "", 0, errors.New("its offset is no number")
	}
	file, err = unescape(value[:at])
	return file, offset, err
}

// check tells what may not be in a label, wherever it comes from.
func (l Label) check() error {
	if !isID.MatchString(l.ID) {
		return errors.New("check a label: it has no proper id of a set")
	}
	if y := l.Time.UTC().Year(); y < 2000 || y > 9999 {
		return fmt.Errorf("check label %s: year %d", l.ID, y)
	}
	if !l.Consistency.Known() {
		return fmt.Errorf("check label %s: there is no consistency %.20q", l.ID, l.Consistency)
	}
	for what, s := range map[string]string{"job": l.Job, "host": l.Host, "class": l.Class, "binary log": l.Position.File, "server": l.Position.Server} {
		if len(s) > maxName {
			return fmt.Errorf("check label %s: its %s has %d bytes, and %d is the most", l.ID, what, len(s), maxName)
		}
	}
	if p := l.Position; p.GTIDSum != "" && (!isSum.MatchString(p.GTIDSum) || p.GTIDs != "" && p.GTIDSum != SumGTIDs(p.GTIDs)) {
		return fmt.Errorf("check label %s: its GTIDs have another sum", l.ID)
	}
	return checkVolumes(l)
}

func checkVolumes(l Label) error {
	if len(l.Volumes) > MaxVolumes {
		return fmt.Errorf("check label %s: %d volumes, and %d is the most", l.ID, len(l.Volumes), MaxVolumes)
	}
	seen := map[string]bool{}
	for _, v := range l.Volumes {
		switch {
		case !isVolume.MatchString(v.ID):
			return fmt.Errorf("check label %s: %.80q is no volume", l.ID, v.ID)
		case seen[v.ID]:
			return fmt.Errorf("check label %s: %s is there twice", l.ID, v.ID)
		case len(v.Device) > maxName, len(v.FS) > maxName, len(v.Mode) > maxPath, len(v.Mount) > maxPath:
			return fmt.Errorf("check label %s: what it says of %s is too long", l.ID, v.ID)
		}
		seen[v.ID] = true
	}
	return nil
}

// Known reports whether there is such a consistency.
func (c Consistency) Known() bool { return c.rank() > 0 }

// AtLeast reports whether c is as strong as other, or stronger. What is unknown is weaker than all.
func (c Consistency) AtLeast(other Consistency) bool { return c.rank() >= other.rank() }

func (c Consistency) rank() int {
	switch c {
	case Apart:
		return 1
	case Crash:
		return 2
	case FileSystem:
		return 3
	case Application:
		return 4
	}
	return 0
}

// Description says for people, in at most 255 printable ASCII characters, what a snapshot is part of.
func (l Label) Description() string {
	return printable(fmt.Sprintf("nightjar: %s of %s, %s, set %s of %d volumes", or(l.Job, "no job"), or(l.Host, "no host"), l.Time.UTC().Format("2006-01-02 15:04:05 UTC"), l.ID, len(l.Volumes)), maxValue)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func printable(s string, most int) string {
	b := []byte(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s))
	return string(b[:min(len(b), most)])
}

// OfSet reports whether a tag is one of those that all snapshots of a set have with the same value.
func OfSet(key string) bool {
	return strings.HasPrefix(key, Prefix) && key != TagVolume && key != TagCopyOf && key != TagCopyFrom && !IsArchived(key)
}

package place

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/durable"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
)

// Servers is the file in which this machine remembers what servers do and lack; "" remembers nothing. Losing it costs a few requests and a warning,
// and that one server may do less than it did without an error.
type Servers string

const maxServers = 1 << 20 // bytes of the file

var serversMutex sync.Mutex // of this process; of two that learn at the same time, the later counts

// ServersIn returns the file in a state folder.
func ServersIn(state string) Servers {
	if state == "" {
		return ""
	}
	return Servers(filepath.Join(state, "servers.json"))
}

// A server is what is remembered of one.
type server struct {
	s3.Abilities
	Lacks []string `json:"lacks,omitempty"` // of a store that is no bucket: what was told
}

// read returns what is remembered, by the names of places.
func (f Servers) read() (map[string]server, error) {
	all := map[string]server{}
	if f == "" {
		return all, nil
	}
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxServers))
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		return map[string]server{}, fmt.Errorf("read what is known of servers: %s: %w", f, err)
	}
	return all, nil
}

// remember changes what is known of a place from now on.
func (f Servers) remember(place string, change func(*server)) error {
	if f == "" {
		return nil
	}
	serversMutex.Lock()
	defer serversMutex.Unlock()
	all, err := f.read()
	what := all[place]
	change(&what)
	if err == nil && reflect.DeepEqual(all[place], what) {
		return nil
	}
	all[place] = what // of a file that is damaged, no more was to be had
	data, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = durable.MkdirAll(filepath.Dir(string(f)), 0o700)
	}
	if err == nil {
		err = durable.WriteFile(string(f), append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember what the server of %s does: %w", place, err)
	}
	return nil
}

// learned is remember for what a store learns, whom nothing stops.
func (o *Options) learned(place string, change func(*server)) {
	if err := o.Servers.remember(place, change); err != nil {
		o.Warn(err)
	}
}

// abilities returns what is known of the server of a place: what the command line says, else what this machine remembers.
func (o *Options) abilities(ctx context.Context, l store.Location) (s3.Abilities, error) {
	all, err := o.Servers.read()
	if err != nil {
		o.Warn(err)
	}
	known := all[o.Name(ctx, l)].Abilities
	for _, words := range o.Bucket.Lacks {
		for word := range strings.SplitSeq(words, ",") {
			switch word {
			case lacksConditions:
				known.Conditions = s3.Refuses
			case lacksChecksums:
				known.Checksums = s3.Refuses
			case lacksNothing:
				known = s3.Abilities{}
			default:
				return known, usage.Errorf("--%sserver-lacks %q: it is %s, %s or %s", o.Bucket.prefix, word, lacksConditions, lacksChecksums, lacksNothing)
			}
		}
	}
	return known, nil
}

// What --server-lacks takes.
const (
	lacksConditions = "conditions"
	lacksChecksums  = "checksums"
	lacksNothing    = "nothing" // found out anew
)

// lacks returns what a machine has to say that has not found it out.
func lacks(known s3.Abilities) string {
	var words []string
	if known.Conditions == s3.Ignores || known.Conditions == s3.Refuses {
		words = append(words, lacksConditions)
	}
	if known.Checksums == s3.Refuses {
		words = append(words, lacksChecksums)
	}
	return strings.Join(words, ",")
}

package session

import (
	"context"

	"nightjar/repo/statedir"
)

// Here returns the name under which this machine is enrolled in the configured repository, as it remembers that: the repository is not asked. It is empty if it is not known.
func (set *Settings) Here(ctx context.Context) string {
	at, err := set.configured()
	if err != nil {
		return ""
	}
	folder, err := set.StateFolder()
	if err != nil {
		return ""
	}
	state := statedir.Dir(folder)
	repository, err := state.At(set.Reach().Name(ctx, at))
	if err != nil || repository == "" {
		return ""
	}
	keys, err := state.Keys(repository)
	if err != nil {
		return ""
	}
	key, err := hostKey(keys, state)
	if err != nil {
		return ""
	}
	name, err := keys.HostName(key.Fingerprint())
	if err != nil {
		return ""
	}
	return name
}

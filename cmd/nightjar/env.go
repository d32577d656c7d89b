package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/session"
)

// newApp returns an app with all that nightjar takes from its environment: nothing else reads that, but for what the AWS SDK is told of buckets, and what is handed to stores.
func newApp() *app.App {
	a := &app.App{IsRoot: os.Geteuid() == 0, In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	state, cache := defaultFolders(a.IsRoot)
	a.Settings = session.Settings{
		Repo:     os.Getenv("NIGHTJAR_REPO"),
		StateDir: cmp.Or(os.Getenv("NIGHTJAR_STATE_DIR"), state), CacheDir: cmp.Or(os.Getenv("NIGHTJAR_CACHE_DIR"), cache),
		TempDir:    os.Getenv("TMPDIR"),
		Bucket:     place.Bucket{CacheLimit: os.Getenv("NIGHTJAR_CACHE_LIMIT")},
		Passphrase: os.Getenv("PASSPHRASE"), SignPassphrase: os.Getenv("SIGN_PASSPHRASE"),
		Getenv: os.Getenv,
		Now:    time.Now, Warn: func(err error) { a.Say("warning", err.Error()) }, Stderr: a.Err,
		Interrupted: func() { os.Exit(outcome.Interrupted) },
		Children: slices.DeleteFunc(os.Environ(), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return slices.Contains(app.SecretVariables, name) // no business of theirs
		}),
	}
	a.Config, a.UsualFiles = os.Getenv("NIGHTJAR_CONFIG"), usualFiles(a.IsRoot)
	a.HostName, _ = os.Hostname() // an empty one is asked for where it is needed
	return a
}

// defaultFolders returns empty names where there is no place for them.
func defaultFolders(root bool) (state, cache string) {
	if root {
		return "/var/lib/nightjar", "/var/cache/nightjar"
	}
	if dir, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(dir, "nightjar")
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		state = filepath.Join(dir, "nightjar")
	} else if home, err := os.UserHomeDir(); err == nil {
		state = filepath.Join(home, ".local", "state", "nightjar")
	}
	return state, cache
}

// systemFile is the job file of a machine.
const systemFile = "/etc/nightjar/nightjar.toml"

// usualFiles returns where the job file is looked for: the first that is there, and may be read, counts. Root does not go by a file in anybody's home.
func usualFiles(root bool) []string {
	if root {
		return []string{systemFile}
	}
	if dir, err := os.UserConfigDir(); err == nil && filepath.IsAbs(dir) {
		return []string{filepath.Join(dir, "nightjar", "nightjar.toml"), systemFile}
	}
	return []string{systemFile}
}

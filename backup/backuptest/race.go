//go:build race

package backuptest

// Race says whether the race detector is in.
const Race = true

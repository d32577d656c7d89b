// Package keep sees to sets of snapshots: it lists, copies and prunes them, waits for them, and has them taken by a schedule.
package keep

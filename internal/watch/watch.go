// Package watch lets somebody see how far a backup or a restore is.
package watch

import "sync/atomic"

// Progress counts a running backup or restore. Fields only grow, and may be read at any time.
type Progress struct {
	Files   atomic.Uint64 // dealt with
	Bytes   atomic.Uint64 // of content, dealt with
	Problem atomic.Uint64 // reported
}

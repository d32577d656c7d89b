package repo

import (
	"fmt"
	"time"

	"nightjar/repo/store"
)

// tries is how often an object is written again that the store dates otherwise than it says of itself.
const tries = 3

// inTime lets put store an object that says when it was made, until the store agrees. now is asked before each time, and decides whether it may be stored at all.
func inTime(now func() (time.Time, error), put func(time.Time) (store.Info, error)) (info store.Info, err error) {
	for range tries {
		at, err := now()
		if err != nil {
			return info, err
		}
		if info, err = put(at); err != nil || !skewed(at, info.Time) {
			return info, err
		}
	}
	return info, fmt.Errorf("store %s: the store dates it %s, again and again too far from its last answer", info.Name, stamp(info.Time))
}

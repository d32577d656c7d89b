package backup

import "nightjar/backup/scan"

// Unsaved returns those of the paths from which nothing would be saved, though they can be read, and how many cannot be.
func Unsaved(o Options) (all []scan.Unsaved, missing int) {
	of := o.scan()
	return scan.FindUnsaved(o.Paths, &of)
}

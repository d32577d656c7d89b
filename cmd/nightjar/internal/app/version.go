package app

import "runtime/debug"

// stamped is the version that a build of a release was told.
var stamped string

// Version is the one that is stamped, or that of the module, which a build from a checkout takes from its version control.
func Version() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

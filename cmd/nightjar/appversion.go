package main

import "runtime/debug"

// stamped is the version that a build of a release was told.
var stamped string

// version is the one that is stamped, or that of the module, which a build from a checkout takes from its version control.
func version() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

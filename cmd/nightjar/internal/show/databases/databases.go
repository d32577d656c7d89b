// Package databases shows what was done with databases: dumps, hot backups and binary logs that were saved, dumps that were loaded, logs that were replayed.
//
// The invariant is that of package show: what a server says of itself is quoted. The package asks no server.
package databases

// Package roundtrip tries whether what a dump saved comes back, whatever was in the server: everything that MariaDB's own
// regression suite makes, and cases of its own that are worse.
//
// The oracle is the servers alone: CHECKSUM TABLE, SHOW CREATE, SHOW GRANTS and the rows of views, asked for on both sides
// by statements that the dump has no part in. What is neither equal nor named as left out fails.
//
// It has tests alone, which nobody may import.
package roundtrip

package repo

// For tests from outside.
var ArchiveBounds = archiveBounds

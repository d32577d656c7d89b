package server_test

import (
	"errors"
	"testing"

	"nightjar/mysqldump/server"
)

// What is refused is decided by what a server answers, and one that does not know a name is none to refuse.
func TestKeepingOf(t *testing.T) {
	for _, c := range []struct {
		name      string
		variables map[string]string
		binlog    bool // in files
		redo      bool
	}{
		{"older servers", map[string]string{"log_bin": "ON", "innodb_log_file_size": "100663296"}, true, true},
		{"nothing", nil, true, true},
		{"newer ones, as they come", map[string]string{"binlog_storage_engine": "", "innodb_log_archive": "OFF"}, true, true},
		{"a flag as a number", map[string]string{"innodb_log_archive": "0"}, true, true},
		{"a binary log in InnoDB", map[string]string{"binlog_storage_engine": "InnoDB", "innodb_log_archive": "OFF"}, false, true},
		{"another engine", map[string]string{"binlog_storage_engine": "rocksdb"}, false, true},
		{"an archived log", map[string]string{"binlog_storage_engine": "", "innodb_log_archive": "ON"}, true, false},
		{"an archived log, as a number", map[string]string{"innodb_log_archive": "1"}, true, false},
		{"both", map[string]string{"binlog_storage_engine": "innodb", "innodb_log_archive": "on"}, false, false},
	} {
		k := server.KeepingOf(c.variables)
		if err := k.BinaryLogFiles(); (err == nil) != c.binlog || err != nil && !errors.Is(err, server.ErrBinaryLogEngine) {
			t.Errorf("%s: the binary log: %v", c.name, err)
		}
		if err := k.RedoFiles(); (err == nil) != c.redo || err != nil && !errors.Is(err, server.ErrRedoArchive) {
			t.Errorf("%s: the log: %v", c.name, err)
		}
	}
}

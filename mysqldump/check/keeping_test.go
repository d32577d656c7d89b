package check

import "testing"

// What newer servers answer of their logs is a problem for those purposes alone that it breaks.
func TestKeeping(t *testing.T) {
	engine, archive := map[string]string{"binlog_storage_engine": "innodb"}, map[string]string{"innodb_log_archive": "ON"}
	for _, c := range []struct {
		variables map[string]string
		of        Purpose
		object    string // of the problem; empty: none
	}{
		{nil, Hot, ""},
		{map[string]string{"binlog_storage_engine": "", "innodb_log_archive": "OFF"}, Hot, ""},
		{engine, Dump, "binlog_storage_engine"},
		{engine, Hot, "binlog_storage_engine"},
		{engine, Binlog, "binlog_storage_engine"},
		{archive, Hot, "innodb_log_archive"},
		{archive, Dump, ""},
		{archive, Binlog, ""},
	} {
		found, err := lookAtKeeping(t.Context(), &look{variables: c.variables, o: Options{For: []Purpose{c.of}}})
		object := ""
		for _, f := range found {
			object += f.Object
			if f.Severity != Problem || f.Do == "" {
				t.Errorf("%v for %s: %+v", c.variables, c.of, f)
			}
		}
		if err != nil || object != c.object {
			t.Errorf("%v for %s: %+v, %v", c.variables, c.of, found, err)
		}
	}
}

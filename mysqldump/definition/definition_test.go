package definition

import (
	"testing"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

func TestDropPackage(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE d", "USE d", "SET sql_mode='ORACLE'", "CREATE PACKAGE p AS FUNCTION f RETURN INT; END", "CREATE PACKAGE BODY p AS FUNCTION f RETURN INT AS BEGIN RETURN 1; END; END")
	srv, err := server.New(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	c, err := srv.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d := Definition{Makes: []ddl.Made{{What: "PACKAGE BODY", Name: "p"}, {What: "PACKAGE", Name: "p"}}}
	if err := d.Drop(t.Context(), c, "d"); err != nil {
		t.Fatal(err)
	}
	if left, err := d.Present(t.Context(), c, "d"); left || err != nil {
		t.Errorf("after the package was dropped: it is there %v, %v", left, err)
	}
}

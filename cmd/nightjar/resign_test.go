package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/crypto"
	"nightjar/repo/store/directory"
)

// resign adds a number of the keys as the root would: with members changed, members of the first host's first certificate among them, as host.NAME=JSON.
//
//	resign NUMBER MEMBER=JSON...
func resign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: resign NUMBER MEMBER=JSON...")
	}
	found, err := filepath.Glob(ts.MkAbs("state/*/host.asc"))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d host keys", len(found))
	}
	key, err := crypto.ReadKey([]byte(ts.ReadFile(found[0])))
	ts.Check(err)
	plain, err := crypto.PeekUnverified([]byte(ts.ReadFile(ts.MkAbs("repo/keys/000001"))))
	ts.Check(err)
	var record map[string]any
	ts.Check(json.Unmarshal(plain, &record))
	secrets, err := crypto.NewOpener(key).Decrypt([]byte(record["secrets"].(string)))
	ts.Check(err)
	all, err := crypto.ReadKeys(secrets)
	ts.Check(err)
	root, err := crypto.ReadKey([]byte(record["root"].(string)))
	ts.Check(err)
	for _, k := range all {
		if k.Fingerprint() == root.Fingerprint() {
			root = k
		}
	}
	host := record["hosts"].([]any)[0].(map[string]any)["certificates"].([]any)[0].(map[string]any)
	set := func(name, value string) {
		to := record
		if strings.HasPrefix(name, "host.") {
			to, name = host, strings.TrimPrefix(name, "host.")
		}
		var v any
		ts.Check(json.Unmarshal([]byte(value), &v))
		to[name] = v
	}
	set("number", strings.TrimLeft(args[0], "0"))
	version := 0
	for _, a := range args[1:] {
		name, value, _ := strings.Cut(a, "=")
		set(name, value)
		if name == "version" {
			ts.Check(json.Unmarshal([]byte(value), &version))
		}
	}
	content, err := json.Marshal(record)
	ts.Check(err)
	name := "keys/" + args[0]
	signed, err := crypto.Sign(root, content, crypto.Binding{Repository: record["repository"].(string), Kind: name, Version: version}, time.Now())
	ts.Check(err)
	s, err := directory.Open(ts.MkAbs("repo"))
	ts.Check(err)
	defer s.Close()
	ts.Check(os.Chmod(ts.MkAbs("repo/keys"), 0o700))
	ts.Check(func() error { _, err := s.Put(context.Background(), name, signed); return err }())
}

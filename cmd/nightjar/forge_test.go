package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nightjar/crypto"
)

// forge writes keys as a thief would who has write credentials and a key: the newest ones with a recovery key of his own, signed by SIGNER. He leaves the true root in
// its place, or with --own-root puts his key there.
//
//	forge [--own-root] NUMBER SIGNER CERTIFICATE
func forge(ts *testscript.TestScript, neg bool, args []string) {
	ownRoot := len(args) > 0 && args[0] == "--own-root"
	if ownRoot {
		args = args[1:]
	}
	if neg || len(args) != 3 {
		ts.Fatalf("usage: forge [--own-root] NUMBER SIGNER CERTIFICATE")
	}
	signers, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(signers) != 1 {
		ts.Fatalf("%d files match", len(signers))
	}
	signer, err := crypto.ReadKey([]byte(ts.ReadFile(signers[0])))
	ts.Check(err)
	present, err := filepath.Glob(ts.MkAbs("repo/keys/*"))
	ts.Check(err)
	plain, err := crypto.PeekUnverified([]byte(ts.ReadFile(present[len(present)-1])))
	ts.Check(err)
	var record map[string]any
	ts.Check(json.Unmarshal(plain, &record))
	record["number"] = json.Number(strings.TrimLeft(args[0], "0"))
	record["recovery"] = append(record["recovery"].([]any), ts.ReadFile(args[2]))
	if ownRoot {
		armored, err := signer.ArmorPublic()
		ts.Check(err)
		record["root"] = string(armored)
	}
	content, err := json.Marshal(record)
	ts.Check(err)
	name := "keys/" + args[0]
	signed, err := crypto.Sign(signer, content, crypto.Binding{Repository: record["repository"].(string), Kind: name}, time.Now())
	ts.Check(err)
	ts.Check(os.Chmod(ts.MkAbs("repo/keys"), 0o700))
	ts.Check(os.WriteFile(ts.MkAbs("repo/"+name), signed, 0o400))
}

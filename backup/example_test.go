package backup_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"

	"nightjar/backup"
	"nightjar/backup/browse"
	"nightjar/backup/content"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// A dump of two tables, with a label that is known at its end and a note of each table.
func ExampleSave() {
	ctx := context.Background()
	r := exampleRepository(ctx)
	defer r.Close()

	template := &repo.Record{Job: "shop"}
	archive, _, err := backup.Save(ctx, r, template, backup.Options{}, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
		for name, rows := range map[string]string{"customers": "(1, 'Ada')", "orders": "(1, 1), (2, 1)"} {
			table, err := run.Create("shop/"+name+".sql", content.Hint{})
			if err != nil {
				return nil, err
			}
			defer table.Abort() // which does nothing after Close
			if _, err := table.ReadFrom(strings.NewReader("INSERT INTO " + name + " VALUES " + rows + ";\n")); err != nil {
				return nil, err
			}
			if err := table.Note("rows", fmt.Sprint(strings.Count(rows, "("))); err != nil {
				return nil, err
			}
			if err := table.Close(); err != nil {
				return nil, err
			}
		}
		return repo.Labels{"position": "binlog.000007:120"}, nil
	})
	if err != nil {
		panic(err)
	}

	fmt.Println("position", archive.Labels["position"])
	reader, err := r.NewReaderFor(ctx, archive)
	if err != nil {
		panic(err)
	}
	orders, _, err := browse.LookUp(ctx, reader, archive, "shop/orders.sql")
	if err != nil {
		panic(err)
	}
	fmt.Println("orders:", orders.Notes()["rows"], "rows")
	if err := browse.Cat(ctx, reader, archive, "shop/orders.sql", os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// position binlog.000007:120
	// orders: 2 rows
	// INSERT INTO orders VALUES (1, 1), (2, 1);
}

// exampleRepository makes a repository in memory, with one key for everything.
func exampleRepository(ctx context.Context) *repo.Repository {
	key, err := crypto.Generate("host", time.Now(), rand.Reader)
	if err != nil {
		panic(err)
	}
	s := store.NewMemory(nil)
	keys, err := repo.Init(ctx, s, repo.InitOptions{HostName: "host", Host: key, Recovery: []*crypto.Key{key}})
	if err != nil {
		panic(err)
	}
	r, err := repo.OpenContent(ctx, s, keys, keyring.Held(key), repo.Options{})
	if err == nil {
		err = r.SetHost(key)
	}
	if err != nil {
		panic(err)
	}
	return r
}

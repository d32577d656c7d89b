// Package torture does to nightjar what happens to it in the end: it is killed, its disks fill up, its network fails, its objects rot, and
// many do it all at once. After every fault the next run completes, nothing has to be unlocked, every archive that was ever committed
// restores to what was saved, byte for byte, or what is wrong is said by name, and no wrong byte is ever written.
//
// The package is tests alone. They drive the real program, which is built once, on small trees; what takes thousands of rounds calls the
// packages themselves. How many rounds is one number, -share: `make test` gives each fault a few, `make torture` all that the tests name.
// Every random choice comes from -seed, which is printed; a fault that was survived is counted, and a loss fails the test.
package torture

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

var (
	share = flag.Float64("share", 0.002, "part of the full number of rounds that each test does")
	seed  = flag.Uint64("seed", 1, "of all random choices")
)

// program is the path of the nightjar that is tested.
var program string

// alone says that the process has a mount namespace of its own, which goes when it does, with all disks that tests make.
const alone = "NIGHTJAR_TORTURE_ALONE"

func TestMain(m *testing.M) {
	flag.Parse()
	unshare, err := exec.LookPath("unshare")
	if err == nil && os.Geteuid() == 0 && os.Getenv(alone) == "" {
		os.Setenv(alone, "yes")
		err = syscall.Exec(unshare, append([]string{unshare, "--mount"}, os.Args...), os.Environ())
		fmt.Fprintln(os.Stderr, "unshare mounts:", err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	fmt.Printf("seed %d, share %g of all rounds\n", *seed, *share)
	dir, err := os.MkdirTemp("", "nightjar-torture-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "nightjar")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "nightjar/cmd/nightjar")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build nightjar: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// rounds is the test's part of the full number of rounds, and no less than least.
func rounds(full, least int) int { return max(least, int(*share*float64(full))) }

// some returns so many of the numbers below n, in order.
func some(r *rand.Rand, n, many int) []int {
	chosen := r.Perm(n)[:min(n, many)]
	slices.Sort(chosen)
	return chosen
}

// random is one of the sources of random choices.
func random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(*seed, stream)) }

// survived says what a test did to nightjar, once nothing was lost: a loss ends the test.
func survived(t *testing.T, faults int, what string) {
	t.Helper()
	if !t.Failed() {
		t.Logf("survived: %d %s; losses: 0", faults, what)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// need is for programs without which a test means nothing: it fails in CI, and is skipped, aloud, elsewhere.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			skip(t, err.Error())
		}
	}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED, NOTHING TESTED: ", why)
}

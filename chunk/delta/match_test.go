package delta

import (
	"bytes"
	"slices"
	"testing"

	"nightjar/chunk"
)

// What a change costs: how many bytes of literal, exactly, in blocks of 512.
func TestLiterals(t *testing.T) {
	old := noise(1, 100_000) // 195 blocks and a tail of 160
	zeros := make([]byte, 50_000)
	put := func(data []byte, at, n int) []byte {
		data = bytes.Clone(data)
		copy(data[at:], noise(99, n))
		return data
	}
	for _, c := range []struct {
		name     string
		old, new []byte
		expected int
		want     int
	}{
		{"nothing", old, old, 0, 0},
		{"empty", old, nil, 0, 0},
		{"all", old, noise(2, 5000), 0, 5000},
		{"one byte", old, put(old, 51_300, 1), 0, 512},
		{"across two blocks", old, put(old, 512*7+500, 20), 0, 1024},
		{"first and last byte", old, put(put(old, 0, 1), 99_999, 1), 0, 512 + 160},
		{"inserted in front", old, slices.Concat(noise(3, 10), old), 0, 10},
		{"inserted between blocks", old, slices.Concat(old[:5120], noise(3, 10), old[5120:]), 0, 10},
		{"inserted in a block", old, slices.Concat(old[:5000], noise(3, 10), old[5000:]), 0, 522},
		{"deleted in a block", old, slices.Concat(old[:5000], old[5010:]), 0, 502},
		{"deleted at the front", old, old[512*3:], 0, 0},
		{"appended", old, slices.Concat(old, noise(3, 700)), 0, 700},
		{"cut off", old, old[:512*8+100], 0, 100},
		{"moved", old, slices.Concat(old[51_200:], old[:51_200]), 0, 0},
		{"twice", old, slices.Concat(old, old), 0, 0},
		{"expected elsewhere", old, old[51_200:], 51_200, 0},
		{"expected outside", old, old, 1 << 40, 0},
		{"expected before", old, old, -1 << 40, 0},
		{"zeros", zeros, zeros, 0, 0},
		{"more zeros", zeros, make([]byte, 200_000), 0, 0},
		{"changed among zeros", zeros, put(zeros, 20_000, 1), 0, 512},
		{"zeros after a change", slices.Concat(old, zeros), slices.Concat(old[:50_000], zeros, old[50_000:], zeros), 0, 512 + 50_000%512 + minCopy},
	} {
		m := newModel(t, 512)
		base := m.base(false, m.whole(c.old, nil))
		if _, fresh := m.save(c.new, base, c.expected); fresh != c.want {
			t.Errorf("%s: %d bytes of literal, want %d", c.name, fresh, c.want)
		}
	}
}

// A literal's runs keep their grids, so that what was inserted, however small, is found again on other nights, and wherever it is moved.
func TestLiteralsMatchAgain(t *testing.T) {
	for _, readable := range []bool{false, true} {
		m := newModel(t, 512)
		data := noise(1, 200_000)
		c := m.whole(data, nil)
		for night := range 50 {
			at := 1000 + 3000*night
			data = slices.Concat(data[:at], noise(uint64(night)+100, 5+night), data[at:])
			next, fresh := m.save(data, m.base(readable, c), 0)
			if fresh > 512+5+night {
				t.Fatalf("readable %v, night %d: %d bytes of literal for %d new ones", readable, night, fresh, 5+night)
			}
			c = next
		}
		if _, fresh := m.save(slices.Concat(noise(7, 33), data), m.base(readable, c), 0); fresh != 33 {
			t.Errorf("readable %v: all shifted: %d bytes of literal", readable, fresh)
		}
	}
}

// Blocks of another size than most count where they are expected.
func TestMixedSizes(t *testing.T) {
	m := newModel(t, 512)
	a := m.whole(noise(1, 50_000), nil)
	m.block = 2048
	b := m.whole(noise(2, 20_000), nil)
	m.block = 300
	c := m.whole(noise(3, 20_000), nil)
	data := slices.Concat(noise(1, 50_000), noise(2, 20_000), noise(3, 20_000))
	if _, fresh := m.save(slices.Concat(noise(4, 100), data), m.base(false, a, b, c), 0); fresh != 100 {
		t.Errorf("%d bytes of literal", fresh)
	}
}

// Holes, unsigned chunks, and signatures of something else are unknown content; what follows them is in its place.
func TestUnknownContent(t *testing.T) {
	m := newModel(t, 512)
	a, b := m.whole(noise(1, 3000), nil), m.whole(noise(2, 5000), nil)
	base := &Base{}
	base.Skip(700)
	base.AppendWhole(a, nil)
	base.AppendWhole(a, m.signature(b))
	base.AppendWhole(Source{a.ID, 5000}, m.signature(b))
	base.AppendWhole(b, m.signature(b))
	base.AppendWhole(Source{b.ID, 3000}, m.signature(a)) // the same name with another length
	if base.Length() != 700+3000+3000+5000+5000+3000 {
		t.Fatalf("a base of %d bytes", base.Length())
	}
	match := m.matcher.Match(noise(2, 5000), base, 11_700)
	if want := []Copy{{1, 0, 5000}}; !slices.Equal(match.Recipe.Copies, want) || match.Recipe.Sources[0] != b {
		t.Errorf("made of %+v", match.Recipe)
	}
	base.Reset()
	if match := m.matcher.Match(noise(2, 5000), base, 11_700); len(match.Literal) != 5000 || base.Length() != 0 {
		t.Errorf("an empty base makes %+v", match.Recipe)
	}
}

// checkHostile matches data with a signature that need not be true: whatever comes out is in bounds, and cheap.
func checkHostile(t *testing.T, sig *Signature, data []byte, expected int) {
	t.Helper()
	signer := NewSigner(secret)
	hashed, hash := 0, signer.hash
	signer.hash = func(k0, k1 uint64, block []byte) (uint64, uint64) {
		hashed += len(block)
		return hash(k0, k1, block)
	}
	base := &Base{}
	base.AppendWhole(Source{chunk.ID{1}, sig.Length()}, sig)
	match := NewMatcher(signer).Match(data, base, expected)
	if err := match.Recipe.Validate(); err != nil {
		t.Fatal(err)
	}
	if hashed > 12*len(data)+9*MaxBlock {
		t.Fatalf("%d bytes are hashed for %d", hashed, len(data))
	}
	if len(match.Runs) > MaxRuns || match.Recipe.Length != len(data) {
		t.Fatalf("%d runs in %d bytes of %d", len(match.Runs), match.Recipe.Length, len(data))
	}
}

func TestHostileSignatures(t *testing.T) {
	data := make([]byte, 1<<20)
	s := NewSigner(secret)
	many := make([]int, 1<<15)
	for i := range many {
		many[i] = 16 + i%2*240
	}
	for name, runs := range map[string][]int{"plain": nil, "short runs": many} {
		length := 0
		for _, n := range runs {
			length += n
		}
		if runs == nil {
			length = chunk.MaxSize
		}
		sig := s.Sign(chunk.ID{1}, make([]byte, length), 256, runs)
		checkHostile(t, sig, data, 0)
		checkHostile(t, sig, data, 7)
		for i := range sig.sums { // all roll to the same sum, and none is true
			sig.sums[i].strong = [strongSize]byte{byte(i), byte(i >> 8), 1}
		}
		checkHostile(t, sig, data, 0)
		for i := range sig.sums { // all sums in one place of the table
			sig.sums[i].rolling = uint32(i)
		}
		t.Run(name, func(t *testing.T) { checkHostile(t, sig, noise(1, 1<<20), 0) })
	}
}

// Content made of single bytes and tails makes neither more runs than a signature may have nor more copies than a recipe.
func TestManyRuns(t *testing.T) {
	m := newModel(t, 256)
	old := noise(1, 16*70_000)
	runs := make([]int, len(old)/16)
	for i := range runs {
		runs[i] = 16
	}
	base := &Base{}
	base.AppendWhole(Source{m.namer.ID(old), len(old)}, m.signer.Sign(m.namer.ID(old), old, 256, runs))
	data := bytes.Clone(old)
	for i := 0; i < len(data); i += 32 {
		data[i]++
	}
	match := m.matcher.Match(data, base, 0)
	if n := len(data) / 32; len(match.Runs) != n {
		t.Errorf("%d runs, want %d", len(match.Runs), n)
	}
	long := slices.Concat(data, data, data, data) // expected nowhere after the first, so that the rest is literal
	if match := m.matcher.Match(long, base, 0); len(match.Runs) > MaxRuns || match.Recipe.Validate() != nil {
		t.Errorf("%d runs", len(match.Runs))
	}
	double := &Base{}
	for range 2 {
		double.AppendWhole(Source{m.namer.ID(old), len(old)}, m.signer.Sign(m.namer.ID(old), old, 256, runs))
		double.Skip(0)
	}
	match = m.matcher.Match(slices.Concat(data, data), double, 0)
	if len(match.Runs) != MaxRuns || match.Recipe.Validate() != nil {
		t.Errorf("%d runs, want the bound of %d", len(match.Runs), MaxRuns)
	}
	if _, err := DecodeSignature(m.signer.Sign(chunk.ID{1}, match.Literal, 256, match.Runs).Append(nil)); err != nil {
		t.Errorf("the literal's signature cannot be stored: %v", err)
	}
}

// A base knows at most MaxSources chunks and maxBlocks blocks. What comes after is old content all the same.
func TestBaseIsBounded(t *testing.T) {
	s := NewSigner(secret)
	sig := s.Sign(chunk.ID{1}, make([]byte, 32), 16, nil)
	base := &Base{}
	for i := range MaxSources + 10 {
		base.AppendWhole(Source{chunk.ID{byte(i), byte(i >> 8), byte(i >> 16)}, 32}, sig)
	}
	if len(base.sources) != MaxSources || len(base.blocks) != 2*MaxSources || base.Length() != 32*(MaxSources+10) {
		t.Errorf("%d sources, %d blocks, %d bytes", len(base.sources), len(base.blocks), base.Length())
	}
	base.Reset()
	sig = s.Sign(chunk.ID{1}, make([]byte, 300_000), 1, nil)
	for range 4 {
		base.AppendWhole(Source{chunk.ID{1}, 300_000}, sig)
	}
	if len(base.blocks) != maxBlocks || base.Length() != 1_200_000 {
		t.Errorf("%d blocks, %d bytes", len(base.blocks), base.Length())
	}
}

// FuzzMatch edits old content twice, and matches against whole chunks, then against what recipes made.
func FuzzMatch(f *testing.F) {
	f.Add(noise(1, 9000), []byte{0, 1, 2, 30, 1, 9, 9, 9, 4, 2, 1, 90}, uint16(0), int16(0), false)
	f.Add(make([]byte, 5000), []byte{3, 0, 0, 80, 6, 0, 7, 40, 5, 1, 1, 60, 2, 0, 3, 20}, uint16(256), int16(-700), true)
	f.Add([]byte{}, []byte{3, 0, 0, 200}, uint16(1000), int16(9), true)
	f.Fuzz(func(t *testing.T, old, edits []byte, block uint16, expected int16, readable bool) {
		if len(old) > 1<<14 || len(edits) > 1<<10 {
			return
		}
		m := newModel(t, MinBlock+int(block)%1024)
		half := len(old) / 2
		a, b := m.whole(old[:half], nil), m.whole(old[half:], nil)
		one, _ := m.save(edit(old, edits), m.base(readable, a, b), int(expected))
		two, _ := m.save(edit(m.get(one), edits), m.base(readable, b, one, a), int(expected))
		if _, fresh := m.save(slices.Concat([]byte{1}, m.get(two)), m.base(readable, two), 0); readable && fresh > two.Length+1 {
			t.Fatalf("%d bytes are new of %d", fresh, two.Length)
		}
	})
}

// edit applies a script: each four bytes change, insert, delete or move something somewhere.
func edit(data, script []byte) []byte {
	data = bytes.Clone(data)
	for ; len(script) >= 4 && len(data) < 1<<17; script = script[4:] {
		at, n := 0, 1+int(script[3])*int(script[3])/32
		if len(data) > 0 {
			at = (int(script[1])<<8 + int(script[2])) * 13 % len(data)
		}
		end := min(at+n, len(data))
		switch script[0] % 7 {
		case 0: // change in place
			copy(data[at:end], noise(uint64(script[0])<<8+uint64(n), n))
		case 1:
			data = slices.Insert(data, at, noise(uint64(script[0])<<8+uint64(n), n)...)
		case 2:
			data = slices.Delete(data, at, end)
		case 3:
			data = append(data, noise(uint64(n), n)...)
		case 4: // move to the front
			part := bytes.Clone(data[at:end])
			data = append(part, slices.Delete(data, at, end)...)
		case 5: // copy
			data = slices.Insert(data, len(data)-at, bytes.Clone(data[at:end])...)
		case 6:
			clear(data[at:end])
		}
	}
	return data
}

// Zeros that are new are copied from the nearest ones: they neither lean on another chunk, nor lead away from where the rest is expected.
func TestNewZeros(t *testing.T) {
	m := newModel(t, 512)
	const size, page = 256 << 10, 16 << 10
	var chunks []Source
	for seed := range uint64(3) {
		data := noise(seed, size)
		for at := 0; at < size; at += page {
			clear(data[at+page-2000 : at+page-200]) // as between the rows and the directory of a page
		}
		chunks = append(chunks, m.whole(data, nil))
	}
	data := bytes.Clone(m.wholes[chunks[1].ID])
	for at := 0; at < size; at += page {
		clear(data[at+5*512 : at+8*512])
	}
	clear(data[size-page:])
	got := m.matcher.Match(data, m.base(false, chunks...), size)
	if want := []Source{chunks[1]}; !slices.Equal(got.Recipe.Sources, want) || got.Shift != size || len(got.Literal) > 512 {
		t.Errorf("%d sources, shift %d, %d bytes of literal", len(got.Recipe.Sources), got.Shift, len(got.Literal))
	}
}

// One block that stands elsewhere says nothing about what follows it; two that agree do.
func TestStrays(t *testing.T) {
	m := newModel(t, 512)
	old := noise(1, 200_000)
	base := m.base(false, m.whole(old, nil))
	stray := slices.Concat(old[:51_200], old[512*300:512*301], old[51_712:100*512+5120], noise(2, 5000), old[512*380:512*381], noise(3, 70))
	if got := m.matcher.Match(stray, base, 0); got.Shift != 0 || len(got.Literal) != 5070 {
		t.Errorf("after strays: shift %d, %d bytes of literal", got.Shift, len(got.Literal))
	}
	moved := slices.Concat(noise(2, 77), old[512:512*9], noise(3, 600))
	if got := m.matcher.Match(moved, base, 0); got.Shift != 512-77 || len(got.Literal) != 677 {
		t.Errorf("after an insertion: shift %d, %d bytes of literal", got.Shift, len(got.Literal))
	}
}

// A signature of the largest blocks in the shortest runs makes every search sum up a window for few bytes: the matcher gives up on it.
func TestWindowsInVain(t *testing.T) {
	const run, size = 16, 1 << 20
	m := newModel(t, MaxBlock)
	old := noise(1, size)
	base := m.base(false, m.whole(old, slices.Repeat([]int{run}, size/run)))
	data := bytes.Clone(old)
	for at := 0; at < size; at += 2 * run {
		data[at]++
	}
	got := m.matcher.Match(data, base, 0)
	if most := 8 * (size + MaxBlock) / (MaxBlock/8 - 2*run); len(got.Runs) > most+2 {
		t.Errorf("%d windows of %d bytes were summed up for %d bytes", len(got.Runs), MaxBlock, size)
	}
}

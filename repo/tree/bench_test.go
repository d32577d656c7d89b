package tree

import (
	"testing"

	"nightjar/chunk"
)

func benchNodes() []Node {
	nodes := make([]Node, 20_000)
	for i := range nodes {
		nodes[i] = fileNode(i)
	}
	return nodes
}

func BenchmarkEncode(b *testing.B) {
	nodes := benchNodes()
	e := NewEncoder(testKey, func(tree []byte) (chunk.ID, error) { return chunk.ID{}, nil })
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i == len(nodes) {
			i = 0
			e.Reset()
		}
		if err := e.Add(&nodes[i]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	tree := encodeOne(b, benchNodes()[:500])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(tree); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*500), "ns/entry")
}

func BenchmarkNodes(b *testing.B) {
	s := blobs{}
	nodes := benchNodes()
	c := Contents{Items: encodeDir(b, s, len(nodes), func(i int) *Node { return &nodes[i] })}
	for b.Loop() {
		for _, err := range Nodes(c, s.get) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(nodes)), "ns/entry")
}

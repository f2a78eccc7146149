package vtop

import "testing"

// BenchmarkMapped is the cost of going through all tables.
func BenchmarkMapped(b *testing.B) {
	s, _, pages := benchSpace(b, false)
	for b.Loop() {
		n := 0
		s.Mapped(0, ^VA(0), 1<<30, func(Mapping) bool { n++; return true })
		if n != pages {
			b.Fatal(n)
		}
	}
}

// BenchmarkVisit is that of finding the pages of the kernel's half.
func BenchmarkVisit(b *testing.B) {
	s, _, _ := benchSpace(b, false)
	for b.Loop() {
		s.Visit(KernelHalf, &everyTable{})
	}
}

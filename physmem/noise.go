package physmem

import "windmp/internal/binio"

// How memory is sampled for noise: pages at equal distances, of which nearly all that
// are not zeros must be noise, and some at least. Memory of a guest has page tables,
// code and lists; of an encrypted guest the pages that it shares with its host, and
// those that it never touched, are as they were.
const (
	noiseSamples = 256
	noiseLeast   = 16
	noiseOf      = 16 // at most one of so many is no noise
)

// IsNoise reports whether memory is noise throughout, as that of an encrypted guest is,
// and the pages of an encrypted dump. It reads at most a MiB.
func IsNoise(m Memory) bool {
	ranges := m.Ranges()
	var pages uint64
	for _, r := range ranges {
		pages += r.Size / PageSize
	}
	step := max(1, pages/noiseSamples)
	page := make([]byte, PageSize)
	noise, other := 0, 0
	next := uint64(0) // the number of the next sample among all pages
	before := uint64(0)
	for _, r := range ranges {
		for n := r.Size / PageSize; next < before+n; next += step {
			pa := r.Start + (next-before)*PageSize
			if _, err := m.ReadAt(page, int64(pa)); err != nil { //nolint:gosec // memory ends at MaxAddress
				continue
			}
			switch {
			case binio.IsNoise(page):
				noise++
			case !binio.IsZero(page):
				other++
			}
		}
		before += r.Size / PageSize
	}
	return noise >= noiseLeast && other <= noise/noiseOf
}

// IsNoise reports whether the image's memory is noise throughout; see [IsNoise].
func (m *Image) IsNoise() bool { return IsNoise(m.container.Memory) }

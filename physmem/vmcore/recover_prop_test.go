package vmcore_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// seeds is how many machines of chance there are: with 10,000 a test takes most of a
// second.
func seeds() uint64 {
	if testing.Short() {
		return 800
	}
	return 10000
}

// randomMachine is a guest of a few blocks, holes between them or not, some
// mappings, some of them beyond the ends of blocks, and maybe a filter. unit
// is what everything is a multiple of.
func randomMachine(rnd *rand.Rand, unit uint64) *machine {
	q := &machine{}
	at := rnd.Uint64N(3) * rnd.Uint64N(8) * unit
	for range 1 + rnd.IntN(5) {
		b := physmem.Range{Start: at, Size: (1 + rnd.Uint64N(24)) * unit}
		q.blocks = append(q.blocks, b)
		at = b.End()
		if rnd.IntN(4) > 0 {
			at += rnd.Uint64N(24) * unit
		}
	}
	if rnd.IntN(3) == 0 {
		start := rnd.Uint64N(at)
		q.filter = &physmem.Range{Start: start, Size: 1 + rnd.Uint64N(at-start)}
	}
	for range 1 + rnd.IntN(10) {
		q.mapped(rnd.Uint64N(at), 1+rnd.Uint64N(4*unit))
	}
	return q
}

// randomRAM is true ranges of RAM, as a guest may know them.
func randomRAM(rnd *rand.Rand, q *machine) []physmem.Range {
	var out []physmem.Range
	for _, b := range q.blocks {
		for range rnd.IntN(3) {
			start := b.Start + rnd.Uint64N(b.Size)
			out = append(out, physmem.Range{Start: start, Size: 1 + rnd.Uint64N(b.End()-start)})
		}
		if rnd.IntN(3) == 0 {
			out = append(out, b)
		}
	}
	return out
}

// TestRecoverNeverLies checks, for random machines, that no byte is placed
// anywhere else than where it is, whatever the mappings, the filter and the
// known RAM; and the same of likely candidates of machines with a single hole.
func TestRecoverNeverLies(t *testing.T) {
	t.Parallel()
	var opened, placed, recoveredAll int
	for seed := range seeds() {
		rnd := rand.New(rand.NewPCG(seed, 7))
		q := randomMachine(rnd, 1+15*rnd.Uint64N(2))
		m, err := q.tryOpen()
		if err != nil {
			continue // no mapping met RAM
		}
		opened++
		require.NoError(t, q.wrong(m), "seed %d: the test itself", seed)
		ram := randomRAM(rnd, q)
		for range 2 { // more may be known later
			if len(place(&m, ram)) > 0 {
				placed++
			}
			require.NoError(t, q.wrong(m), "seed %d: %+v, RAM %v", seed, q, ram)
			ram = append(ram, randomRAM(rnd, q)...)
		}
		if len(missing(m, q.saved())) == 0 {
			recoveredAll++
		}
		for _, c := range m.Candidates(ram) {
			require.Empty(t, missingIn(try(m, c), c.Range), "seed %d: %v", seed, c)
			require.Equal(t, rs{c.Range}, m.Missing(c.Range), "a view is not the image")
		}
	}
	t.Logf("%d machines, %d times something was placed, %d complete", opened, placed, recoveredAll)
	assert.Greater(t, placed, opened/2, "the test tests little")
}

func missingIn(m *physmem.Image, r physmem.Range) []physmem.Range {
	if m == nil {
		return rs{r}
	}
	return m.Missing(r)
}

// TestLikelyCandidates has machines with one hole, no filter: a likely candidate
// is then where the memory is.
func TestLikelyCandidates(t *testing.T) {
	t.Parallel()
	likely := 0
	for seed := range seeds() {
		rnd := rand.New(rand.NewPCG(seed, 11))
		low := 1 + rnd.Uint64N(40)
		high := low + 1 + rnd.Uint64N(40)
		q := &machine{blocks: rs{r(0, low), r(high, high+1+rnd.Uint64N(40))}}
		for range 1 + rnd.IntN(4) {
			q.mapped(rnd.Uint64N(high+40), 1+rnd.Uint64N(3))
		}
		m, err := q.tryOpen()
		if err != nil {
			continue
		}
		ram := randomRAM(rnd, q)
		m, _ = m.Recover(ram)
		for _, c := range m.Candidates(ram) {
			if c.Likely {
				likely++
				view := try(m, c)
				require.NotNil(t, view)
				require.NoError(t, q.wrong(view), "seed %d: %+v, RAM %v, candidate %+v", seed, q, ram, c)
			}
		}
	}
	assert.Greater(t, likely, int(seeds()/100), "the test tests little")
}

// TestTypicalMachines has the machines that QEMU makes, with page tables and
// kernel pages scattered over all memory: everything that Windows lists is
// recovered, or found by likely candidates.
func TestTypicalMachines(t *testing.T) {
	t.Parallel()
	const mib, gib = 1 << 20, 1 << 30
	for name, blocks := range map[string]rs{
		"pc, 512 MiB":      pc(false, 512*mib, 0),
		"pc, 512 MiB, VGA": pc(true, 512*mib, 0),
		"pc, 8 GiB":        pc(false, 3*gib, 5*gib),
		"pc, 8 GiB, VGA":   pc(true, 3*gib, 5*gib),
		"q35, 64 GiB, VGA": pc(true, 2*gib, 62*gib),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			low := blocks[0].End()
			if low == 0xa0000 {
				low = blocks[1].End()
			}
			ram := rs{r(0x1000, 0x9f000), r(0x100000, low-0x700000), r(low-0x6f0000, low-0x20000)}
			top := blocks[len(blocks)-1]
			if top.Start == 4*gib {
				ram = append(ram, top)
			}
			for seed := range uint64(6) { // each of the cases below
				rnd := rand.New(rand.NewPCG(seed, 3))
				q := &machine{blocks: blocks}
				for _, run := range ram {
					// Often nothing is mapped below 1 MiB, and sometimes nothing
					// near the end of low memory. The latter can be told only if
					// memory above is known.
					if run.Start == 0x1000 && seed%2 == 0 || run.Size < 8*mib && seed%3 == 0 && top.Start == 4*gib {
						continue
					}
					for range 1 + rnd.IntN(200) {
						q.mapped((run.Start+rnd.Uint64N(run.Size))&^0xfff, 0x1000)
					}
				}
				m := q.open(t)
				m, _ = m.Recover(ram)
				require.NoError(t, q.wrong(m))
				for _, c := range m.Candidates(ram) {
					if c.Likely {
						require.NotEmpty(t, adopt(&m, c))
					}
				}
				m, _ = m.Recover(ram)
				require.NoError(t, q.wrong(m))
				require.Empty(t, missing(m, ram), "seed %d", seed)
			}
		})
	}
}

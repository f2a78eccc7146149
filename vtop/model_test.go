package vtop

import (
	"errors"
	"io"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// outcome is what the model says about an address.
type outcome struct {
	kind       FaultKind // 0: translated
	level      int       // where the walk ended
	pa, size   uint64
	transition bool
}

// model walks page tables as the manual's text has it, in numbers without a
// width and without a thought of speed: no masks, no shifts, nothing shared
// with the code that is tested.
func model(mem io.ReaderAt, dtb uint64, levels int, va VA) outcome {
	address := new(big.Int).SetUint64(uint64(va))
	reach := pow2(12 + 9*levels) // what the tables can tell apart
	half := new(big.Int).Rsh(reach, 1)
	top := new(big.Int).Sub(pow2(64), half)
	if address.Cmp(half) >= 0 && address.Cmp(top) < 0 {
		return outcome{kind: NonCanonical}
	}
	offset := new(big.Int).Mod(address, reach)
	return modelTable(mem, field(dtb, 12, 51)*0x1000, levels, offset)
}

func modelTable(mem io.ReaderAt, table uint64, level int, offset *big.Int) outcome {
	span := pow2(12 + 9*(level-1)) // what one entry covers
	index, rest := new(big.Int).DivMod(offset, span, new(big.Int))
	var raw [8]byte
	if n, _ := mem.ReadAt(raw[:], int64(table+8*index.Uint64())); n != 8 {
		return outcome{kind: TableUnreadable, level: level}
	}
	var e uint64
	for i, b := range raw {
		e += uint64(b) * pow2(8*i).Uint64()
	}
	size := span.Uint64()
	bit := func(n int) bool { return field(e, n, n) == 1 }
	switch {
	case !bit(0):
		return modelInvalid(e, level, rest.Uint64())
	case level == 1:
		return outcome{level: 1, size: size, pa: field(e, 12, 51)*0x1000 + rest.Uint64()}
	case bit(7) && level == 2:
		if field(e, 13, 20) != 0 {
			return outcome{kind: Malformed, level: level}
		}
		return outcome{level: 2, size: size, pa: field(e, 21, 51)*size + rest.Uint64()}
	case bit(7) && level == 3:
		if field(e, 13, 29) != 0 {
			return outcome{kind: Malformed, level: level}
		}
		return outcome{level: 3, size: size, pa: field(e, 30, 51)*size + rest.Uint64()}
	case bit(7):
		return outcome{kind: Malformed, level: level}
	}
	return modelTable(mem, field(e, 12, 51)*0x1000, level-1, rest)
}

func modelInvalid(e uint64, level int, rest uint64) outcome {
	prototype, transition, pagefile := field(e, 10, 10), field(e, 11, 11), field(e, 32, 63)
	switch {
	case prototype == 1:
		return outcome{kind: Prototype, level: level}
	case transition == 1 && level == 1:
		return outcome{level: 1, size: 0x1000, pa: field(e, 12, 51)*0x1000 + rest, transition: true}
	case transition == 1:
		return outcome{kind: TableTransition, level: level}
	case pagefile != 0:
		return outcome{kind: Pagefile, level: level}
	case e != 0:
		return outcome{kind: DemandZero, level: level}
	}
	return outcome{kind: NotPresent, level: level}
}

func pow2(n int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(n)) }

// field is bits low to high, as the manual's figures name them.
func field(v uint64, low, high int) uint64 {
	b := new(big.Int).SetUint64(v)
	b.Div(b, pow2(low))
	return b.Mod(b, pow2(high-low+1)).Uint64()
}

// requireModel compares Translate, Walk and the model.
func requireModel(t *testing.T, s *Space, va VA) outcome {
	t.Helper()
	want := model(s.Mem, uint64(s.DTB), len(s.Mode.Levels), va)
	requireOutcome(t, s, va, want)
	return want
}

// requireOutcome compares Translate and Walk with what a model says. It does so for tens of
// thousands of addresses, and so asserts once for each.
func requireOutcome(t *testing.T, s *Space, va VA, want outcome) {
	t.Helper()
	m, err := s.Translate(va)
	steps, walkErr := s.Walk(va)
	if m != want.mapping(va, steps) || !want.isError(va, err) || !reflect.DeepEqual(err, walkErr) || !want.isWalk(s, steps) {
		require.Fail(t, "not as the model has it", "%v: %+v\nTranslate: %+v, %v\nWalk: %+v, %v", va, want, m, err, steps, walkErr)
	}
}

// mapping is what Translate must give: the entry is that of the walk's last step.
func (o outcome) mapping(va VA, steps []Step) Mapping {
	if o.kind != 0 || len(steps) == 0 {
		return Mapping{}
	}
	last := steps[len(steps)-1]
	return Mapping{
		VA: va, PA: PA(o.pa), PageSize: o.size, Level: o.level, Transition: o.transition,
		Entry: last.Entry, EntryPA: last.EntryPA,
	}
}

func (o outcome) isError(va VA, err error) bool {
	if o.kind == 0 {
		return err == nil
	}
	var fault *FaultError
	return errors.As(err, &fault) && fault.Kind == o.kind && fault.Level == o.level && fault.VA == va
}

// isWalk: each step is a level below the one before, from the topmost on, and to a page
// they lead down to its level.
func (o outcome) isWalk(s *Space, steps []Step) bool {
	level := len(s.Mode.Levels)
	for _, step := range steps {
		if step.Level != level {
			return false
		}
		level--
	}
	return o.kind != 0 || level == o.level-1
}

// modelRounds is how many guests of chance a test compares: a hundred take the tests of
// this package over a second.
func modelRounds() int {
	if testing.Short() {
		return 6
	}
	return 100
}

// Random tables, all in a few pages and so full of cycles, with all kinds of
// entries on all levels.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	for _, mode := range []*Mode{X64, LA57} {
		levels := len(mode.Levels)
		r := rand.New(rand.NewPCG(7, uint64(levels)))
		seen := map[FaultKind]int{}
		rounds := modelRounds()
		for range rounds {
			g := newGuest(mode)
			g.root = 0
			for page := range PA(12) {
				for i := range PA(512) {
					g.setEntry(page<<12+8*i, randomEntry(r))
				}
			}
			g.bad[7<<12] = errors.New("disk")
			s := g.space()
			for range 400 {
				va := VA(r.Uint64())
				if r.IntN(8) != 0 { // most are canonical
					unused := 64 - (12 + 9*levels)
					va = VA(int64(va<<unused) >> unused)
				}
				seen[requireModel(t, s, va).kind]++
			}
		}
		// All kinds have been compared, most of them often.
		for kind := NonCanonical; kind <= TableUnreadable; kind++ {
			require.Greater(t, seen[kind], rounds/2, "%v with %d levels", kind, levels)
		}
		require.Greater(t, seen[0], 5*rounds, "translated")
	}
}

func randomEntry(r *rand.Rand) uint64 {
	switch r.IntN(10) {
	case 0:
		return 0
	case 1:
		return r.Uint64() // anything
	case 2:
		return r.Uint64() &^ flagP
	case 3:
		return r.Uint64() & 0xffff_f000_0000_03fe // demand zero, or in a paging file
	case 4:
		return r.Uint64()&0x3fe | uint64(r.IntN(2))<<11
	case 5:
		return r.Uint64()&0xfff0_0000_c000_1f7f | flagP | flagPS // a large page
	default: // another of the tables, with all the bits that mean nothing
		return r.Uint64()&0xfff0_0000_0000_0f7e | uint64(r.IntN(13))<<12 | flagP
	}
}

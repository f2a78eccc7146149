package vtop

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/winhdr"
)

// dump is a full dump as physical memory.
type dump struct {
	runs []physmem.Run
	data []byte
}

func (d dump) ReadAt(p []byte, off int64) (int, error) {
	start := int64(0)
	for _, run := range d.runs {
		base, size := int64(run.BasePage)<<12, int64(run.PageCount)<<12
		if off >= base && off-base < size {
			n := copy(p, d.data[start+off-base:start+size])
			if n < len(p) {
				more, err := d.ReadAt(p[n:], off+int64(n))
				return n + more, err
			}
			return n, nil
		}
		start += size
	}
	return 0, errNotSaved
}

func readDump(t *testing.T, name string) (*winhdr.Header, dump) {
	t.Helper()
	b, err := testheap.File(t, name)
	require.NoError(t, err)
	h, err := winhdr.Decode(b)
	require.NoError(t, err)
	runs, problems := h.Runs()
	require.Empty(t, problems)
	return h, dump{runs, b[h.Size():]}
}

// Tables that a processor used, in dumps that QEMU wrote.
func TestQEMUDumps(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../testdata/*.win-dmp.gz")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".win-dmp.gz"), func(t *testing.T) {
			t.Parallel()
			h, memory := readDump(t, name)
			mode := X64
			switch {
			case h.Format() == winhdr.X86:
				mode = mode32(h.PaeEnabled == 1)
			case strings.Contains(name, "la57"):
				mode = LA57
			}
			s := NewSpace(memory, h.DirectoryTableBase, mode)

			tag, err := s.Uint32(VA(h.KdDebuggerDataBlock) + 0x10)
			require.NoError(t, err)
			assert.Equal(t, uint32(0x4742444b), tag, "KDBG, through %v", VA(h.KdDebuggerDataBlock))
			checkList(t, s, VA(h.PsLoadedModuleList))
			checkList(t, s, VA(h.PsActiveProcessHead))
			if h.Format() == winhdr.X86 {
				return // the model is of the 64-bit modes
			}
			r := rand.New(rand.NewPCG(3, 4))
			for range 60 * modelRounds() {
				near := VA(h.PsLoadedModuleList) + VA(int64(r.IntN(1<<26)-1<<25))
				requireModel(t, s, near)
				requireModel(t, s, VA(r.Uint64()))
			}
		})
	}
}

// checkList follows a doubly linked list round.
func checkList(t *testing.T, s *Space, head VA) {
	t.Helper()
	at := head
	for range 100 {
		next, err := s.Pointer(at)
		require.NoError(t, err)
		back, err := s.Pointer(next + VA(s.PointerSize()))
		require.NoError(t, err)
		require.Equal(t, at, back)
		if at = next; at == head {
			return
		}
	}
	t.Fatal("list has no end")
}

package kdump

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// rewrite is what makedumpfile -R does: it writes each record where it belongs.
// It gives up on what would be larger than 1 MiB.
func rewrite(file []byte) (out []byte, ok bool) {
	be := binary.BigEndian
	for at := flatHeaderSize; at+16 <= len(file); {
		to, n := be.Uint64(file[at:]), be.Uint64(file[at+8:])
		at += 16
		if to > maxFlatOffset || n > maxFlatOffset-to || uint64(at) > maxFlatOffset-n {
			return out, true
		}
		have := min(n, uint64(len(file)-at))
		if have > 0 {
			if to+have > 1<<20 {
				return nil, false
			}
			out = append(out, make([]byte, max(0, int(to+have)-len(out)))...)
			copy(out[to:], file[at:][:have])
		}
		if n > have {
			return out, true
		}
		at += int(n)
	}
	return out, true
}

func record(to uint64, data []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, to)
	b = binary.BigEndian.AppendUint64(b, uint64(len(data)))
	return append(b, data...)
}

// FuzzFlattened compares the index with the file that it stands for.
func FuzzFlattened(f *testing.F) {
	data := []byte("0123456789abcdefghijklmnopqrstuvwxyz")
	end := bytes.Repeat([]byte{0xff}, 16)
	f.Add(append(record(0, data), end...))
	f.Add(bytes.Join([][]byte{record(20, data), record(0, data), record(10, data[:3]), record(5, nil), record(60, data), end}, nil))
	f.Add(bytes.Join([][]byte{record(4, data), record(8, data[:8]), record(6, data[3:9]), record(40, data[:2]), record(1<<59, nil)}, nil))
	f.Add(record(1<<63, data))
	head := make([]byte, flatHeaderSize)
	copy(head, flatSignature)
	head[23], head[31] = flatType, flatVersion
	f.Fuzz(func(t *testing.T, records []byte) {
		file := append(bytes.Clone(head), records...)
		flat, err := openFlattened(t.Context(), physmem.NewSource("", bytes.NewReader(file), int64(len(file))))
		require.NoError(t, err)
		require.NotNil(t, flat)
		want, ok := rewrite(file)
		if !ok {
			return
		}
		require.EqualValues(t, len(want), flat.size)
		for i := range flat.list.n {
			x := flat.list.at(i)
			require.Positive(t, x.size)
			require.True(t, i == 0 || flat.list.at(i-1).end() <= x.to)
		}
		got := make([]byte, len(want))
		n, err := flat.ReadAt(got, 0)
		require.NoError(t, err)
		require.Equal(t, len(got), n)
		require.True(t, bytes.Equal(want, got))
		n, err = flat.ReadAt(make([]byte, 8), int64(len(want)))
		require.Zero(t, n)
		require.ErrorIs(t, err, io.EOF)
		for off := range want {
			if at := flat.place(uint64(off)); at != 0 {
				require.Equal(t, want[off], file[at])
			} else {
				require.Zero(t, want[off])
			}
		}
		if len(want) < 4096 {
			require.NoError(t, iotest.TestReader(io.NewSectionReader(flat, 0, int64(len(want))), want))
		}
	})
}

// TestFlattenedRecords: the walk ends by count, whatever the file says.
func TestFlattenedRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("walks 16 million records")
	}
	t.Parallel()
	head := make([]byte, flatHeaderSize)
	copy(head, flatSignature)
	head[23], head[31] = flatType, flatVersion
	_, err := openFlattened(t.Context(), physmem.NewSource("", zeroesBehind(head), 1<<50))
	var fe *physmem.FormatError
	require.ErrorAs(t, err, &fe)
	assert.Contains(t, err.Error(), "more than 0x1000000")
}

// zeroesBehind is a file of a few bytes and zeros without end.
type zeroesBehind []byte

func (z zeroesBehind) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(z)) {
		copy(p, z[off:])
	}
	return len(p), nil
}

// TestFlattenedFails: an error of the file is not a hole.
func TestFlattenedFails(t *testing.T) {
	t.Parallel()
	bad := errors.New("input/output error")
	flat := &flattened{r: failing{bad}, size: 16}
	flat.list.push(flatRecord{to: 8, size: 8, from: 100})
	n, err := flat.ReadAt(make([]byte, 16), 0)
	assert.Equal(t, 8, n)
	require.ErrorIs(t, err, bad)
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestRecordList: records come back as they were given, however many and large, in
// the order of their places.
func TestRecordList(t *testing.T) {
	t.Parallel()
	var l recordList
	const n = 3*recordChunk + 5
	for i := range uint64(n) { // each 7 bytes at a place of its own, backwards
		l.push(flatRecord{to: maxFlatOffset - 16*(i+1), size: 7, from: int64(maxFlatOffset - 1 - i)})
	}
	require.Equal(t, n, l.n)
	l.sort()
	for i := range l.n {
		from := uint64(n - 1 - i)
		if want := (flatRecord{to: maxFlatOffset - 16*(from+1), size: 7, from: int64(maxFlatOffset - 1 - from)}); l.at(i) != want {
			require.Equal(t, want, l.at(i))
		}
	}
	assert.Equal(t, 0, l.search(0))
	assert.Equal(t, 1, l.search(l.at(0).end()))
	assert.Equal(t, n, l.search(maxFlatOffset))

	var long recordList
	long.push(flatRecord{to: 5, size: 2*maxPacked + 3, from: 9})
	require.Equal(t, 3, long.n)
	assert.Equal(t, flatRecord{to: 5, size: maxPacked, from: 9}, long.at(0))
	assert.Equal(t, flatRecord{to: 5 + 2*maxPacked, size: 3, from: 9 + 2*maxPacked}, long.at(2))
}

// TestFlattenedOverlaps: making overlapping records disjoint costs no multiple of what
// they are (TotalAlloc counts what the heap boxes, too).
func TestFlattenedOverlaps(t *testing.T) { //nolint:paralleltest // it measures
	const records = 1 << 16
	var f flattened
	for i := range uint64(records) { // each over the end of the one before
		f.list.push(flatRecord{to: i * 0x10, size: 0x18, from: int64(0x1000 + i*0x28)})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f.arrange()
	runtime.ReadMemStats(&after)
	require.Equal(t, records, f.list.n)
	require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(224)*records)
}

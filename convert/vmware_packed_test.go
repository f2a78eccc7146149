package convert_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/cause"
	"windmp/convert/finding"
	"windmp/convert/source"
	"windmp/internal/coretest"
	"windmp/internal/guestsim"
)

// TestVMwarePacked: what is unpacked has the neighbours and the name of the file that it
// was in.
func TestVMwarePacked(t *testing.T) {
	t.Parallel()
	core := sampleCopy(t, "live-2cpu.vmcore.gz")
	m := imageOf(t, core)
	state, memory := coretest.VMware{}.Write(t, m, m.CPUs())
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write(data)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o400))
		return path
	}
	alone := write("Alone.vmem.gz", memory)
	_, r := convertFile(t, alone)
	assert.NotNil(t, findingOf(r, finding.NoVCPUState.ID()))
	packed := write("Win.vmss.gz", state)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Win.vmem"), memory, 0o400))
	_, r = convertFile(t, packed)
	assert.Equal(t, 2, r.Input.VCPUs)
	packed = write("Other.vmem.gz", memory)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Other.vmsn"), state, 0o400))
	_, r = convertFile(t, packed)
	assert.Equal(t, 2, r.Input.VCPUs)
}

// TestVMwareArchive: state and memory in one archive find each other, whichever comes
// first, and the limit of what may be unpacked holds for both.
func TestVMwareArchive(t *testing.T) {
	t.Parallel()
	// A small guest, for it is packed and unpacked many times.
	guest := guestsim.New(guestsim.Options{CPUs: 2, File: guestsim.FileOptions{NoGuestNote: true}})
	dir := vmwareFiles(t, coretest.VMware{}, imageOf(t, guest.ELF()))
	want, _ := convertFile(t, filepath.Join(dir, "Win-Snapshot1.vmsn"))
	log := filepath.Join(dir, "vmware.log")
	require.NoError(t, os.WriteFile(log, []byte("a log"), 0o600))
	for _, order := range [][]string{{"Win-Snapshot1.vmsn", "vmware.log", "Win-Snapshot1.vmem"}, {"Win-Snapshot1.vmem", "Win-Snapshot1.vmsn"}} {
		for _, ending := range []string{".zip", ".tar", ".tar.gz"} {
			path := filepath.Join(t.TempDir(), "win"+ending)
			writeArchive(t, path, dir, order)
			got, r := convertFile(t, path)
			equalButFor(t, want, got, []allowed{{"Comment, which names the source", commentAt(false), 128}})
			assert.Equal(t, 2, r.Input.VCPUs, path)

			tmp := t.TempDir()
			_, err := convert.File(t.Context(), path, filepath.Join(t.TempDir(), "out.dmp"), convert.Options{
				Source: source.Options{TempDir: tmp, MaxUnpacked: 64 << 10},
			})
			require.ErrorContains(t, err, "more than the limit")
			left, err := os.ReadDir(tmp)
			require.NoError(t, err)
			assert.Empty(t, left)
		}
	}
	// Memory that can't be unpacked is said of the archive, which people know.
	path := filepath.Join(t.TempDir(), "torn.zip")
	writeArchive(t, path, dir, []string{"Win-Snapshot1.vmsn", "Win-Snapshot1.vmem"})
	torn, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range 2000 {
		torn[len(torn)/2+i] ^= 0x5a
	}
	path = filepath.Join(t.TempDir(), "torn.zip")
	require.NoError(t, os.WriteFile(path, torn, 0o400))
	_, err = convert.File(t.Context(), path, filepath.Join(t.TempDir(), "out.dmp"), convert.Options{})
	assert.Equal(t, path+" is damaged: packed data can't be unpacked (zip)", cause.Of(err).Sentence)
	// A state without its memory is refused as outside of an archive.
	path = filepath.Join(t.TempDir(), "win.zip")
	writeArchive(t, path, dir, []string{"Win-Snapshot1.vmsn", "vmware.log"})
	_, err = convert.File(t.Context(), path, filepath.Join(t.TempDir(), "out.dmp"), convert.Options{})
	require.ErrorContains(t, err, "without its memory")
	// Memory of two machines is not guessed at.
	require.NoError(t, os.Rename(log, filepath.Join(dir, "Other.vmem")))
	path = filepath.Join(t.TempDir(), "two.zip")
	writeArchive(t, path, dir, []string{"Win-Snapshot1.vmem", "Other.vmem"})
	_, err = convert.File(t.Context(), path, filepath.Join(t.TempDir(), "out.dmp"), convert.Options{})
	require.ErrorContains(t, err, "without a memory image that is known")
}

// writeArchive packs files of a folder, under another one, in a zip, a tar or a tar.gz.
func writeArchive(t *testing.T, path, dir string, names []string) {
	t.Helper()
	var b bytes.Buffer
	add, end := tarOf(t, &b)
	if filepath.Ext(path) == ".zip" {
		z := zip.NewWriter(&b)
		add, end = func(name string, data []byte) {
			w, err := z.Create(name)
			require.NoError(t, err)
			_, err = w.Write(data)
			require.NoError(t, err)
		}, z.Close
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		add("vm/Win/"+name, data)
	}
	require.NoError(t, end())
	if filepath.Ext(path) == ".gz" {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write(b.Bytes())
		require.NoError(t, err)
		require.NoError(t, z.Close())
		b = packed
	}
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o400))
}

// tarOf begins a tar.
func tarOf(t *testing.T, b *bytes.Buffer) (add func(name string, data []byte), end func() error) {
	t.Helper()
	w := tar.NewWriter(b)
	return func(name string, data []byte) {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "./" + name, Size: int64(len(data)), Mode: 0o600}))
		_, err := w.Write(data)
		require.NoError(t, err)
	}, w.Close
}

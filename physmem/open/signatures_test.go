package open_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// placed is a file of n bytes in which text stands at the offsets.
func placed(n int, at map[int]string) string {
	b := make([]byte, n)
	for off, text := range at {
		copy(b[off:], text)
	}
	return string(b)
}

// TestSignatures: what people have in place of memory is named, with a way to a dump.
func TestSignatures(t *testing.T) {
	t.Parallel()
	hibernated := []string{"a Windows hibernation file", "Hibr2Bin"}
	gpt := []string{"a disk image with a GPT", "a disk holds no memory"}
	for file, want := range map[string][]string{
		"\x7fVirtualBox SavedState V2.0\n": {"a VirtualBox saved state", "dumpvmcore"},
		"\x14\x20\x28\x01\xaa\xbb":         {"a Hyper-V saved state", "WinDbg"},
		"AVML\x02\x00\x00\x00":             {"an AVML memory dump"},
		"EVF\t\r\n\xff\x00\x01":            {"an EWF image", "ewfexport -f raw"},
		"EVF2\r\n\x81\x00\x02":             {"an EWF image", "ewfexport -f raw"},
		"LVF\t\r\n\xff\x00\x01":            {"an EWF archive of files", ""},
		"AFF10\r\n\x00\x01":                {"an AFF image", "affconvert -r"},
		"USERDU64":                         {"dump of a process", ""},
		"USERDUMP":                         {"dump of a process", ""},
		placed(0x60, map[int]string{0: "PK\x03\x04", 30: "container.description"}):                  {"an AFF4 image"},
		placed(0x2000, map[int]string{0: "PK\x03\x04", 0x1f00: "PK\x05\x06", 0x1f16: "aff4://f3b"}): {"an AFF4 image"},
		placed(0x2000, map[int]string{0: "PK\x03\x04", 30: "memory.dmp", 0x1f00: "PK\x05\x06"}):     {"a zip archive"},
		"HIBR\x00": hibernated, "hibr\x00": hibernated, "WAKE\x00": hibernated, "wake\x00": hibernated, "RSTR\x00": hibernated, "rstr\x00": hibernated,
		"KDMV\x01": {"a VMDK disk image", "a disk holds no memory", ".vmsn"}, "# Disk DescriptorFile\n": {"a VMDK disk descriptor", ".vmem"},
		"vhdxfile": {"a VHDX disk image", ".vmrs"}, "conectix": {"a VHD disk image", ".vmrs"},
		placed(0x200, map[int]string{0x40: "\x7f\x10\xda\xbe"}): {"a VDI disk image", "dumpvmcore"},
		"VMA\x00\x00\x00\x00\x01":                               {"a Proxmox VMA backup", "dump-guest-memory"},
		"MSCF\x00\x00\x00\x00":                                  {"a cabinet", "WinDbg opens"},
		"7z\xbc\xaf\x27\x1c\x00\x04":                            {"a 7-Zip archive; unpack it first"},
		placed(0x9000, map[int]string{0x8001: "CD001"}):         {"an ISO image", "a disk holds no memory"},
		placed(0x1000, map[int]string{0x1c2: "\xee", 0x1fe: "\x55\xaa", 0x200: "EFI PART"}):  gpt,
		placed(0x2000, map[int]string{0x1c2: "\xee", 0x1fe: "\x55\xaa", 0x1000: "EFI PART"}): gpt,
		placed(0x200, map[int]string{0x1be: "\x80", 0x1c2: "\x07", 0x1fe: "\x55\xaa"}):       {"a disk image with an MBR", "a disk holds no memory"},
		placed(0x200, map[int]string{0: "\xeb\x52\x90NTFS    ", 0x1fe: "\x55\xaa"}):          {"an image of an NTFS volume"},
	} {
		m, err := physmemtest.Open([]byte(file))
		require.Nil(t, m)
		require.ErrorIs(t, err, physmem.ErrUnsupported, "%.40q", file)
		for _, w := range want {
			assert.Contains(t, err.Error(), w, "%.40q", file)
		}
		assert.NotContains(t, err.Error(), "--format", "%.40q: no flags of a command", file)
	}
}

// TestLookAlikes: what has a signature by chance is not named by it.
func TestLookAlikes(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		placed(0x200, map[int]string{0: "\x01", 0x1fe: "\x55\xaa"}),                                // no partition
		placed(0x200, map[int]string{0x1be: "\x81", 0x1c2: "\x07", 0x1fe: "\x55\xaa"}),             // no boot indicator
		placed(0x200, map[int]string{0x1be: "\x80", 0x1c2: "\x07", 0x1d4: "x", 0x1fe: "\x55\xaa"}), // an entry without type
		placed(0x1ff, map[int]string{0: "\x01", 0x1be: "\x80", 0x1c2: "\x07", 0x1fe: "\x55"}),
		"EVF\x00\x01", "AVM", "\xff\xff\xff\xff\xff\xff\xff\xff", "Hibr\x00\x01",
	} {
		_, err := physmemtest.Open([]byte(file))
		require.ErrorIs(t, err, physmem.ErrUnknownFormat, "%.40q", file)
	}
}

// TestInterruptTable: memory that begins as a PC's is no riddle.
func TestInterruptTable(t *testing.T) {
	t.Parallel()
	memory := make([]byte, 0x100000)
	for i := range 256 {
		binary.LittleEndian.PutUint32(memory[4*i:], 0xc000_0000|uint32(i)<<20|uint32(0x1234+17*i))
	}
	_, err := physmemtest.Open(memory)
	require.ErrorIs(t, err, physmem.ErrUnknownFormat)
	assert.Contains(t, err.Error(), "it looks like raw memory: it begins with the interrupt table of a BIOS")
	assert.Contains(t, err.Error(), "Raw memory is read if raw is given as its format")
	_, err = physmemtest.Open(bytes.Repeat([]byte{0xff}, 0x1000))
	assert.NotContains(t, err.Error(), "interrupt table")
	for i := range 16 {
		binary.LittleEndian.PutUint32(memory[4*i:], 0x1234)
	}
	_, err = physmemtest.Open(memory)
	assert.NotContains(t, err.Error(), "interrupt table")
}

// TestNoise: encrypted data has no signature.
func TestNoise(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 0x10000)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(noise)
	_, err := physmemtest.Open(noise)
	require.ErrorIs(t, err, physmem.ErrUnknownFormat)
	assert.Contains(t, err.Error(), "memory of an encrypted guest (SEV, TDX)")
	_, err = physmemtest.Open(noise[:0x100])
	assert.NotContains(t, err.Error(), "encrypted", "too little to tell")
}

// TestNamedSamples names files of real producers.
func TestNamedSamples(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"libvirt-save-xz": "a libvirt save file whose stream is packed with xz",
	} {
		b := coretest.Sample(t, name)
		_, err := physmemtest.OpenReader(bytes.NewReader(b), int64(len(b)), open.Options{})
		require.ErrorIs(t, err, physmem.ErrUnsupported, name)
		assert.Contains(t, err.Error(), want, name)
	}
}

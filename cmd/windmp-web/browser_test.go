//go:build !js

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"windmp/convert/inspect"
	"windmp/convert/source"
	"windmp/internal/browsertest"
	"windmp/internal/coretest"
	"windmp/internal/guestsim"
	"windmp/physmem/physmemtest"
)

var root = filepath.Join("..", "..")

// sample is a file of testdata, unpacked.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "testdata", name))
	require.NoError(t, err)
	if filepath.Ext(name) != ".gz" {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	require.NoError(t, err)
	var out bytes.Buffer
	_, err = out.ReadFrom(z)
	require.NoError(t, err)
	return out.Bytes()
}

// poked is a file with a number of 32 bits at an offset.
func poked(file []byte, off int, n uint32) []byte {
	binary.LittleEndian.PutUint32(file[off:], n)
	return file
}

// forged is a dump whose header claims all that it can: behind its signature each field
// that is not a kind of machine or dump has all bits set.
func forged(dump []byte) []byte {
	for i := 0x88; i < 0xf98; i++ { // DUMP_HEADER64, from its runs to its kind
		dump[i] = 0xff
	}
	return dump
}

// markup is a name that would be more than text in a page that believed it.
const markup = `</script><img src=x onerror=alert(1)><script>alert(2)</script>`

// forgedModule is a guest that crashed in a driver with such a name.
func forgedModule() []byte {
	const base = guestsim.KernBase + 0x3000000
	m := guestsim.Module{Base: base, EntryPoint: base + 0x1000, Size: 0x6000, Name: markup, FullName: `\SystemRoot\` + markup}
	g := guestsim.New(guestsim.Options{BugCheck: [5]uint64{0xd1, 0x10, 2, 0, base + 0x1234}, Modules: []guestsim.Module{m}})
	g.Map(base, 0x1000)
	g.Image(base, guestsim.ImageIdentity{Size: m.Size, Export: markup, PDB: markup})
	return g.ELF()
}

// manyModules is a guest with 300 drivers.
func manyModules() []byte {
	list := make([]guestsim.Module, 300)
	for i := range list {
		name := fmt.Sprintf("driver%03d.sys", i)
		list[i] = guestsim.Module{
			Base: guestsim.KernBase + 0x3000000 + uint64(i)*0x10000, EntryPoint: 0x1000, Size: 0x6000,
			Name: name, FullName: `\SystemRoot\System32\drivers\` + name,
		}
	}
	return guestsim.New(guestsim.Options{BugCheck: [5]uint64{0xd1, 0x10, 2, 0, guestsim.KernBase + 0x1234}, Modules: list}).ELF()
}

// forgedProcess is a small dump of a process with markup in its short name.
func forgedProcess(t *testing.T, crashed []byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "crashed.vmcore")
	require.NoError(t, os.WriteFile(path, crashed, 0o600))
	return bytes.Replace(writeSmall(t, path), []byte("System\x00\x00\x00\x00\x00"), []byte("<img src=x>"), 1)
}

// writeSaved writes a guest as VMware saves it: memory, and the state beside it; and the
// document of the command for both.
func writeSaved(t *testing.T, folder string) {
	t.Helper()
	m, err := physmemtest.Open(sample(t, "live-2cpu.vmcore.gz"))
	require.NoError(t, err)
	state, memory := coretest.VMware{}.Write(t, m, m.CPUs())
	path := filepath.Join(folder, "saved.vmem")
	require.NoError(t, os.WriteFile(path, memory, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "saved.vmsn"), state, 0o600))
	r, err := inspect.Check(t.Context(), inspect.CheckOptions{Details: true}, source.File(path), source.File(filepath.Join(folder, "saved.vmsn")))
	require.NoError(t, err)
	document, err := json.Marshal(r)
	require.NoError(t, err)
	// The browser tells no folders.
	require.NoError(t, os.WriteFile(path+".check", bytes.ReplaceAll(document, []byte(folder+string(filepath.Separator)), nil), 0o600))
}

// The page, and the element in a form, in a frame and on pages of others, in one browser of
// each kind, which is started once.
func TestInBrowsers(t *testing.T) {
	t.Parallel()
	site, element, files := site(t), element(t), inputs(t)
	crashed, small := samples(t)
	for _, name := range browsertest.Browsers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			browser := browsertest.Start(t, root, name)
			// Its verdicts are the command's, its small dump is the command's byte for byte, it
			// tells no server anything and can't, it can be cancelled, and axe finds nothing.
			t.Run("page", func(t *testing.T) { browser.Run(t, "page.mjs", site, files) })
			// It sends nothing of a file that fails, and of another the small dump and the
			// document.
			t.Run("form", func(t *testing.T) {
				tickets := t.TempDir()
				browser.Run(t, "form.mjs", uploadForm(t, tickets).URL, crashed)
				sent(t, tickets, small)
			})
			// Verdicts and small dumps come out to the page around the frame and to nobody else,
			// and nothing that is forged is believed, on either side.
			t.Run("frame", func(t *testing.T) { browser.Run(t, "frame.mjs", site, element, crashed) })
			// Taken out, put back, two at once, attributes that come later, files that change or
			// go, and windmp itself breaking.
			t.Run("element", func(t *testing.T) {
				own, _ := samples(t) // some are changed
				browser.Run(t, "element.mjs", element, own)
			})
		})
	}
}

// inputs is a folder with files for the page, and what is expected of each.
func inputs(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	crashed := sample(t, "stack-trap-2cpu.vmcore.gz")
	gzipped, err := os.ReadFile(filepath.Join(root, "testdata", "live-2cpu.vmcore.gz"))
	require.NoError(t, err)
	all := packed(t, sample(t, "live-2cpu.vmcore.gz"))
	verdicts := map[string]bool{}
	maps.Copy(all, map[string][]byte{
		"packed.vmcore.gz": gzipped, "packed-cut.vmcore.gz": gzipped[:len(gzipped)/2],
		"itanium.dmp": poked(sample(t, "la57-1cpu.win-dmp.gz"), 0x30, 0x200), "forged.dmp": forged(sample(t, "la57-1cpu.win-dmp.gz")),
		"module.vmcore": forgedModule(), "process.dmp": forgedProcess(t, crashed),
		"<img src=x onerror=alert(1)>.vmcore": crashed,
		"crashed.vmcore":                      crashed, "cut.vmcore": sample(t, "live-2cpu-cut.vmcore.gz"), "la57.dmp": sample(t, "la57-1cpu.win-dmp.gz"),
		"text.txt": []byte("nothing"), "ended.dmp": sample(t, "live-2cpu.win-dmp.gz")[:5000], "huge.vmcore": crashed,
		"many.vmcore": manyModules(), strings.Repeat("long-", 48) + ".vmcore": crashed,
	})
	for name, b := range all {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		if name == "huge.vmcore" { // a hole behind it: offsets that have more than 32 bits, and no disk is filled
			require.NoError(t, os.Truncate(path, 100<<30))
		}
		r, err := inspect.Check(t.Context(), inspect.CheckOptions{}, source.File(path))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path+".verdict", []byte(r.Verdict), 0o600))
		verdicts[r.Verdict] = true
	}
	require.Len(t, verdicts, 4, "every verdict is tried: %v", verdicts)
	writeSmall(t, filepath.Join(folder, "crashed.vmcore"))
	writeSaved(t, folder)
	return folder
}

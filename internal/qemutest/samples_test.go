package qemutest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	update      = flag.Bool("update", false, "make the samples under testdata again, with QEMU")
	updateARM64 = flag.Bool("update-arm64", false, "make those of 64-bit Arm again, with its QEMU and compiler")
	updateStack = flag.Bool("update-stack", false, "make those whose images crashed again, with QEMU and mingw-w64")
)

// sumsBlock is the list of checksums in testdata/README.md, in the format of sha256sum.
var sumsBlock = regexp.MustCompile("(?s)```sha256\n(.*?)```")

func TestSamples(t *testing.T) {
	if *update {
		makeSamples(t, Samples())
	}
	if *updateStack {
		makeSamples(t, ImageSamples())
	}
	if *updateARM64 {
		makeSamples(t, ARM64Samples())
	}
	readme := Unpacked(t, "README.md")
	listed := map[string]string{}
	match := sumsBlock.FindSubmatch(readme)
	require.NotNil(t, match, "testdata/README.md lists the checksums")
	for line := range strings.Lines(string(match[1])) {
		fields := strings.Fields(line)
		require.Len(t, fields, 2)
		listed[fields[1]] = fields[0]
	}
	for _, s := range slices.Concat(Samples(), ImageSamples(), ARM64Samples()) {
		t.Run(s.Name, func(t *testing.T) {
			assert.Equal(t, listed[s.coreFile()], checksum(t, s.coreFile()), s.coreFile())
			if s.Kdump {
				assert.Equal(t, listed[s.KdumpFile()], checksum(t, s.KdumpFile()), s.KdumpFile())
			}
			if s.NoWin {
				return
			}
			assert.Equal(t, listed[s.winFile()], checksum(t, s.winFile()), s.winFile())
			core, win := s.Core(t), s.WinDump(t)
			assert.Equal(t, "\x7fELF", string(core[:4]))
			signature, bugCheck := "PAGEDU64", 0x38
			if s.Config.Guest32 {
				signature, bugCheck = "PAGEDUMP", 0x28
			}
			assert.Equal(t, signature, string(win[:8]))
			// The header in the note is the one that QEMU patched, from the bug check on.
			note := bytes.Index(core, []byte("VMCOREINFO\x00\x00"+signature))
			require.Positive(t, note)
			assert.Equal(t, win[:bugCheck], core[note+12:][:bugCheck])
		})
	}
}

func checksum(t *testing.T, name string) string {
	t.Helper()
	path, err := Testdata(name)
	require.NoError(t, err)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// makeSamples boots each guest once, dumps it in all the ways listed, and renews the
// checksums in the README.
func makeSamples(t *testing.T, samples []Sample) {
	t.Helper()
	machines := map[string]*VM{}
	var sums []string
	for _, s := range samples {
		vm := machines[s.Guest]
		if vm == nil {
			vm = Start(t, s.Config)
			machines[s.Guest] = vm
			if !s.NoWin {
				path := filepath.Join(t.TempDir(), "win")
				require.NoError(t, vm.DumpWin(path))
				sums = append(sums, writeSample(t, s.winFile(), readFile(t, path)))
			}
		}
		path := filepath.Join(t.TempDir(), "elf")
		require.NoError(t, vm.DumpELF(path, s.ELF))
		sums = append(sums, writeSample(t, s.coreFile(), readFile(t, path)))
		if s.Kdump {
			path := filepath.Join(t.TempDir(), "kdump")
			require.NoError(t, vm.DumpKdump(path))
			file := readFile(t, path)
			if !s.Config.GuestARM64 {
				blankROM(t, file)
			}
			sums = append(sums, writeSample(t, s.KdumpFile(), file))
		}
		require.Empty(t, vm.Warnings())
	}
	path, err := Testdata("README.md")
	require.NoError(t, err)
	readme, err := os.ReadFile(path)
	require.NoError(t, err)
	block := "```sha256\n" + renewed(string(sumsBlock.FindSubmatch(readme)[1]), sums) + "```"
	require.NoError(t, os.WriteFile(path, sumsBlock.ReplaceAllLiteral(readme, []byte(block)), 0o600))
}

// renewed is a list of checksums with new lines in place of those for the same files.
func renewed(list string, lines []string) string {
	for _, line := range lines {
		name := strings.Fields(line)[1]
		old := regexp.MustCompile(`(?m)^[0-9a-f]{64}  ` + regexp.QuoteMeta(name) + `\n`)
		if place := old.FindStringIndex(list); place != nil {
			list = list[:place[0]] + line + list[place[1]:]
		} else {
			list += line
		}
	}
	return list
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

// writeSample puts a file into testdata, compressed if its name says so, and returns
// its line for the list of checksums.
func writeSample(t *testing.T, name string, data []byte) string {
	t.Helper()
	require.NotContains(t, string(data), "SeaBIOS", "%s holds only our own bytes", name)
	if strings.HasSuffix(name, ".gz") {
		var compressed bytes.Buffer
		w, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		data = compressed.Bytes()
	}
	path, err := Testdata(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return checksum(t, name) + "  " + name + "\n"
}

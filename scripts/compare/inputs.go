//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"windmp/internal/coretest"
	"windmp/internal/guestsim"
	"windmp/internal/qemutest"
	"windmp/physmem"
	"windmp/physmem/open"
)

// kind says which commands are tried on an input.
type kind int

const (
	whole  kind = iota // all that windmp does
	brief              // what needs no second look: containers, further guests
	broken             // what hostile input may reach
)

// input is a file that windmp is run on.
type input struct {
	name  string // as the commands see it
	path  string
	kind  kind
	flags []string // without which it is not read
}

// inputSet collects inputs in a folder.
type inputSet struct {
	dir  string
	list []input
}

// add writes an input.
func (s *inputSet) add(k kind, name string, data []byte, flags ...string) error {
	path := filepath.Join(s.dir, name)
	s.list = append(s.list, input{name: name, path: path, kind: k, flags: flags})
	return os.WriteFile(path, data, 0o400)
}

// makeInputs writes all inputs.
func makeInputs(ctx context.Context, w *workshop, set settings) ([]input, error) {
	s := &inputSet{dir: filepath.Join(w.dir, "inputs")}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	steps := []func() error{
		s.addSamples,
		func() error { return s.addWritten(ctx, w.old) },
		s.addContainers,
		s.addSimulated,
		s.addBroken,
		s.addMutated,
		func() error { return s.addFolder(set.inputs) },
	}
	if set.qemu {
		steps = append(steps, func() error { return s.addQEMU(filepath.Join(w.dir, "qemu")) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s.list, nil
}

// addSamples adds what is under testdata, packed as it is and unpacked.
func (s *inputSet) addSamples() error {
	folder, err := qemutest.Testdata()
	if err != nil {
		return err
	}
	var files []string
	for _, pattern := range []string{"*.vmcore", "*.gz"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name := filepath.Base(file)
		if packed(name) {
			if err := s.add(brief, name, data); err != nil {
				return err
			}
			if data, err = unpack(name, data); err != nil {
				return err
			}
			name = withoutPack(name)
		}
		if err := s.add(whole, name, data); err != nil {
			return err
		}
	}
	return nil
}

// addWritten adds dumps of types that only windmp makes here, by the old program.
func (s *inputSet) addWritten(ctx context.Context, old string) error {
	for _, name := range []string{"guest-bsod.vmcore", "odd-runs-2cpu.vmcore", "x86-nopae-2cpu.vmcore"} {
		for _, how := range []struct {
			ending string
			flags  []string
		}{
			{".bitmap.dmp", []string{"--type=bitmap"}},
			{".kernel.dmp", []string{"--type=kernel"}},
			{".elf", []string{"--to=elf"}},
			{".dmp.zip", nil},
			{".dmp.zst", nil},
		} {
			out := withoutPack(name) + how.ending
			args := append([]string{"convert", "--no-sync", name, out}, how.flags...)
			if err := command(ctx, s.dir, old, args...); err != nil {
				return err
			}
			s.list = append(s.list, input{name: out, path: filepath.Join(s.dir, out), kind: brief})
		}
	}
	return nil
}

// addContainers adds the samples as other programs would have saved them.
func (s *inputSet) addContainers() error {
	_, err := outsideTest(func(t *tester) {
		for _, sample := range slices.Concat(qemutest.Samples(), qemutest.ARM64Samples()) {
			if sample.ELF.Paging || sample.ELF.Length != 0xfffc0000 {
				continue
			}
			if err := s.addContained(t, sample); err != nil {
				t.Fatal(err)
			}
		}
	})
	return err
}

func (s *inputSet) addContained(t *tester, sample qemutest.Sample) error {
	core := sample.Core(t)
	m, err := open.Source(context.Background(), physmem.NewSource("", bytes.NewReader(core), int64(len(core))), open.Options{})
	if err != nil {
		return err
	}
	if !sample.Config.GuestARM64 {
		if err := s.add(brief, sample.Name+".gdb", coretest.GDBScript(t, m, nil)); err != nil {
			return err
		}
	}
	if !sample.Config.GuestARM64 && !sample.Config.Guest32 {
		box := coretest.VirtualBox(t, m, coretest.WithAll(m.CPUs()), 0x10006)
		if err := s.add(brief, sample.Name+".vbox", box); err != nil {
			return err
		}
	}
	if sample.Name == "live-2cpu" || sample.Name == "bsod-4cpu-q35" {
		if err := s.addSaved(t, sample.Name, m); err != nil {
			return err
		}
	}
	raw, holes := coretest.Raw(t, m)
	flags := []string{"--format=raw"}
	for _, h := range holes {
		flags = append(flags, fmt.Sprintf("--hole=%#x-%#x", h.Start, h.End()))
	}
	return s.add(brief, sample.Name+".raw", raw, flags...)
}

// addSaved adds a guest as its host would have saved it.
func (s *inputSet) addSaved(t *tester, name string, m *physmem.Image) error {
	cpus := coretest.WithAll(m.CPUs())
	xen := coretest.NewXen(t, m, cpus)
	vmware, _ := coretest.VMware{Embedded: true}.Write(t, m, cpus)
	for _, file := range []struct {
		ending string
		data   []byte
	}{
		{".migration", coretest.Migration(t, m, cpus, "pc-i440fx-7.2")},
		{".xlcore", xen.Core()},
		{".xlsave", xen.Save()},
		{".vmss", vmware},
		{".vmrs", coretest.HyperV{}.Write(t, m, cpus)},
		{".cloud", coretest.CloudHypervisor(t, m, cpus, len(cpus))},
	} {
		if err := s.add(brief, name+file.ending, file.data); err != nil {
			return err
		}
	}
	return nil
}

// addSimulated adds synthetic guests, an oddity each.
func (s *inputSet) addSimulated() error {
	crash := [5]uint64{0x7e, 0xffffffffc0000005, 1, 2, 3}
	guests := map[string]guestsim.Options{
		"plain":    {},
		"crashed":  {CPUs: 3, BugCheck: crash},
		"9600":     {CPUs: 2, Build: 9600, Encoded: true},
		"26100":    {CPUs: 2, Build: 26100, BugCheck: crash, Encoded: true},
		"odd":      {CPUs: 2, Odd: true, SoftwareBits: true, MapAll: true},
		"la57":     {CPUs: 2, LA57: true, NoSelfMap: true},
		"shadow":   {CPUs: 2, Shadow: true, PCID: true, UserMode: []int{0}, LowStub: true},
		"order":    {CPUs: 3, VCPUOrder: []int{2, 0, 1}},
		"vga":      {VGA: true, Seed: 7},
		"paging":   {File: guestsim.FileOptions{Paging: true}},
		"pnxnum":   {File: guestsim.FileOptions{PNXNUM: true, NotesLast: true, EhdrSize: 64}},
		"old":      {CPUs: 2, File: guestsim.FileOptions{NoKernelGSBase: true}},
		"short":    {File: guestsim.FileOptions{GuestNoteSize: 0x1ff0}},
		"nonote":   {CPUs: 2, Encoded: true, File: guestsim.FileOptions{NoGuestNote: true}},
		"nothing":  {CPUs: 2, File: guestsim.FileOptions{NoGuestNote: true, NoCPUNotes: true}},
		"filtered": {File: guestsim.FileOptions{Begin: 0x1800, Length: 0x300000}},
	}
	for _, name := range slices.Sorted(maps.Keys(guests)) {
		g := guestsim.New(guests[name])
		if err := s.add(brief, "sim-"+name+".vmcore", g.ELF()); err != nil {
			return err
		}
	}
	return nil
}

// addFolder adds the files of a folder.
func (s *inputSet) addFolder(folder string) error {
	if folder == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := s.add(broken, "given-"+filepath.Base(file), data); err != nil {
			return err
		}
	}
	return err
}

// addQEMU adds guests that run in QEMU, if it is there: what is compared with it by
// tests, and what it fails on.
func (s *inputSet) addQEMU(folder string) (err error) {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	for _, words := range []string{
		"live", "bsod", "encoded", "shadow user pcid", "odd encoded bsod", "swbits", "mapall", "noselfmap", "swapcpu", "transition", "runs=42",
		"badsig", "unmapped", "encoded nocopy", "baddtb", "kdbgcut", "noprocblk", "noprcb", "noctx", "nobug", "ncpu=1", "ncpu=3", "badrun",
		"nonote", "nonote bsod", "size=8", "build=9600 encoded nonote", "build=26100 encoded bsod", "la57",
		"x86 live", "x86 bsod odd", "x86 nopae", "x86 build=2600 bsod", "x86 build=6002 nonote", "x86 noctx", "x86 baddtb",
	} {
		variant, guest32 := strings.CutPrefix(words, "x86 ")
		config := qemutest.Config{CPUs: 2, Memory: "4M", Variant: strings.Fields(variant), Guest32: guest32}
		switch words {
		case "la57":
			config.CPUModel = "qemu64,+la57"
		case "runs=42", "mapall":
			config.Memory = "32M"
		}
		if err := s.addBooted("qemu-"+strings.NewReplacer(" ", "-", "=", "").Replace(words), folder, config); err != nil {
			return err
		}
	}
	split := qemutest.Config{CPUs: 3, Machine: "q35", VGA: true, Memory: "48M", MaxRAMBelow4G: "16M", Variant: []string{"bsod", "swbits"}}
	return s.addBooted("qemu-split", folder, split)
}

// addBooted boots a guest and adds its dumps.
func (s *inputSet) addBooted(name, folder string, config qemutest.Config) error {
	files := map[string]string{}
	skipped, err := outsideTest(func(t *tester) {
		vm := qemutest.Start(t, config)
		for _, dump := range []struct {
			ending string
			write  func(path string) error
		}{
			{".vmcore", func(path string) error { return vm.DumpELF(path, qemutest.ELFOptions{}) }},
			{".paging.vmcore", func(path string) error { return vm.DumpELF(path, qemutest.ELFOptions{Paging: true}) }},
			{".kdump", vm.DumpKdump},
			{".win-dmp", vm.DumpWin}, // the last: where it fails, memory is not what it was
		} {
			path := filepath.Join(folder, name+dump.ending)
			if err := dump.write(path); err == nil {
				files[name+dump.ending] = path
			} else if dump.ending != ".win-dmp" {
				t.Fatal(err)
			}
		}
	})
	if skipped != "" {
		fmt.Fprintln(os.Stderr, "compare:", name+":", skipped)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		s.list = append(s.list, input{name: name, path: files[name], kind: brief})
	}
	return err
}

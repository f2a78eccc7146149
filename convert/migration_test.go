package convert_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/coretest"
	"windmp/internal/qemutest"
	"windmp/physmem"
	"windmp/physmem/open"
)

// save boots a guest, saves it and dumps it.
func save(t *testing.T, c qemutest.Config, o qemutest.MigrateOptions) *dumps {
	t.Helper()
	vm := qemutest.Start(t, c)
	can, err := vm.Can(o.Capabilities...)
	require.NoError(t, err)
	if !can {
		t.Skipf("this QEMU has no %s: NOT comparing with its streams", strings.Join(o.Capabilities, ", "))
	}
	stream := filepath.Join(t.TempDir(), "stream")
	require.NoError(t, vm.Migrate(stream, o))
	return dumpStream(t, vm, stream)
}

// dumpStream dumps the machine that a stream was saved of.
func dumpStream(t *testing.T, vm *qemutest.VM, stream string) *dumps {
	t.Helper()
	dir := t.TempDir()
	d := &dumps{elf: filepath.Join(dir, "vmcore"), stream: stream}
	win := filepath.Join(dir, "win.dmp")
	require.NoError(t, vm.DumpELF(d.elf, qemutest.ELFOptions{}))
	require.NoError(t, vm.DumpWin(win))
	var err error
	d.win, err = os.ReadFile(win)
	require.NoError(t, err)
	return d
}

// streamed converts a stream, which holds what the vmcore of the same machine does.
func (d *dumps) streamed(t *testing.T, variant string) {
	t.Helper()
	witnessStream(t, d, variant)
	sameAsELF(t, d)
}

// witnessStream converts a stream and compares with QEMU's win-dmp of the same stopped
// machine: unlike an ELF dump, a stream has all registers, and differs in those alone that
// QEMU leaves empty.
func witnessStream(t *testing.T, d *dumps, variant string) *report.Report {
	t.Helper()
	shape := *shapeOf(t, d.win)
	shape.lacking = shape.unfilled
	return witnessAs(t, &shape, source.File(d.stream), d.win, variant)
}

// sameAsELF checks that a stream holds what QEMU's ELF dump of the same stopped machine
// does: memory, as far as the machine's own goes, the guest's note, and every register
// that the ELF has.
func sameAsELF(t *testing.T, d *dumps) {
	t.Helper()
	want, err := open.File(t.Context(), d.elf, open.Options{})
	require.NoError(t, err)
	defer want.Close()
	got, err := open.File(t.Context(), d.stream, open.Options{})
	require.NoError(t, err)
	defer got.Close()
	assert.Equal(t, physmem.FormatMigration, got.Format())
	assert.Empty(t, got.Oddities())
	assert.Equal(t, want.Machine(), got.Machine())
	for _, r := range got.Ranges() {
		missing := want.Missing(r)
		for _, x := range missing { // RAM under the video memory's window
			assert.True(t, x.Start >= 0xa0000 && x.End() <= 0xc0000, "%v is not in the ELF", x)
		}
		for _, part := range physmem.Subtract(r, missing) {
			a, b := make([]byte, part.Size), make([]byte, part.Size)
			_, err := want.ReadAt(a, int64(part.Start))
			require.NoError(t, err)
			_, err = got.ReadAt(b, int64(part.Start))
			require.NoError(t, err)
			// Where firmware is mapped over memory, the guest sees the former.
			if part.End() <= 0xa0000 || part.Start >= 0x100000 {
				require.Equal(t, a, b, part)
			}
		}
	}
	require.NotNil(t, got.GuestNote())
	assert.Equal(t, want.GuestNote().Desc, got.GuestNote().Desc)
	assert.Equal(t, want.GuestNote().Name, got.GuestNote().Name)
	sameRegisters(t, want.CPUs(), got.CPUs())
}

// sameRegisters compares what an ELF has of the processors.
func sameRegisters(t *testing.T, want, got []physmem.CPU) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		assert.Equal(t, want[i].ID, got[i].ID)
		x := *physmem.X86Of(got[i])
		assert.NotNil(t, x.Debug)
		assert.Equal(t, x.HasKernelGSBase, x.MSR != nil, "both are of long mode")
		assert.Len(t, x.FX, physmem.FXSize)
		old := *physmem.X86Of(want[i])
		old.HasKernelGSBase = x.MSR != nil // an ELF has a field for it, whatever the processor is
		x.Debug, x.MSR, x.FX = nil, nil, nil
		assert.Equal(t, old, x, "processor %d", i)
	}
}

// TestQEMUStream converts the streams of machines that [TestQEMU] and [TestQEMU32] have
// none like, and compares as they do.
func TestQEMUStream(t *testing.T) {
	qemutest.Require(t)
	for _, m := range []qemuMachine{
		{"registers", qemutest.Config{CPUs: 2, Memory: "16M", Variant: []string{"live"}}},
		{"NUMA", qemutest.Config{CPUs: 2, Memory: "24M", Variant: []string{"live"}, Extra: []string{
			"-object", "memory-backend-ram,id=ram-node0,size=6M", "-object", "memory-backend-ram,id=ram-node1,size=18M",
			"-numa", "node,memdev=ram-node0", "-numa", "node,memdev=ram-node1",
		}}},
		{"NUMA, other names", qemutest.Config{CPUs: 2, Memory: "24M", Machine: "q35", Variant: []string{"live"}, Extra: []string{
			"-object", "memory-backend-ram,id=here,size=6M", "-object", "memory-backend-ram,id=there,size=18M",
			"-numa", "node,memdev=here", "-numa", "node,memdev=there",
		}}},
		{"a DIMM", qemutest.Config{CPUs: 1, Memory: "8M,slots=4,maxmem=1G", Variant: []string{"live"}, Extra: []string{
			"-object", "memory-backend-ram,id=more,size=16M", "-device", "pc-dimm,memdev=more",
		}}},
		{"a device's pages", qemutest.Config{CPUs: 1, Variant: []string{"live"}, Extra: []string{"-device", "vmware-svga"}}},
		{"another backend", qemutest.Config{CPUs: 1, Memory: "8M", Machine: "q35,memory-backend=mem0", Variant: []string{"live"}, Extra: []string{
			"-object", "memory-backend-ram,id=mem0,size=8M",
		}}},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			save(t, m.config, qemutest.MigrateOptions{}).streamed(t, strings.Join(m.config.Variant, " "))
		})
	}
}

// TestQEMUStreamShapes converts streams that were made in other ways than by default.
// Compress is gone since QEMU 9.1, mapped-ram is there since 9.0: what is tested depends
// on the QEMU at hand.
func TestQEMUStreamShapes(t *testing.T) {
	qemutest.Require(t)
	c := qemutest.Config{CPUs: 2, Memory: "8M", Variant: []string{"live"}}
	for name, o := range map[string]qemutest.MigrateOptions{
		"compress": {Capabilities: []string{"compress"}},
		"running":  {Running: true},
		"xbzrle":   {Capabilities: []string{"xbzrle"}, Running: true},
		"uuid":     {Capabilities: []string{"validate-uuid"}},
		"events":   {Capabilities: []string{"events"}},

		"mapped-ram":          {Capabilities: []string{"mapped-ram"}, File: true},
		"mapped-ram, running": {Capabilities: []string{"mapped-ram"}, File: true, Running: true},
		"mapped-ram, multifd": {
			Capabilities: []string{"mapped-ram", "multifd"}, File: true,
			Parameters: map[string]any{"multifd-channels": 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			save(t, c, o).streamed(t, "live")
		})
	}
}

// TestQEMUSnapshot converts the memory of snapshots in qcow2 images of all shapes, which
// are all of one stopped machine.
func TestQEMUSnapshot(t *testing.T) {
	qemutest.Require(t)
	t.Parallel()
	vm := qemutest.Start(t, qemutest.Config{CPUs: 2, Memory: "24M", Variant: []string{"bsod"}})
	dir := t.TempDir()
	d := dumpStream(t, vm, "")
	for name, image := range map[string]struct {
		size    int
		options map[string]any
	}{
		"64 KiB":        {1 << 30, nil},
		"4 KiB":         {3<<20 + 512, map[string]any{"cluster-size": 4096}},
		"2 MiB":         {64 << 20, map[string]any{"cluster-size": 2 << 20}},
		"512 bytes":     {1 << 20, map[string]any{"cluster-size": 512}},
		"extended L2":   {1<<30 + 1536, map[string]any{"cluster-size": 128 << 10, "extended-l2": true}},
		"version 2":     {1 << 28, map[string]any{"version": "v2"}},
		"metadata":      {1 << 24, map[string]any{"preallocation": "metadata"}},
		"an empty disk": {0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d.stream = filepath.Join(dir, name+".qcow2")
			require.NoError(t, vm.SaveSnapshot(d.stream, image.size, image.options, "before"))
			witnessStream(t, d, "bsod")
			require.NoError(t, os.Remove(d.stream))
		})
	}
}

// TestQEMUSnapshots: of several, one has to be named.
func TestQEMUSnapshots(t *testing.T) {
	qemutest.Require(t)
	t.Parallel()
	vm := qemutest.Start(t, qemutest.Config{Variant: []string{"bsod"}})
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	require.NoError(t, vm.SaveSnapshot(path, 1<<20, nil, "one", "the other"))
	_, err := open.File(t.Context(), path, open.Options{})
	require.ErrorContains(t, err, `"one" (id 1) of `)
	require.ErrorContains(t, err, `"the other" (id 2) of `)
	for _, name := range []string{"the other", "2"} {
		im, err := open.File(t.Context(), path, open.Options{Snapshot: name})
		require.NoError(t, err)
		assert.Contains(t, im.Describe(), `snapshot "the other" of `)
		require.NoError(t, im.Close())
	}
	_, err = open.File(t.Context(), path, open.Options{Snapshot: "none"})
	require.ErrorContains(t, err, `no memory of a snapshot "none"`)
}

// TestSavedSamples converts what libvirt and other QEMUs saved.
func TestSavedSamples(t *testing.T) {
	t.Parallel()
	folder := coretest.Samples(t)
	for name, want := range map[string]struct {
		description string
		state       report.State
	}{
		"libvirt-save-xz": {
			`libvirt save file of the guest "lv", QEMU migration stream, machine pc-i440fx-7.2`,
			report.State{Product: "libvirt", Guest: "lv", MachineType: "pc-i440fx-7.2", Packing: "xz"},
		},
		"libvirt-dump-gzip": {
			"QEMU migration stream, machine pc-q35-7.2",
			report.State{Product: "QEMU", MachineType: "pc-q35-7.2", Packing: "gzip"},
		},
		"libvirt-internal.qcow2.gz": {
			`qcow2 image, snapshot "snap1" of 2026-11-27 13:11:36, QEMU migration stream, machine pc-i440fx-10.0`,
			report.State{Product: "QEMU", MachineType: "pc-i440fx-10.0", Snapshot: "snap1", Saved: "2026-11-27T13:11:36.301505Z", Packing: "gzip"},
		},
		"qemu-trixie-mapped.mig.gz": {
			"QEMU migration stream (mapped-ram), machine pc-q35-10.0",
			report.State{Product: "QEMU", MachineType: "pc-q35-10.0", Encoding: "mapped-ram", Packing: "gzip"},
		},
		"qemu-sid-pc2.mig.gz": {
			"QEMU migration stream, machine pc-i440fx-11.1",
			report.State{Product: "QEMU", MachineType: "pc-i440fx-11.1", Packing: "gzip"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out.dmp")
			r, err := convert.File(t.Context(), filepath.Join(folder, name), out, convert.Options{})
			require.NoError(t, err)
			assert.Equal(t, want.description, r.Input.Description)
			assert.Equal(t, &want.state, r.Input.State)
			assert.Equal(t, "OK", r.Verdict)
			assert.EqualValues(t, 2, r.Guest.NumberProcessors)
		})
	}
}

// TestStateOfInput: what a file says of itself as a state is in the report.
func TestStateOfInput(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]report.State{
		"guest-bsod.vmcore":  {Product: "QEMU"},
		"live-2cpu.kdump.gz": {Product: "QEMU", Encoding: "zlib, flattened", Packing: "gzip"},
	} {
		r, err := convert.File(t.Context(), filepath.Join("..", "testdata", name), "", convert.Options{DryRun: true})
		require.NoError(t, err)
		assert.Equal(t, &want, r.Input.State, name)
	}
}

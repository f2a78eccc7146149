package convert_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/internal/qemutest"
	"windmp/physmem"
	"windmp/physmem/open"
)

// diskImage makes a disk image, or the test says that it did not run.
func diskImage(t *testing.T, path string) {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("DID NOT RUN: no qemu-img (Debian: qemu-utils)")
	}
	out, err := exec.Command("qemu-img", "create", "-f", "qcow2", path, "8M").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestQEMUSavevm: HMP's savevm saves a machine with several disks; one of them has the
// memory, which converts while the machine goes on, and the others are named.
func TestQEMUSavevm(t *testing.T) {
	qemutest.Require(t)
	t.Parallel()
	dir := t.TempDir()
	disks := []string{filepath.Join(dir, "system.qcow2"), filepath.Join(dir, "data.qcow2")}
	config := qemutest.Config{CPUs: 2, Memory: "24M", Variant: []string{"bsod"}}
	for i, disk := range disks {
		diskImage(t, disk)
		id := string(rune('a' + i))
		config.Extra = append(config.Extra, "-drive", "if=none,id="+id+",format=qcow2,file="+disk, "-device", "virtio-blk-pci,drive="+id)
	}
	vm := qemutest.Start(t, config)
	said, err := vm.HMP("savevm before")
	require.NoError(t, err)
	require.Empty(t, said)
	r := witnessStream(t, dumpStream(t, vm, disks[0]), "bsod")
	inUse := false
	for _, f := range r.Findings {
		inUse = inUse || f.ID == finding.FileInUse.ID()
	}
	assert.True(t, inUse, "the machine runs")
	_, err = open.File(t.Context(), disks[1], open.Options{})
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	require.ErrorContains(t, err, "1 snapshot of the disk alone, without memory; of a machine with several disks, one has the snapshot's memory")
}

package qcow2_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/open"
)

// inaccurate is what qemu-img ends with where the system's clock for processor time stood
// still while it tried how long a key takes, as it may on a busy machine.
const inaccurate = "Unable to get accurate CPU usage"

// qemuImgIn runs qemu-img in a folder.
func qemuImgIn(t *testing.T, dir string, args ...string) {
	t.Helper()
	for attempt := 1; ; attempt++ {
		cmd := exec.Command("qemu-img", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if attempt < 20 && strings.Contains(string(out), inaccurate) {
			continue
		}
		require.NoError(t, err, "%v: %s", args, out)
		return
	}
}

// TestQEMUImg: the images without memory that qemu-img makes are named for what they are.
func TestQEMUImg(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("DID NOT RUN: no qemu-img (Debian: qemu-utils)")
	}
	dir := t.TempDir()
	qemuImg := func(args ...string) { qemuImgIn(t, dir, args...) }
	qemuImg("create", "-f", "qcow2", "plain.qcow2", "1M")
	qemuImg("create", "-f", "qcow2", "-b", "plain.qcow2", "-F", "qcow2", "top.qcow2")
	qemuImg("create", "-f", "qcow2", "-o", "data_file=data.raw", "external.qcow2", "1M")
	qemuImg("create", "-f", "qcow2", "disks.qcow2", "1M")
	qemuImg("snapshot", "-c", "one", "disks.qcow2")
	qemuImg("snapshot", "-c", "two", "disks.qcow2")
	qemuImg("convert", "-c", "-O", "qcow2", "plain.qcow2", "packed.qcow2")
	qemuImg("create", "-f", "qcow2", "-o", "lazy_refcounts=on,compression_type=zstd", "zstd.qcow2", "1M")
	const none = "a qcow2 disk image without the memory of a snapshot; a disk holds no memory"
	wants := map[string]string{
		"plain.qcow2": none, "packed.qcow2": none, "zstd.qcow2": none, "external.qcow2": none,
		"top.qcow2":   `without the memory of a snapshot, on top of "plain.qcow2"; a snapshot that was made before that is in the file below`,
		"disks.qcow2": "a qcow2 disk image with 2 snapshots of the disk alone, without memory",
	}
	if !testing.Short() { // deriving the key takes seconds
		secret := []string{"--object", "secret,id=s,data=password"}
		options := "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"
		qemuImg(append(append([]string{"create", "-f", "qcow2"}, secret...), "-o", options, "luks.qcow2", "1M")...)
		qemuImg(append(append([]string{"snapshot"}, secret...), "--image-opts", "-c", "one", "driver=qcow2,encrypt.key-secret=s,file.filename=luks.qcow2")...)
		// Of the disk alone: QEMU 7.2 crashes when it saves a machine into such an image.
		wants["luks.qcow2"] = "an encrypted qcow2 disk image: the memory of its snapshots is encrypted too"
	}
	for name, want := range wants {
		_, err := open.File(t.Context(), filepath.Join(dir, name), open.Options{})
		require.ErrorIs(t, err, physmem.ErrUnsupported, name)
		require.ErrorContains(t, err, want, name)
	}
}

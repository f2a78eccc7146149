package qemutest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
)

// The images of testdata/images: files of the PE format that run inside of the guest,
// made by mingw-w64.
const (
	mingw64 = "x86_64-w64-mingw32-gcc"
	mingw32 = "i686-w64-mingw32-gcc"
)

// imageFlags make an image without a C library that is the same each time: no time in
// it, and a build ID of its contents for the name of its symbols.
var imageFlags = []string{
	"-O2", "-std=gnu11", "-ffreestanding", "-nostdlib", "-shared",
	"-fno-stack-protector", "-fno-ident", "-fno-optimize-sibling-calls",
	"-Wall", "-Wextra", "-Werror", "-s",
	"-Wl,--subsystem,native", "-Wl,--no-insert-timestamp", "-Wl,--build-id",
}

// imageFile is one of the images: where it wants to lie, and what it is made of. It is
// linked with those that were made before it.
type imageFile struct {
	name, pdb, entry string
	base             uint64
	sources, flags   []string
	links            []string
}

// imageSet are the images of one machine.
type imageSet struct {
	compiler string
	flags    []string
	files    []imageFile
}

// coreFlags are those of the kernel, whose code and variables lie where the guest has them.
func coreFlags(text, data uint32) []string {
	return []string{
		"-DCORE", "-Wl,-T,core.lds",
		fmt.Sprintf("-Wl,--defsym,GUEST_TEXT=%#x", text), fmt.Sprintf("-Wl,--defsym,GUEST_DATA=%#x", data),
	}
}

var images64 = imageSet{
	compiler: mingw64,
	files: []imageFile{
		{
			name: "ntoskrnl.exe", pdb: "ntkrnlmp.pdb", entry: "KiStartSystemThread", base: 0x140000000,
			sources: []string{"core.c", "core64.c", "core64.S", "probe64.S"},
			flags:   coreFlags(0x200000, 0xc00000),
		},
		{
			name: "sprocket.sys", pdb: "sprocket.pdb", entry: "SprocketRequest", base: 0x1c0000000,
			sources: []string{"sprocket.c", "sprocket64.S", "probe64.S"}, links: []string{"ntoskrnl.exe"},
		},
		{
			name: "gizmo.sys", pdb: "gizmo.pdb", entry: "GizmoThread", base: 0x1c0000000,
			sources: []string{"gizmo.c", "probe64.S"}, links: []string{"sprocket.sys", "ntoskrnl.exe"},
		},
	},
}

var images32 = imageSet{
	compiler: mingw32,
	flags:    []string{"-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables"},
	files: []imageFile{
		{
			name: "ntoskrnl.exe", pdb: "ntkrpamp.pdb", entry: "_KiStartSystemThread", base: 0x400000,
			sources: []string{"core.c", "core32.c", "core32.S", "probe32.S"},
			flags:   coreFlags(0xde000, 0x120000),
		},
		{
			name: "sprocket.sys", pdb: "sprocket.pdb", entry: "_SprocketRequest", base: 0x10000,
			sources: []string{"sprocket.c", "sprocket32.S", "probe32.S"}, links: []string{"ntoskrnl.exe"},
		},
		{
			name: "gizmo.sys", pdb: "gizmo.pdb", entry: "_GizmoThread", base: 0x10000,
			sources: []string{"gizmo.c", "probe32.S"}, links: []string{"sprocket.sys", "ntoskrnl.exe"},
		},
	},
}

// build makes the images in a folder.
func (s *imageSet) build(dir string) error {
	source, err := Testdata("images")
	if err != nil {
		return err
	}
	for _, f := range s.files {
		args := slices.Concat(imageFlags, s.flags, f.flags, []string{
			"-L" + source, "-o", f.name, "-Wl,-e," + f.entry, "-Wl,--pdb=" + f.pdb, fmt.Sprintf("-Wl,--image-base,%#x", f.base),
		})
		for _, name := range f.sources {
			args = append(args, filepath.Join(source, name))
		}
		cmd := exec.Command(s.compiler, append(args, f.links...)...)
		cmd.Dir = dir
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("compiling the image %s: %w\n%s", f.name, err, output)
		}
	}
	return nil
}

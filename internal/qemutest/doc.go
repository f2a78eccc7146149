// Package qemutest boots the test guests under real QEMU, without KVM, and dumps them in
// the ways that QEMU knows: that of testdata/guest, and those of 32 bits and of 64-bit Arm
// beside it. It is the independent witness of this project: what it writes, QEMU wrote.
//
// A guest is a bare-metal program that builds in its memory what a host sees of Windows,
// by itself Windows 10 with the virtio-win fwcfg driver; testdata/guest/README.md lists what it
// builds and the words ([Config.Variant]) that change it. It is compiled with gcc once
// in a test process. Booting takes about a second. With [Config.Images] it is compiled
// with the images of testdata/images, which mingw-w64 makes: they run in it, crash, and
// list the frames of the crashed thread.
//
//	vm := qemutest.Start(t, qemutest.Config{CPUs: 2, Variant: []string{"bsod"}})
//	err := vm.DumpELF(path, qemutest.ELFOptions{Paging: true})
//
// Tests that need QEMU call [Start] (or [Require]) and are skipped where
// qemu-system-x86_64 or gcc is missing, or mingw-w64 where images are wanted, unless
// WINDMP_REQUIRE_QEMU=1 is set.
package qemutest

//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"strings"
)

// racer is a program that is measured. In its arguments {in} and {out} stand for the
// files, {url} for where the first is served, {start} and {size} for the range of memory
// that was added.
type racer struct {
	name string
	args []string
	// against is the racer of the group that this one is compared with.
	against string
	// optional racers are left out when they do not run.
	optional bool
}

// group is racers that work on the same input.
type group struct {
	name   string
	about  string
	onDisk bool
	mkbig  []string // arguments that make the input
	data   uint64   // GiB of the input's memory that are no holes
	space  uint64   // GiB that input and output take
	rounds int      // at most so many
	racers []racer
	// before runs before each measured run, and what it wrote is deleted: so memory
	// has been used when a racer begins.
	before []string
	// verify is a racer whose output must end like the input.
	verify string
	// prepare makes {out} of {in}, which takes its place.
	prepare []string
	// serve has the input served over the loopback interface.
	serve bool
}

// convert is a racer that converts.
func convert(s *settings, name, against string, options ...string) racer {
	args := append([]string{s.windmp, "convert", "--quiet"}, options...)
	return racer{name: name, args: append(args, "{in}", "{out}"), against: against}
}

// synced is a shell's line that waits for the disk, as windmp does by itself.
func synced(line string) []string {
	return []string{"sh", "-c", line + ` && sync "$2"`, "sh", "{in}", "{out}"}
}

// libkdumpfile reads all pages through libkdumpfile: zlib in C, on one processor.
const libkdumpfile = `
import sys, kdumpfile
c = kdumpfile.kdumpfile(sys.argv[1])
at, size = int(sys.argv[2]), int(sys.argv[3])
for pa in range(at, at + size, 1 << 20):
    c.read(kdumpfile.KDUMP_MACHPHYSADDR, pa, 1 << 20)
`

// groups are all measurements. self is this program.
func groups(s *settings, self string) []group {
	size := fmt.Sprint(s.gib)
	image := []string{"-gib", size}
	if s.core != "" {
		image = append(image, "-core", s.core)
	}
	cp := []string{"cp", "--sparse=never", "--reflink=never", "{in}", "{out}"}
	onDisk := []racer{
		{name: "cp", args: cp},
		convert(s, "windmp", "cp", "--no-sync", "--sparse=never"),
		convert(s, "windmp auto", "cp", "--no-sync"),
		{name: "cp+sync", args: synced(`cp --sparse=never --reflink=never "$1" "$2"`)},
		convert(s, "windmp+sync", "cp+sync", "--sparse=never"),
		convert(s, "windmp auto+sync", "cp+sync"),
	}
	list := []group{
		{
			name: "copy", about: "an ELF vmcore to a dump, in memory", mkbig: image, data: s.gib, space: 2*s.gib + 1, verify: "windmp",
			racers: append([]racer{
				{name: "cp", args: cp},
				{name: "dd", args: []string{"dd", "if={in}", "of={out}", "bs=1M", "status=none"}, against: "cp"},
				convert(s, "windmp", "cp", "--no-sync", "--sparse=never"),
				convert(s, "windmp bitmap", "cp", "--no-sync", "--sparse=never", "--type=bitmap"),
				{name: "cp sparse", args: []string{"cp", "--sparse=always", "--reflink=never", "{in}", "{out}"}, against: "cp"},
				convert(s, "windmp sparse", "cp sparse", "--no-sync", "--sparse=always"),
				convert(s, "windmp auto", "cp", "--no-sync"),
			}, elf2dmp()...),
		},
		{
			name: "disk", about: "an ELF vmcore to a dump, on a disk, the input in the page cache", mkbig: image, onDisk: true,
			data: s.gib, space: 2*s.gib + 1, verify: "windmp", racers: onDisk,
		},
		{
			name: "used disk", about: "the same right after a cp whose copy was deleted", mkbig: image, onDisk: true,
			data: s.gib, space: 2*s.gib + 1, verify: "windmp", before: cp, racers: onDisk,
		},
		{
			name: "used memory", about: "an ELF vmcore to a dump, in memory, right after a cp whose copy was deleted", mkbig: image,
			data: s.gib, space: 2*s.gib + 1, verify: "windmp", before: cp,
			racers: []racer{{name: "cp", args: cp}, convert(s, "windmp", "cp", "--no-sync", "--sparse=never"), convert(s, "windmp auto", "cp", "--no-sync")},
		},
		{
			name: "kdump", about: "a kdump-compressed file (zlib) to a dump, in memory", mkbig: append([]string{"-kdump"}, image...),
			data: s.gib, space: 2*s.gib + 1,
			racers: []racer{
				{name: "inflate only", args: []string{self, "inflate", "{in}"}},
				{name: "inflate only, std", args: []string{self, "inflate", "-library", "std", "{in}"}, against: "inflate only"},
				convert(s, "windmp", "inflate only", "--no-sync"),
				{name: "libkdumpfile", args: []string{"/usr/bin/python3", "-c", libkdumpfile, "{in}", "{start}", "{size}"}, against: "inflate only", optional: true},
			},
		},
		{
			name: "tebibyte", about: "a sparse vmcore of 1 TiB with 1 GiB of data, in memory", mkbig: []string{"-gib", "1024", "-data", "1"}, data: 1, space: 3,
			racers: []racer{
				{name: "cp sparse", args: []string{"cp", "--sparse=always", "--reflink=never", "{in}", "{out}"}},
				convert(s, "windmp", "cp sparse", "--no-sync", "--sparse=always"),
				convert(s, "windmp bitmap", "cp sparse", "--no-sync", "--sparse=always", "--type=bitmap"),
				convert(s, "windmp kernel", "cp sparse", "--no-sync", "--type=kernel"),
				{name: "check", args: []string{s.windmp, "check", "{in}"}},
				{name: "info", args: []string{s.windmp, "info", "{in}"}},
			},
		},
		{
			name: "search", about: "Windows found in memory alone, without note and registers", mkbig: []string{"-gib", size, "-nonote"}, data: s.gib, space: s.gib + 1,
			racers: []racer{
				{name: "read", args: []string{"dd", "if={in}", "of=/dev/null", "bs=1M", "status=none"}},
				{name: "info", args: []string{s.windmp, "info", "{in}"}, against: "read"},
			},
		},
		{
			name: "mount", about: "a file of a mounted folder, read to its end, in memory", mkbig: image, data: s.gib, space: s.gib + 1,
			racers: []racer{
				{name: "read", args: []string{"dd", "if={in}", "of=/dev/null", "bs=1M", "status=none"}},
				mounted(s, "mounted", `dd if="$3/memory.dmp" of=/dev/null bs=1M status=none`),
				mounted(s, "mounted, listed", `ls "$3" >/dev/null`),
				{name: "to a pipe", args: []string{"sh", "-c", `"$1" convert --quiet "$2" - | cat >/dev/null`, "sh", s.windmp, "{in}"}, against: "read"},
			},
		},
		{
			name: "packed", about: "packed outputs of 1 GiB, in memory", mkbig: []string{"-gib", "1"}, data: 1, space: 3, rounds: 3,
			racers: []racer{
				onOne(convertTo(s, "windmp .zst, 1 processor", ".zst", "")),
				convertTo(s, "windmp .zst", ".zst", "windmp .zst, 1 processor"),
				{name: "zstd -3", args: []string{"zstd", "-3", "-qf", "{in}", "-o", "{out}"}, against: "windmp .zst, 1 processor", optional: true},
				{name: "zstd -3 -T0", args: []string{"zstd", "-3", "-T0", "-qf", "{in}", "-o", "{out}"}, against: "windmp .zst, 1 processor", optional: true},
				convertTo(s, "windmp .gz", ".gz", ""), convertTo(s, "windmp .zip", ".zip", ""),
				{name: "check full", args: []string{s.windmp, "check", "--level=full", "{in}"}},
			},
		},
		{
			name: "frames", about: "a dump of 1 GiB packed as .zst, read in place, in memory", mkbig: []string{"-gib", "1"}, data: 1, space: 4, rounds: 3,
			prepare: []string{"sh", "-c", `"$1" convert --quiet --no-sync "$2" "$3.zst" && mv "$3.zst" "$3"`, "sh", s.windmp, "{in}", "{out}"},
			racers: []racer{
				{name: "zstd -d", args: []string{"zstd", "-dqf", "{in}", "-o", "{out}"}, optional: true},
				convert(s, "windmp", "zstd -d", "--no-sync", "--sparse=never"),
				onOne(convert(s, "windmp, 1 processor", "zstd -d", "--no-sync", "--sparse=never")),
				{name: "check", args: []string{s.windmp, "check", "{in}"}},
				{name: "info", args: []string{s.windmp, "info", "{in}"}},
			},
		},
		{
			name: "stream", about: "an ELF vmcore to a dump in a pipe, in memory", mkbig: image, data: s.gib, space: s.gib + 1,
			racers: []racer{
				{name: "cat", args: []string{"sh", "-c", `cat "$1" | cat >/dev/null`, "sh", "{in}"}},
				{name: "windmp", args: []string{"sh", "-c", `"$1" convert --quiet "$2" - | cat >/dev/null`, "sh", s.windmp, "{in}"}, against: "cat"},
				{name: "windmp, summed", args: []string{"sh", "-c", `"$1" convert --quiet "$2" - | sha256sum`, "sh", s.windmp, "{in}"}},
			},
		},
		{
			name: "url", about: "an ELF vmcore behind a URL on the same machine, in memory", mkbig: image, data: s.gib, space: 2*s.gib + 1, serve: true, verify: "windmp",
			racers: []racer{
				{name: "curl", args: []string{"curl", "-sfo", "{out}", "{url}"}, optional: true},
				convertURL(s, "windmp", "--no-sync", "--sparse=never"),
				convertURL(s, "windmp triage", "--no-sync", "--type=triage"),
				{name: "check", args: []string{s.windmp, "check", "{url}"}},
			},
		},
	}
	return list
}

// mounted is a racer that does something with a mounted folder, $3. Where nothing can be
// mounted it is left out.
func mounted(s *settings, name, line string) racer {
	const script = `mkdir -p "$3" && "$1" mount "$2" "$3" | { read -r _ && LINE; fusermount3 -u "$3" || umount "$3"; }`
	return racer{
		name: name, args: []string{"bash", "-o", "pipefail", "-c", strings.Replace(script, "LINE", line, 1), "bash", s.windmp, "{in}", "{out}.mounted"},
		against: "read", optional: true,
	}
}

// convertTo is a racer whose output is packed.
func convertTo(s *settings, name, suffix, against string) racer {
	return racer{name: name, args: []string{s.windmp, "convert", "--quiet", "--no-sync", "--force", "{in}", "{out}" + suffix}, against: against}
}

// convertURL is a racer that converts what is served, compared with its download.
func convertURL(s *settings, name string, options ...string) racer {
	args := append([]string{s.windmp, "convert", "--quiet"}, options...)
	return racer{name: name, args: append(args, "{url}", "{out}"), against: "curl"}
}

// onOne is a racer that uses one processor.
func onOne(r racer) racer {
	r.args = append([]string{"env", "GOMAXPROCS=1"}, r.args...)
	return r
}

// elf2dmp is QEMU's converter, if it is there. It needs a real guest's core and
// the network for the kernel's symbols.
func elf2dmp() []racer {
	if _, err := exec.LookPath("elf2dmp"); err != nil {
		return nil
	}
	return []racer{{name: "elf2dmp", args: []string{"elf2dmp", "{in}", "{out}"}, against: "cp", optional: true}}
}

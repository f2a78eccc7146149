//go:build unix

package main

import (
	"regexp"
	"slices"
	"strings"
)

// testCase is one command on one input.
type testCase struct {
	in    input
	args  []string
	there map[string]string // files beside the input
}

func (c testCase) name() string { return c.in.name + ": " + strings.Join(c.args, " ") }

// The commands, IN for the input. What is not about writing is asked with --no-sync,
// which changes nothing but time.
var (
	// briefly says most of what there is to say of an input.
	briefly = []string{
		"convert IN out.dmp --json",
		"convert IN out.dmp --type=kernel --json",
		"convert IN out.elf --to=elf --json",
		"convert IN out.dmp --type=triage --json",
		"convert IN out.dmp --contexts=vcpu --missing=zero",
		"check IN --json",
		"check IN --level=full -v",
		"info IN --json --modules --processes",
		"stack IN --json",
		"symbols IN --json",
		"vtop IN fffff78000000000 ffdf0000 --json --read=48",
	}
	// wholly says the rest.
	wholly = []string{
		"convert IN",
		"convert IN -",
		"convert IN out.dmp --dry-run",
		"convert IN out.dmp --dry-run --json --contexts=vcpu",
		"convert IN out.dmp --type=full",
		"convert IN out.dmp --type=bitmap --json",
		"convert IN out.dmp --type=kernel --keep-process=4 --json",
		"convert IN out.dmp --type=kernel --keep-process=12345 --json",
		"convert IN out.dmp --contexts=saved --json",
		"convert IN out.dmp --contexts=vcpu --type=bitmap",
		"convert IN out.dmp --missing=zero --json",
		"convert IN out.dmp --missing=drop --json",
		"convert IN out.dmp --missing=drop --type=bitmap",
		"convert IN out.dmp --strict --report=report.json",
		"convert IN out.dmp --quiet --sparse=always -j 1",
		"convert IN out.dmp.gz",
		"convert IN out.dmp.zst --json",
		"convert IN out.dmp.zip --type=kernel",
		"convert IN out.elf --to=elf --contexts=vcpu --missing=drop",
		"convert IN - --type=bitmap --report=report.json",
		"convert IN - --to=elf",
		"convert IN out.dmp --dtb=0x5000 --json",
		"convert IN out.dmp --kdbg=fffff80012345678 --json",
		"convert IN out.dmp --kernel-base=fffff80012345000 --json",
		"convert IN out.dmp --format=elf --json",
		"convert IN out.dmp --format=dmp --json",
		"convert IN out.dmp --format=kdump",
		"convert IN out.dmp --format=raw --json",
		"convert IN there.dmp",
		"convert IN there.dmp --force --progress=json",
		"convert IN no/such/folder.dmp --json",
		"check IN",
		"check IN --level=header --json",
		"check IN --level=quick -v",
		"check IN --level=full --json",
		"check IN --strict --fail-on-unknown",
		"check IN missing.dmp --max-size=1MB",
		"check IN --format=dmp --json",
		"info IN",
		"info IN -v -m -p",
		"info IN --dtb=0x5000 --json",
		"info IN --format=raw --json",
		"stack IN",
		"stack IN --all",
		"symbols IN",
		"symbols IN --urls=https://example.com/symbols",
		"symbols IN --manifest --kernel-only-modules",
		"vtop IN fffff80041c00000 fffff80042800b20",
		"vtop IN 82600000 805000f8 80000000 --read=16",
		"vtop IN 7ffe0000 0 ffffffffffffffff 8000000000000000 --json",
		"vtop IN 7ffe0000 fffff78000000000 --process=4 --read=16",
		"vtop IN fffff78000000000 --process=12345",
		"vtop IN fffff78000000000 --dtb=0x28b000 --levels=4 --json",
		"vtop IN fffff78000000000 --dtb=0x28b000 --levels=5",
		"vtop IN fffff78000000000 --dtb=0xfffffffff000 --json",
		"vtop IN nonsense",
	}
	// carefully is what broken files are asked.
	carefully = []string{
		"convert IN out.dmp --json --missing=zero",
		"convert IN out.elf --to=elf",
		"check IN --json",
		"check IN --level=full",
		"info IN --json --modules --processes",
		"stack IN",
		"symbols IN",
		"vtop IN fffff78000000000 ffdf0000 --json",
	}
	// once is asked of no input in particular.
	once = []string{
		"", "help", "convert", "check", "info", "symbols", "vtop", "nonsense", "--nonsense", "convert --help", "check --help", "info --help",
		"symbols --help", "vtop --help", "help exit-codes", "completion bash",
		"convert missing.vmcore", "check missing.vmcore --json", "info missing.vmcore --json", "symbols missing.vmcore", "vtop missing.vmcore 0 --json",
		"convert IN IN --force", "convert IN out.dmp --type=ful", "convert IN out.dmp --contexts=all", "convert IN out.dmp --missing=none", "convert IN out.dmp --jobs=0",
		"convert IN out.dmp --to=raw", "convert IN out.dmp --format=qcow2", "convert IN out.dmp --hole=0-1M", "convert IN out.dmp --keep-process=4",
		"check IN --level=deep", "check IN --max-size=many", "vtop IN 0 --levels=3", "vtop IN 0 --read=-1", "vtop IN 0 --dtb=1 --process=4",
		"check .", "info . --json", "convert . out.dmp",
	}
)

// allCases returns the cases whose name matches.
func allCases(inputs []input, only *regexp.Regexp) []testCase {
	var list []testCase
	add := func(in input, commands []string) {
		for _, line := range commands {
			c := testCase{in: in, args: arguments(line, in)}
			if slices.Contains(c.args, "there.dmp") {
				c.there = map[string]string{"there.dmp": "something that was there\n"}
			}
			if only == nil || only.MatchString(c.name()) {
				list = append(list, c)
			}
		}
	}
	for _, in := range inputs {
		switch in.kind {
		case whole:
			add(in, briefly)
			add(in, wholly)
		case brief:
			add(in, briefly)
		case broken:
			add(in, carefully)
		}
		if in.name == "guest-bsod.vmcore" {
			add(in, once)
		}
	}
	return list
}

// arguments makes a command line of a line of the lists.
func arguments(line string, in input) []string {
	args := strings.Fields(line)
	for i, arg := range args {
		if arg == "IN" {
			args[i] = in.name
		}
	}
	if slices.Contains(args, "convert") {
		args = append(args, "--no-sync")
	}
	return append(args, in.flags...)
}

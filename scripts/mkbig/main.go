// Command mkbig writes a vmcore of several GiB for scripts/race: a small guest,
// a synthetic one or a core that is given, extended by one run of memory that
// does not compress.
//
//	go run ./scripts/mkbig -gib 4 big.vmcore
//	go run ./scripts/mkbig -gib 16 -core guest.vmcore big.vmcore
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"windmp/internal/guestsim"
)

// maxGiB keeps a slip of the finger from filling a disk.
const maxGiB = 1024

func main() {
	gib := flag.Uint64("gib", 4, "size of the added memory in GiB")
	from := flag.String("core", "", "the vmcore to extend (default: a synthetic guest)")
	flag.Parse()
	if flag.NArg() != 1 || *gib == 0 || *gib > maxGiB {
		fmt.Fprintln(os.Stderr, "usage: mkbig [-gib 1..1024] [-core FILE] OUT")
		os.Exit(2)
	}
	if err := run(*from, flag.Arg(0), *gib<<30); err != nil {
		fmt.Fprintln(os.Stderr, "mkbig:", err)
		os.Exit(1)
	}
}

// run writes the core named from, or a synthetic guest, with size bytes more.
func run(from, to string, size uint64) (err error) {
	core := guestsim.New(guestsim.Options{CPUs: 2}).ELF()
	if from != "" {
		if core, err = os.ReadFile(from); err != nil {
			return err
		}
	}
	head, err := grow(core, size)
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, bytes.NewReader(head)); err != nil {
		return err
	}
	// One copy buffer of a stream that is the same in every run.
	noise := rand.NewChaCha8([32]byte{1})
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(noise, int64(size)), make([]byte, 1<<20))
	return err
}

// Command windmp turns the saved memory of a Windows virtual machine into a
// crash dump that WinDbg opens.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A pipe whose reader is gone is an error that has a message and an exit code,
	// and temporary files to remove. The signal would end the process at once, also
	// when only the reader of standard error is gone.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

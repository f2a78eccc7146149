//go:build unix

package main

import (
	"os"
	"syscall"
)

// ownGroup is nothing here: a signal goes to one process.
func ownGroup() *syscall.SysProcAttr { return nil }

// interrupt asks a process to end.
func interrupt(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

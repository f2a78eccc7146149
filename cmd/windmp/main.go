// Command windmp turns the saved memory of a Windows virtual machine into a
// crash dump that WinDbg opens.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

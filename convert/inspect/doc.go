// Package inspect answers questions about a file without writing one. [Check]: is it
// worth an upload, will a debugger open it? [Info]: which Windows, what crashed? [Stack]:
// which calls led there? [Symbols]: which symbols does a debugger need? [Walk]: what is at
// a virtual address? Each gives a report, on failure too, and reads only kilobytes where
// the file says where Windows is.
package inspect

// Package inspect answers questions about a file without writing one. [CheckFile]:
// is it worth an upload, will a debugger open it? [InfoFile]: which Windows, what
// crashed? [SymbolsFile]: which symbols does a debugger need? [WalkFile]: what is at
// a virtual address? Each gives a report, on failure too, and reads kilobytes where
// the file says where Windows is.
package inspect

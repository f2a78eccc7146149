package screen

import (
	"os"

	"golang.org/x/sys/windows"
)

// showsColors tells whether a console understands escape sequences. That of Windows
// does since Windows 10, when it is told to.
func showsColors(f *os.File) bool {
	h := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(h, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}

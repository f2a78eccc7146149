package inspect

import (
	"fmt"

	"windmp/kdbg"
	"windmp/vtop"
)

// symbolName names an address by the image it lies in, as in "nt+0x1234"; empty
// when it is in none.
func symbolName(modules []kdbg.Module, va vtop.VA) string {
	i := kdbg.ModuleAt(modules, va)
	if i < 0 {
		return ""
	}
	name := modules[i].Name
	if i == 0 {
		name = "nt"
	}
	return fmt.Sprintf("%s+%#x", name, uint64(va-modules[i].Base))
}

package physmem

// layout is what is known about a file that holds more memory than its headers
// describe.
type layout struct{}

func (f *elfFile) qemuLayout() *layout { return nil }

// Recover places memory.
func (m *Image) Recover(ram []Range) []Range { return nil }

package triage

import (
	"reflect"
	"slices"

	"windmp/kdbg/wire"
	"windmp/vtop"
)

const (
	// variableSize is what is kept of a variable of the kernel, bytes: the head of a
	// list, or a number and what stands beside it.
	variableSize = 0x10
	// buildLabSize and verifierSize are what Windows keeps of NtBuildLab and of
	// MmVerifierData in its own small dumps, bytes (builds 9600 and 19041).
	buildLabSize = 0x100
	verifierSize = 0x9c
	// bugCheckWords are the words of KiBugcheckData: the code and four parameters.
	bugCheckWords = 5
)

// notVariables are the fields of 64 bits of KDBG that are no address of a variable:
// values, and code.
var notVariables = []string{
	"KernBase", "BreakpointWithStatus", "SavedContext", "KiCallUserMode", "KeUserCallbackDispatcher",
	"MmPageSize", "KiNormalSystemCall", "MmVirtualTranslationBase", "PteBase",
	"RetpolineStubFunctionTable", "ShadowStackEnabled", "PointerAuthMask", "PointerIgnoreBits",
}

// takeVariables keeps the variables of the kernel that KDBG names: debuggers ask for
// them by its fields.
func (p *planner) takeVariables() {
	k := p.view.kernel
	pointer := uint64(k.Layout.PointerSize) //nolint:gosec // 4 or 8
	sizes := map[string]uint64{
		"NtBuildLab": buildLabSize, "MmVerifierData": verifierSize, "KiBugcheckData": bugCheckWords * pointer,
		"KiProcessorBlock": uint64(p.Header.NumberProcessors) * pointer,
	}
	first := []string{"NtBuildLab", "KiBugcheckData", "KiProcessorBlock"}
	for _, name := range append(first, variableFields...) {
		at := vtop.VA(reflect.ValueOf(&k.Data).Elem().FieldByName(name).Uint())
		p.take(Variables, at, max(sizes[name], variableSize))
	}
}

// variableFields are the fields of KDBG that hold the address of a variable.
var variableFields = func() (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[wire.Data]()) {
		if f.IsExported() && f.Type.Kind() == reflect.Uint64 && !slices.Contains(notVariables, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}()

//go:build !js

package peimage

import (
	"debug/pe"
	"fmt"
	"io"
	"unsafe"

	gope "www.velocidex.com/golang/go-pe"
)

// structuresOf are those of the image that r shows.
func structuresOf(r io.ReaderAt) structures {
	return decoded{fields{r}, gope.NewPeProfile().IMAGE_DOS_HEADER(r, 0)}
}

// decoded are the [structures] as go-pe decodes them.
type decoded struct {
	fields
	dos *gope.IMAGE_DOS_HEADER
}

func (d decoded) dosMagic() uint16  { return d.dos.E_magic() }
func (d decoded) lfanew() int64     { return int64(d.dos.E_lfanew()) }
func (d decoded) signature() uint32 { return d.dos.NTHeader().Signature() }

func (d decoded) machine() uint16 {
	return uint16(d.dos.NTHeader().FileHeader().Machine().Value & 0xffff)
}
func (d decoded) timestamp() uint32 { return d.dos.NTHeader().FileHeader().TimeDateStampRaw() }
func (d decoded) sections() int64   { return int64(d.dos.NTHeader().FileHeader().NumberOfSections()) }

func (d decoded) sectionsAt() int64 {
	nt := d.dos.NTHeader()
	return nt.OptionalHeader().Offset + int64(nt.FileHeader().SizeOfOptionalHeader())
}

func (d decoded) magic() uint16 { return d.dos.NTHeader().OptionalHeader().Magic() }

func (d decoded) sizeOfImage() uint32 {
	return d.optional(unsafe.Offsetof(pe.OptionalHeader64{}.SizeOfImage))
}

func (d decoded) checkSum() uint32 {
	return d.optional(unsafe.Offsetof(pe.OptionalHeader64{}.CheckSum))
}

// optional is a field of the optional header that go-pe does not have.
func (d decoded) optional(offset uintptr) uint32 {
	return d.uint32(d.dos.NTHeader().OptionalHeader().Offset + int64(offset)) //nolint:gosec // of a field
}

func (d decoded) directory(index int64) Directory {
	x := d.dos.NTHeader().DataDirectory(index)
	return Directory{RVA: x.VirtualAddress(), Size: x.DirSize()}
}

func (d decoded) exportDirectory(rva int64) exportDirectory {
	x := d.dos.Profile.IMAGE_EXPORT_DIRECTORY(d.r, rva)
	return exportDirectory{
		name: x.Name(), names: x.NumberOfNames(),
		functionsAt: x.AddressOfFunctions(), namesAt: x.AddressOfNames(), ordinalsAt: x.AddressOfNameOrdinals(),
	}
}

func (d decoded) debugDirectory(rva int64) debugDirectory {
	return debugDirectory{
		kind:    d.uint32(rva + debugType), // go-pe gives its name
		address: d.dos.Profile.IMAGE_DEBUG_DIRECTORY(d.r, rva).AddressOfRawData(),
	}
}

func (d decoded) codeView(rva int64) codeView {
	x := d.dos.Profile.CV_RSDS_HEADER(d.r, rva)
	guid := x.GUID()
	return codeView{fmt.Sprintf("%08X%04X%04X%016X", guid.Data1(), guid.Data2(), guid.Data3(), guid.Data4()), x.Age()}
}

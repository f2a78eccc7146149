package guestsim

// ImageIdentity is what an image's headers say of it.
type ImageIdentity struct {
	Size   uint32
	Export string // the name in the export directory
	PDB    string
	// Variables are exported: name and RVA, sorted by name.
	Variables []Variable
}

// Variable is an exported name.
type Variable struct {
	Name string
	RVA  uint32
}

// Version is the file version of every image.
const Version = "10.0.1.2"

// Image writes the headers of a PE image as the loader maps it, all in its first
// page: sections, export directory, CodeView record and version resource
// (Microsoft, "PE Format").
func (g *Guest) Image(base uint64, id ImageIdentity) {
	const nt, opt, debug, rsds, export, resource = 0x110, 0x128, 0x500, 0x540, 0x600, 0x900
	g.put(base, []byte("MZ"))
	g.put32(base+0x3c, nt)
	g.put(base+nt, []byte("PE\x00\x00"))
	g.put16(base+nt+4, 0x8664)
	g.put16(base+nt+6, 2)
	g.put32(base+nt+8, 0x5f5e1a2b)
	g.put16(base+nt+0x14, 0xf0)
	g.put16(base+nt+0x16, 0x22)
	g.put16(base+opt, 0x20b)
	g.put64(base+opt+0x18, base)
	g.put32(base+opt+0x20, 0x1000)
	g.put32(base+opt+0x24, 0x200)
	g.put32(base+opt+0x38, id.Size)
	g.put32(base+opt+0x3c, 0x800)
	g.put32(base+opt+0x6c, 16)
	g.put64(base+opt+0x70, export|0x280<<32)
	g.put64(base+opt+0x70+2*8, resource|0x100<<32)
	g.put64(base+opt+0x70+6*8, debug|0x38<<32)
	data := id.Size / 4 &^ (pageSize - 1) // below every variable of nt's three builds
	g.section(base+opt+0xf0, ".text", pageSize, data-pageSize, 0x60000020)
	g.section(base+opt+0xf0+0x28, ".data", data, id.Size-data, 0xc0000040)
	// The CodeView record is not in the first debug entry.
	g.put32(base+debug+0xc, 13)
	g.put32(base+debug+0x1c+0xc, 2)
	g.put32(base+debug+0x1c+0x10, uint32(0x18+len(id.PDB)+1))
	g.put32(base+debug+0x1c+0x14, rsds)
	g.put(base+rsds, []byte("RSDS\x6b\xa1\xd8\x3f\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\x01\x00\x00\x00"+id.PDB+"\x00"))
	g.exports(base, export, id)
	g.versionResource(base, resource)
}

// exports writes an IMAGE_EXPORT_DIRECTORY with its tables and names.
func (g *Guest) exports(base uint64, rva uint32, id ImageIdentity) {
	n := uint32(len(id.Variables))
	at, functions := base+uint64(rva), rva+0x28
	names := functions + 4*n
	ordinals, text := names+4*n, names+4*n+2*n
	str := func(s string) uint32 {
		was := text
		g.put(base+uint64(was), append([]byte(s), 0))
		text += uint32(len(s)) + 1
		return was
	}
	g.put32(at+0xc, str(id.Export))
	g.put32(at+0x10, 1)
	g.put32(at+0x14, n)
	g.put32(at+0x18, n)
	g.put32(at+0x1c, functions)
	g.put32(at+0x20, names)
	g.put32(at+0x24, ordinals)
	for i, v := range id.Variables {
		k := uint32(i)
		g.put32(base+uint64(functions+4*(n-1-k)), v.RVA) // ordinals are not in the order of names
		g.put32(base+uint64(names+4*k), str(v.Name))
		g.put16(base+uint64(ordinals+2*k), uint16(n-1-k))
	}
}

// versionResource writes a resource tree with a VS_VERSIONINFO.
func (g *Guest) versionResource(base uint64, rva uint32) {
	at := base + uint64(rva)
	entry := func(dir uint64, id, to uint32) {
		g.put16(dir+14, 1)
		g.put32(dir+16, id)
		g.put32(dir+20, to)
	}
	entry(at, 16, 0x20|1<<31)
	entry(at+0x20, 1, 0x40|1<<31)
	entry(at+0x40, 0x409, 0x60)
	g.put32(at+0x60, rva+0x80)
	g.put32(at+0x64, 0x5c)
	info := at + 0x80
	g.put16(info, 0x5c)
	g.put16(info+2, 0x34)
	g.put(info+6, utf16Bytes("VS_VERSION_INFO"))
	g.put32(info+0x28, 0xfeef04bd)
	g.put32(info+0x2c, 0x10000)
	g.put32(info+0x30, 10<<16)
	g.put32(info+0x34, 1<<16|2)
}

// section writes an IMAGE_SECTION_HEADER.
func (g *Guest) section(at uint64, name string, rva, size, characteristics uint32) {
	g.put(at, []byte(name))
	g.put32(at+8, size)
	g.put32(at+0xc, rva)
	g.put32(at+0x24, characteristics)
}

// buildKernelImage writes nt's headers.
func (g *Guest) buildKernelImage() {
	variables := []Variable{
		{"NtBuildNumber", uint32(g.buildNumber - KernBase)},
		{"PsInitialSystemProcess", uint32(g.initialProcess - KernBase)},
		{"PsLoadedModuleList", uint32(g.PsLoadedModuleList - KernBase)},
	}
	if g.Options.NumberProcessors != 0 {
		variables = append([]Variable{{"KeNumberProcessors", uint32(g.numberProcessors - KernBase)}}, variables...)
	}
	g.Image(KernBase, ImageIdentity{Size: g.ImageSize, Export: "ntoskrnl.exe", PDB: "ntkrnlmp.pdb", Variables: variables})
	g.share(KernBase, pageSize)
}

package textreport

import (
	"encoding/hex"
	"fmt"
	"strings"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// Walk prints walks through page tables, with the bytes that were read.
func Walk(t *Text, r *inspect.WalkReport) {
	t.machine = r.Machine
	t.Key("tables", "%s", List(fmt.Sprintf("at %#x", uint64(r.DTB)), binio.Plural(r.Levels, "level"), r.Process))
	for i := range r.Walks {
		w := &r.Walks[i]
		t.Heading("%s", t.address(w.VA))
		table := t.Table(2, screen.Column{Name: "level"}, screen.Column{Name: "entry at"}, screen.Column{Name: "entry"}, screen.Column{Name: "flags"})
		for _, s := range w.Steps {
			table.Row(s.Name, t.physical(s.EntryPA), fmt.Sprintf("%#016x", uint64(s.Entry)), strings.Join(s.Flags, " "))
		}
		if w.Mapped {
			table.Row("page", t.physical(w.PA), binio.Bytes(w.PageSize), placeInFile(r, w))
		}
		table.End()
		if w.Error != "" {
			t.Note(2, "%s", w.Error)
		}
		printHex(t, w.VA, w.Data)
	}
}

// placeInFile says where in the file a page is.
func placeInFile(r *inspect.WalkReport, w *inspect.AddressWalk) string {
	switch {
	case w.FileOffset < 0:
		return "not in the file byte by byte"
	case r.Input.MemoryFile != "":
		return fmt.Sprintf("offset %#x in %s", w.FileOffset, r.Input.MemoryFile)
	default:
		return fmt.Sprintf("file offset %#x", w.FileOffset)
	}
}

// printHex is a hex dump by virtual addresses.
func printHex(t *Text, va report.Hex, data []byte) {
	table := t.Table(2, screen.Column{}, screen.Column{}, screen.Column{})
	for off := 0; off < len(data); off += 16 {
		row := data[off:min(off+16, len(data))]
		ascii := make([]byte, 0, len(row))
		for _, c := range row {
			if c < ' ' || c > '~' {
				c = '.'
			}
			ascii = append(ascii, c)
		}
		digits := hex.EncodeToString(row)
		groups := make([]string, 0, 8)
		for len(digits) > 0 {
			n := min(4, len(digits))
			groups = append(groups, digits[:n])
			digits = digits[n:]
		}
		table.Row(t.address(va+report.Hex(off)), fmt.Sprintf("%-39s", strings.Join(groups, " ")), string(ascii))
	}
	table.End()
}

package winhdr

import (
	"bytes"
	"testing"

	"windmp/physmem"
	"windmp/winhdr/problem"
)

func FuzzHeader64(f *testing.F) {
	// Short inputs are padded below. Long ones would keep the fuzzer busy
	// with making them short, so that it tries next to nothing.
	const toRuns, toTime = 0x344, 0xfb0
	f.Add(goodHeader().Encode()[:toRuns])
	f.Add(goodHeader().Encode()[:toTime])
	f.Add(withRuns(physmem.Run{BasePage: 9, PageCount: 4}, physmem.Run{BasePage: 0, PageCount: 0}, physmem.Run{BasePage: 8, PageCount: 3}).Encode()[:toRuns])
	f.Add(withRuns(physmem.Run{BasePage: 1, PageCount: ^uint64(0)}).Encode()[:toRuns])
	filled := make([]byte, toTime)
	problem.PageFill(filled)
	f.Add(filled)
	f.Add([]byte{})

	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := X64.Decode(b)
		if (h == nil) == (err == nil) {
			t.Fatalf("value %v, error %v: want one of them", h != nil, err)
		}
		if err != nil {
			padded := make([]byte, X64.Size())
			copy(padded, b)
			b = padded
			if h, err = X64.Decode(b); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(b, h.Encode()) {
			t.Fatal("encoding changed the bytes")
		}
		checkRuns(t, h)
		if problems := h.Check(); len(problems) > 3*maxRuns64+16 {
			t.Fatalf("%d problems", len(problems))
		}
		if len(h.CommentText()) > len(h.Comment) {
			t.Fatal("comment longer than its field")
		}
		_ = h.DumpType.String()
	})
}

// checkRuns: Runs gives a table that is valid in every respect, or nil and a
// problem that is not repairable; and setting it leaves nothing to repair.
func checkRuns(t *testing.T, h *Header) {
	t.Helper()
	runs, problems := h.Runs()
	hopeless := false
	for _, p := range problems {
		hopeless = hopeless || !p.Repairable
		if p.Offset < 0x88 || p.Offset >= 0x344 || p.Field == "" || p.Got == "" || p.Want == "" {
			t.Fatalf("problem %+v", p)
		}
	}
	if hopeless != (runs == nil) {
		t.Fatalf("runs %v, problems %v", runs, problems)
	}
	if runs == nil {
		return
	}
	if len(runs) == 0 || len(runs) > maxRuns64 {
		t.Fatalf("%d runs", len(runs))
	}
	var next uint64
	for _, run := range runs {
		if run.PageCount == 0 || run.BasePage < next || run.BasePage >= physmem.MaxPFN || run.PageCount > physmem.MaxPFN-run.BasePage {
			t.Fatalf("runs %x", runs)
		}
		next = run.BasePage + run.PageCount
	}
	fixed := h.Clone()
	if err := fixed.SetRuns(runs); err != nil {
		t.Fatal(err)
	}
	if _, problems := fixed.Runs(); len(problems) > 0 {
		t.Fatalf("after SetRuns: %v", problems)
	}
	if !samePages(h, runs) {
		t.Fatalf("runs %x are not the pages of the header", runs)
	}
}

// samePages compares the first and last page of every run of the header with
// the runs, and the other way round.
func samePages(h *Header, runs []physmem.Run) bool {
	raw := h.RunTable().Runs
	return edgesIn(raw, runs) && edgesIn(runs, raw)
}

func edgesIn(edges, runs []physmem.Run) bool {
	for _, edge := range edges {
		if edge.PageCount != 0 &&
			(!holds(runs, edge.BasePage) || !holds(runs, edge.BasePage+edge.PageCount-1)) {
			return false
		}
	}
	return true
}

func holds(runs []physmem.Run, page uint64) bool {
	for _, run := range runs {
		if page >= run.BasePage && page-run.BasePage < run.PageCount {
			return true
		}
	}
	return false
}

func FuzzHeader32(f *testing.F) {
	f.Add(goodHeader32().Encode())
	f.Add(goodHeader32().Encode()[:0x320])
	overlapping := withTable(goodHeader32(), 2, 0x1f7e, physmem.Run{BasePage: 1, PageCount: 0x200})
	f.Add(overlapping.Encode()[:0x320])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := X86.Decode(b)
		if (h == nil) == (err == nil) {
			t.Fatalf("value %v, error %v: want one of them", h != nil, err)
		}
		padded := make([]byte, X86.Size())
		copy(padded, b)
		if h, err = X86.Decode(padded); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(padded, h.Encode()) {
			t.Fatal("encoding changed the bytes")
		}
		if problems := h.Check(); len(problems) > 3*maxRuns32+16 {
			t.Fatalf("%d problems", len(problems))
		}
		if runs, _ := h.Runs(); runs != nil {
			if err := h.SetRuns(runs); err != nil {
				t.Fatal(err)
			}
			if again, problems := h.Runs(); len(problems) > 0 || len(again) != len(runs) {
				t.Fatalf("after SetRuns: %v", problems)
			}
		}
		_ = h.CommentText()
	})
}

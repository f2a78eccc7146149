package bugcheck_test

import (
	"fmt"
	"reflect"
	"testing"

	"windmp/winhdr/bugcheck"
)

func TestNames(t *testing.T) {
	t.Parallel()
	names := map[uint32]string{
		0x1:        "APC_INDEX_MISMATCH",
		0xa:        "IRQL_NOT_LESS_OR_EQUAL",
		0x7e:       "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
		0xd1:       "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
		0x10f:      "RESOURCE_MANAGER_EXCEPTION_NOT_HANDLED",
		0x139:      "KERNEL_SECURITY_CHECK_FAILURE",
		0x161:      "LIVE_SYSTEM_DUMP",
		0x20001:    "HYPERVISOR_ERROR",
		0x1000007e: "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED_M",
		0xdeaddead: "MANUALLY_INITIATED_CRASH1",
		0:          "",
		0x4747:     "",
	}
	for code, want := range names {
		if got := bugcheck.Name(code); got != want {
			t.Errorf("%#x: %q, want %q", code, got, want)
		}
	}
}

// TestMeaningOf: what has a meaning has a name too.
func TestMeaningOf(t *testing.T) {
	t.Parallel()
	n := 0
	for code := range uint32(0x300) {
		m, ok := bugcheck.MeaningOf(code)
		if !ok {
			continue
		}
		n++
		if m.Summary == "" || bugcheck.Name(code) == "" {
			t.Errorf("%#x: %q, %+v", code, bugcheck.Name(code), m)
		}
	}
	if n < 50 {
		t.Errorf("only %d have one", n)
	}
	full, _ := bugcheck.MeaningOf(0x7e)
	if small, ok := bugcheck.MeaningOf(0x1000007e); !ok || !reflect.DeepEqual(small, full) {
		t.Errorf("a small dump's code means %+v, the other %+v", small, full)
	}
	if m, ok := bugcheck.MeaningOf(0x2fe); ok {
		t.Errorf("a code of nothing means %+v", m)
	}
}

func ExampleName() {
	fmt.Println(bugcheck.Name(0xd1))
	m, _ := bugcheck.MeaningOf(0xd1)
	fmt.Println(m.Parameters[0])
	// Output:
	// DRIVER_IRQL_NOT_LESS_OR_EQUAL
	// address that was referenced
}

// TestWord: the upper half of a word is part of a code as far as it is the
// code's sign.
func TestWord(t *testing.T) {
	const fill = 0x45474150 // "PAGE", with which Windows fills what it does not set
	t.Parallel()
	for _, tt := range []struct {
		code, pad uint32
		want      uint64
	}{
		{0xc000021a, 0xffffffff, 0xffffffff_c000021a},
		{0xc000021a, 0, 0xc000021a},
		{0xc000021a, fill, 0xc000021a},
		{0x50, 0, 0x50},
		{0x50, 0xffffffff, 0x50},
		{0x50, fill, 0x50},
		{0, 1, 0},
	} {
		if got := bugcheck.Word(tt.code, tt.pad); got != tt.want {
			t.Errorf("%#x, %#x: %#x, want %#x", tt.code, tt.pad, got, tt.want)
		}
	}
}

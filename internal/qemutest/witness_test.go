package qemutest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// winOutcomes is what QEMU 7.2 makes of each variant when asked for a Windows dump.
// They are QEMU's words (dump/win_dump.c, dump/dump.c), which this project improves on.
var winOutcomes = []struct {
	variant string
	config  Config
	err     string // "" = QEMU succeeds
	warning string // on standard error, "" = none
}{
	{variant: "live"},
	{variant: "bsod"},
	{variant: "bsod crashcpu=1"},
	{variant: "encoded"},
	{variant: "shadow"},
	{variant: "pcid"},
	{variant: "odd"},
	{variant: "odd encoded bsod"},
	{variant: "swbits"},
	{variant: "mapall"},
	{variant: "map1g"},
	{variant: "noselfmap"},
	{variant: "swapcpu"},
	{variant: "user"},
	{variant: "shadow user pcid"},
	{variant: "transition"},
	{variant: "runs=9"},
	{variant: "runs=42"},
	{variant: "la57", config: Config{CPUModel: "max"}},
	{variant: "la57 encoded odd swbits", config: Config{CPUModel: "qemu64,+la57"}},
	{variant: "nocopy"}, // the block itself is plain: the copy is not asked
	{variant: "badcopy"},

	{variant: "badsig", err: "win-dump: invalid header, expected 'PAGE', got 'EGAP'"},
	{variant: "badvalid", err: "win-dump: invalid header, expected 'DUMP' or 'DU64', got 'DU65'"},
	{variant: "unmapped", err: "win-dump: failed to read OwnerTag"},
	{variant: "noncanon", err: "win-dump: failed to read OwnerTag"},
	{variant: "encoded nocopy", err: "win-dump: failed to read OwnerTag"},
	{variant: "baddtb", err: "win-dump: failed to read OwnerTag"},
	{variant: "encoded badcopy", err: "win-dump: invalid KDBG OwnerTag, expected 'KDBG', got 'GBDK'"},
	{variant: "kdbgcut", err: "win-dump: failed to read KiProcessorBlock"},
	{variant: "noprocblk", err: "win-dump: failed to read CPU #0 PRCB location"},
	{variant: "noprcb", err: "win-dump: failed to read CPU #1 ContextFrame location"},
	{variant: "noctx", err: "win-dump: failed to save CPU #1 context"},
	{variant: "nobug", warning: "win-dump: failed to read bugcheck data"},
	{variant: "ncpu=1", warning: "win-dump: number of QEMU CPUs is bigger than NumberProcessors (1) in guest Windows"},
	{variant: "ncpu=3", warning: "win-dump: failed to restore CPU #2 context"},
	{variant: "nonote", err: "win-dump: invalid vmcoreinfo note size", warning: "guest note is not present"},
	{variant: "descsz=0x1ff0", err: "win-dump: invalid vmcoreinfo note size"},
	{variant: "descsz=0x2004", err: "win-dump: invalid vmcoreinfo note size"},
	{variant: "size=8", err: "win-dump: invalid vmcoreinfo note size", warning: "guest note size is invalid: 8"},
	{variant: "size=0x1000", err: errDied.Error(), warning: "Invalid guest note header"},
	{variant: "badrun"},
}

func TestWinDumpOutcomes(t *testing.T) {
	t.Parallel()
	Require(t)
	for _, tt := range winOutcomes {
		t.Run(tt.variant, func(t *testing.T) {
			t.Parallel()
			config := tt.config
			config.CPUs = 2
			config.Variant = strings.Fields(tt.variant)
			vm := Start(t, config)
			path := filepath.Join(t.TempDir(), "win.dmp")
			err := vm.DumpWin(path)
			if tt.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.err)
			}
			if tt.warning == "" {
				assert.Empty(t, vm.Warnings())
			} else {
				assert.Contains(t, vm.Warnings(), tt.warning)
			}
			if tt.err == errDied.Error() {
				return
			}
			info, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, tt.err == "", info.Size() > 0, fmt.Sprint("an empty file stays after an error, size ", info.Size()))
		})
	}
}

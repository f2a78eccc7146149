package qemutest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
)

// ELFOptions are the choices of QEMU's dump-guest-memory in the ELF format.
type ELFOptions struct {
	Paging bool // walk the page tables of the CPUs for virtual addresses
	// Begin and Length keep only these bytes of guest-physical memory, if Length is not 0.
	Begin, Length uint64
}

// DumpELF writes an ELF vmcore. QEMU creates the file with mode 0400.
func (vm *VM) DumpELF(path string, o ELFOptions) error {
	arguments := map[string]any{"paging": o.Paging, "format": "elf"}
	if o.Length != 0 {
		arguments["begin"], arguments["length"] = o.Begin, o.Length
	}
	return vm.dump(path, arguments)
}

// DumpWin writes a Windows crash dump, as QEMU itself converts it. The error is a
// [*qmpError] with QEMU's words, or errDied when QEMU crashes over it. After an error
// in the loop over the CPUs, guest memory is no longer what it was. With a header of more
// than 42 runs (the word runs=43) QEMU 7.2 writes until the disk is full: do not.
func (vm *VM) DumpWin(path string) error {
	return vm.dump(path, map[string]any{"paging": false, "format": "win-dmp"})
}

// DumpKdump writes a kdump-compressed file with zlib pages, in the flattened form.
func (vm *VM) DumpKdump(path string) error {
	return vm.dump(path, map[string]any{"paging": false, "format": "kdump-zlib"})
}

func (vm *VM) dump(path string, arguments map[string]any) error {
	arguments["protocol"] = "file:" + path
	return vm.qmp.run("dump-guest-memory", arguments, nil)
}

// ReadPhysical reads n bytes of guest-physical memory at pa through QEMU, past any dump.
func (vm *VM) ReadPhysical(pa uint64, n int) ([]byte, error) {
	vm.files++
	path := vm.path("physical" + strconv.Itoa(vm.files))
	err := vm.qmp.run("pmemsave", map[string]any{"val": pa, "size": n, "filename": path}, nil)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err == nil && len(data) != n {
		err = fmt.Errorf("pmemsave of %#x bytes at %#x wrote %#x", n, pa, len(data))
	}
	_ = os.Remove(path)
	return data, err
}

// MigrateOptions are the choices of QEMU's migration to a file.
type MigrateOptions struct {
	// Capabilities are set before, such as "xbzrle" and "compress".
	Capabilities []string
	// Parameters are set before, by the names of migrate-set-parameters.
	Parameters map[string]any
	// Running lets the guest run until the last round; it is stopped afterwards.
	Running bool
	// Changed lets it run until so many pages were sent as what changed of them, by
	// XBZRLE.
	Changed int
	// File lets QEMU itself write the file, as mapped-ram must have it, instead of a
	// program at the other end of a pipe. QEMU can since 8.2.
	File bool
}

// Can says whether this QEMU has all of these capabilities of migration.
func (vm *VM) Can(capabilities ...string) (bool, error) {
	var have []struct {
		Capability string `json:"capability"`
	}
	err := vm.qmp.run("query-migrate-capabilities", nil, &have)
	for _, want := range capabilities {
		found := false
		for _, c := range have {
			found = found || c.Capability == want
		}
		if !found {
			return false, err
		}
	}
	return true, err
}

// Migrate writes the machine's migration stream, as libvirt and others save a guest. The
// path must not have what a shell takes for its own. The machine stays stopped, and can be
// dumped afterwards.
func (vm *VM) Migrate(path string, o MigrateOptions) error {
	const tries = 20
	for i := 1; ; i++ {
		if err := vm.migrate(path, o); !errors.Is(err, errUnchanged) || i == tries {
			return err
		}
	}
}

// migrate is Migrate once.
func (vm *VM) migrate(path string, o MigrateOptions) error {
	if strings.ContainsAny(path, " '\"\\$") {
		return fmt.Errorf("a path that a shell would not take as it is: %s", path)
	}
	if err := vm.prepareMigration(o); err != nil {
		return err
	}
	uri := "exec:cat > " + path
	if o.File {
		uri = "file:" + path
	}
	if err := vm.qmp.run("migrate", map[string]any{"uri": uri}, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootTimeout)
	defer cancel()
	return vm.waitUntil(ctx, "the migration to end", func() (bool, error) { return vm.migrated(&o) })
}

// prepareMigration sets the capabilities and parameters, and lets the guest run, as asked.
func (vm *VM) prepareMigration(o MigrateOptions) error {
	capabilities := make([]map[string]any, len(o.Capabilities))
	for i, name := range o.Capabilities {
		capabilities[i] = map[string]any{"capability": name, "state": true}
	}
	if len(capabilities) > 0 {
		if err := vm.qmp.run("migrate-set-capabilities", map[string]any{"capabilities": capabilities}, nil); err != nil {
			return err
		}
	}
	if len(o.Parameters) > 0 {
		if err := vm.qmp.run("migrate-set-parameters", o.Parameters, nil); err != nil {
			return err
		}
	}
	if !o.Running {
		return nil
	}
	return vm.qmp.run("cont", nil, nil)
}

// migrated reports whether a migration has ended. Once enough pages were sent as changes,
// it lets the rest be sent at once, and asks o for no more.
func (vm *VM) migrated(o *MigrateOptions) (bool, error) {
	var state struct {
		Status string `json:"status"`
		Error  string `json:"error-desc"`
		XBZRLE struct {
			Pages int `json:"pages"`
		} `json:"xbzrle-cache"`
	}
	if err := vm.qmp.run("query-migrate", nil, &state); err != nil {
		return false, err
	}
	if o.Changed > 0 && state.XBZRLE.Pages >= o.Changed {
		o.Changed = 0
		if err := vm.qmp.run("migrate-set-parameters", map[string]any{"downtime-limit": 10_000, "max-bandwidth": 1 << 30}, nil); err != nil {
			return false, err
		}
	}
	switch {
	case state.Status == "failed":
		return false, errors.New("the migration failed: " + state.Error)
	case state.Status == "completed" && o.Changed > 0:
		return false, errUnchanged
	}
	return state.Status == "completed", nil
}

// errUnchanged says that a migration ended before what was wanted of it was there: the
// guest did not run meanwhile.
var errUnchanged = errors.New("too few pages were sent by XBZRLE")

// SaveSnapshot makes a qcow2 image and saves the machine's state in it, under a name. The
// image has a disk of that size; its options are those of blockdev-create, such as
// "cluster-size" and "extended-l2". Several names make as many snapshots.
func (vm *VM) SaveSnapshot(path string, size int, options map[string]any, names ...string) error {
	vm.files++
	file, disk := "file"+strconv.Itoa(vm.files), "disk"+strconv.Itoa(vm.files)
	if err := vm.job("blockdev-create", map[string]any{"options": map[string]any{"driver": "file", "filename": path, "size": 0}}); err != nil {
		return err
	}
	// The file is read on this machine while it runs: that it is on the disk would take seconds.
	if err := vm.qmp.run("blockdev-add", map[string]any{"driver": "file", "filename": path, "node-name": file, "cache": map[string]any{"no-flush": true}}, nil); err != nil {
		return err
	}
	image := map[string]any{"driver": "qcow2", "file": file, "size": size}
	maps.Copy(image, options)
	if err := vm.job("blockdev-create", map[string]any{"options": image}); err != nil {
		return err
	}
	if err := vm.qmp.run("blockdev-add", map[string]any{"driver": "qcow2", "file": file, "node-name": disk}, nil); err != nil {
		return err
	}
	for _, name := range names {
		if err := vm.job("snapshot-save", map[string]any{"tag": name, "vmstate": disk, "devices": []string{disk}}); err != nil {
			return err
		}
	}
	return vm.qmp.run("blockdev-del", map[string]any{"node-name": disk}, nil)
}

// job runs a command that starts a job, and waits until it has ended.
func (vm *VM) job(command string, arguments map[string]any) error {
	vm.files++
	id := "job" + strconv.Itoa(vm.files)
	arguments["job-id"] = id
	if err := vm.qmp.run(command, arguments, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootTimeout)
	defer cancel()
	var failure error
	err := vm.waitUntil(ctx, command, func() (bool, error) {
		var jobs []struct {
			ID     string `json:"id"`
			Status string `json:"status"`
			Error  string `json:"error"`
		}
		if err := vm.qmp.run("query-jobs", nil, &jobs); err != nil {
			return false, err
		}
		for _, j := range jobs {
			if j.ID == id && j.Status == "concluded" {
				if j.Error != "" {
					failure = fmt.Errorf("%s: %s", command, j.Error)
				}
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	return errors.Join(failure, vm.qmp.run("job-dismiss", map[string]any{"id": id}, nil))
}

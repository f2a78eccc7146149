//go:build windows

package convert

import "golang.org/x/sys/windows"

// freeSpace is what the user may write into dir's volume, in bytes.
func freeSpace(dir string) (uint64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	return free, err
}

// syncDir does nothing: Windows has no sync of a folder, and NTFS journals the
// rename.
func syncDir(string) error { return nil }

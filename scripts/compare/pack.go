//go:build unix

package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxUnpacked bounds what is unpacked; the largest input is of some 100 MiB.
const maxUnpacked = 512 << 20

// packed says by a file's name whether it is packed.
func packed(name string) bool {
	switch filepath.Ext(name) {
	case ".gz", ".zst", ".zip":
		return true
	}
	return false
}

// unpack returns what is in a packed file.
func unpack(name string, data []byte) ([]byte, error) {
	switch filepath.Ext(name) {
	case ".gz":
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(io.LimitReader(r, maxUnpacked))
	case ".zst":
		r, err := zstd.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(io.LimitReader(r, maxUnpacked))
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, f := range r.File { // names and attributes too
		all = fmt.Appendf(all, "%s %v %d\n", f.Name, f.Mode(), f.UncompressedSize64)
		content, err := f.Open()
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(content, maxUnpacked))
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// withoutPack is the name of what is in a packed file.
func withoutPack(name string) string { return strings.TrimSuffix(name, filepath.Ext(name)) }

package mount

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	iofs "io/fs"
	"math"
	"os"
	"syscall"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"windmp/convert/folder"
	"windmp/physmem"
)

// owner is whose the files are, since when, and who may read them.
type owner struct {
	uid, gid uint32
	time     time.Time
	mode     uint32 // of a file; a folder's can be entered by the same
}

func newOwner(opt *Options) *owner {
	o := &owner{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()), time: opt.ModTime, mode: 0o400} //nolint:gosec // ids
	if opt.AllowOther {
		o.mode = 0o444
	}
	if o.time.IsZero() {
		o.time = time.Now()
	}
	return o
}

// sign puts this into a file's attributes.
func (o *owner) sign(a *fuse.Attr, mode uint32) {
	a.Mode = mode
	a.Owner = fuse.Owner{Uid: o.uid, Gid: o.gid}
	a.SetTimes(&o.time, &o.time, &o.time)
}

// root is the folder.
type root struct {
	gofs.Inode
	*owner
	folder *folder.Folder
}

func newRoot(f *folder.Folder, opt *Options) *root { return &root{folder: f, owner: newOwner(opt)} }

// Interfaces of the library, which asks for each.
var (
	_ gofs.NodeGetattrer = (*root)(nil)
	_ gofs.NodeReaddirer = (*root)(nil)
	_ gofs.NodeLookuper  = (*root)(nil)
	_ gofs.NodeGetattrer = (*file)(nil)
	_ gofs.NodeOpener    = (*file)(nil)
	_ gofs.NodeReader    = (*file)(nil)
	_ gofs.NodeLseeker   = (*file)(nil)
)

// Getattr implements [gofs.NodeGetattrer].
func (r *root) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	const enter = 0o111
	r.sign(&out.Attr, r.mode|r.mode>>2&enter)
	out.Nlink = 2
	return 0
}

// Readdir implements [gofs.NodeReaddirer]. It makes no file.
func (r *root) Readdir(context.Context) (gofs.DirStream, syscall.Errno) {
	files := r.folder.Files()
	list := make([]fuse.DirEntry, 0, len(files))
	for _, f := range files {
		list = append(list, fuse.DirEntry{Name: f.Name(), Mode: syscall.S_IFREG, Ino: inode(f.Name())})
	}
	return gofs.NewListDirStream(list), 0
}

// Lookup implements [gofs.NodeLookuper]. It makes the file: its size is known then, and
// stays.
func (r *root) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	f := r.folder.Find(name)
	if f == nil {
		return nil, unix.ENOENT
	}
	content, err := f.Open(ctx)
	if err != nil {
		return nil, number(err)
	}
	node := &file{of: f, content: content, owner: r.owner}
	node.attributes(&out.Attr)
	return r.NewInode(ctx, node, gofs.StableAttr{Mode: syscall.S_IFREG, Ino: inode(name)}), 0
}

// inode is the number of a file, which stays: file servers take another for another file.
// The names are few, and not the user's.
func inode(name string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name) // into memory
	return h.Sum64()
}

// number is the system's number of an error.
func number(err error) syscall.Errno {
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return unix.ENOENT
	case errors.Is(err, context.Canceled):
		return unix.EINTR
	default:
		return unix.EIO
	}
}

// file is one of the folder, once it is made.
type file struct {
	gofs.Inode
	*owner
	of      *folder.File
	content folder.Content
}

func (f *file) attributes(a *fuse.Attr) {
	f.sign(a, f.mode)
	a.Nlink = 1                       // Samba takes a file without a link for one that is deleted
	a.Size = uint64(f.content.Size()) //nolint:gosec // not negative
	a.Blksize = request
	const block = 512 // of st_blocks
	a.Blocks = (a.Size + block - 1) / block
}

// Getattr implements [gofs.NodeGetattrer].
func (f *file) Getattr(_ context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.attributes(&out.Attr)
	return 0
}

// Open implements [gofs.NodeOpener]. What was read once need not be read again; what could
// not be read is tried again, and a file may be none any more.
func (f *file) Open(ctx context.Context, _ uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	if _, err := f.of.Open(ctx); err != nil {
		return nil, 0, number(err)
	}
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

// Read implements [gofs.NodeReader].
func (f *file) Read(_ context.Context, _ gofs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := f.content.ReadAt(dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, unix.EIO
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// seekStep is how far apart it is looked for holes, in bytes: smaller ones are no holes.
const seekStep = 1 << 20

// Lseek implements [gofs.NodeLseeker]: SEEK_DATA and SEEK_HOLE, by which copies leave
// out the holes.
func (f *file) Lseek(_ context.Context, _ gofs.FileHandle, off uint64, whence uint32) (uint64, syscall.Errno) {
	size := f.content.Size()
	if off > math.MaxInt64 || int64(off) >= size {
		return 0, unix.ENXIO
	}
	at := int64(off)
	switch whence {
	case unix.SEEK_DATA:
		if at = physmem.NextData(f.content, at); at >= size {
			return 0, unix.ENXIO
		}
	case unix.SEEK_HOLE:
		for at < size && physmem.NextData(f.content, at) == at {
			at += seekStep - at%seekStep
		}
		at = min(at, size)
	default:
		return 0, unix.EINVAL
	}
	return uint64(at), 0 //nolint:gosec // not negative
}

package mount

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"strings"
	"time"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"windmp/convert/folder"
	"windmp/convert/stage"
)

const (
	// request is the most that is read at once, in bytes: as much as Linux reads ahead
	// of who reads through a file of a FUSE file system.
	request = 128 << 10
	// maxRequests bounds the memory of requests that are answered at the same time, in
	// bytes; what comes beyond waits.
	maxRequests = 16 << 20
	// background is how many reads Linux asks for ahead.
	background = 16
	// forever is how long Linux need not ask again: nothing here changes.
	forever = 24 * time.Hour
)

// Serve mounts a folder on dir, and answers until somebody unmounts it or ctx is done,
// and then unmounts it: neither is an error. A file system that is in use then leaves
// its folder at once, and whoever has a file of it open gets errors when the program
// ends. The error is a [*stage.UsageError] or a [*stage.Error]; see [Check].
func Serve(ctx context.Context, dir string, f *folder.Folder, opt Options) error {
	if err := Check(dir, opt.say); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	place, err := absolute(dir)
	if err == nil {
		err = serve(ctx, place, f, &opt)
	}
	if err != nil {
		return &stage.Error{Stage: stage.Mount, Err: err}
	}
	return nil
}

func serve(ctx context.Context, dir string, f *folder.Folder, opt *Options) error {
	server, err := gofs.Mount(dir, newRoot(f, opt), options(opt))
	if err != nil {
		return mountError(err, opt)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		server.Wait()
	}()
	if opt.Mounted != nil {
		opt.Mounted()
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	if err := server.Unmount(); err == nil {
		<-gone
		return nil
	}
	if err := detach(dir); err != nil {
		return fmt.Errorf("%s stays mounted: %w", quoted(dir), err)
	}
	opt.say(quoted(dir) + " was in use: whoever has a file of it open gets errors from now on")
	return nil
}

// mountError says what can be done where mounting was refused.
func mountError(err error, opt *Options) error {
	err = errors.New(strings.TrimSpace(err.Error()))
	if strings.HasPrefix(err.Error(), "fusermount exited") { // with a wait status; it has said why itself
		err = errors.New("fusermount3 refused it")
	}
	if opt.AllowOther && os.Geteuid() != 0 {
		return fmt.Errorf("mounting for all users: %w (users other than root may where /etc/fuse.conf has user_allow_other)", err)
	}
	return fmt.Errorf("mounting: %w (a container needs the right to mount, CAP_SYS_ADMIN)", err)
}

// options are those of the library.
func options(opt *Options) *gofs.Options {
	timeout := forever
	return &gofs.Options{
		EntryTimeout: &timeout, AttrTimeout: &timeout,
		NullPermissions: true, // the modes are set
		MountOptions: fuse.MountOptions{
			FsName: opt.Source, Name: fsName, AllowOther: opt.AllowOther,
			Options:     []string{"ro", "noexec"}, // of the helper
			DirectMount: true, DirectMountFlags: unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC,
			MaxWrite: request, MaxBackground: background, MaxInflightRequestBytes: maxRequests,
			DisableXAttrs: true,
			// Whoever lists the folder need not know the sizes, which take planning.
			DisableReadDirPlus: true,
			// It tells of requests whose reader went away.
			Logger: log.New(io.Discard, "", 0),
			PanicHandler: func(v any) fuse.Status {
				opt.say(fmt.Sprintf("internal error: %v\n%s", v, debug.Stack()))
				return fuse.EIO
			},
		},
	}
}

// say tells what the user should know, if anybody listens.
func (o *Options) say(message string) {
	if o.Say != nil {
		o.Say(message)
	}
}

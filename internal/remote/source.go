package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"windmp/internal/siblings"
	"windmp/physmem"
)

// Defaults of [Options].
const (
	// defaultCache is how much is kept of what was read, in bytes.
	defaultCache = 32 << 20
	// defaultAttempts is how often a request is made that brings nothing.
	defaultAttempts = 7
	// defaultPause is the pause before the second of them; each later one is twice as
	// long, up to maxPause.
	defaultPause = 200 * time.Millisecond
	// defaultStall is how long a server may send nothing.
	defaultStall = 30 * time.Second
	// defaultPatience is how long attempts may take, the pauses between them aside, in
	// which less than a block comes: two that stall.
	defaultPatience = time.Minute
)

// Options say how a URL is read. The zero value is for most servers.
type Options struct {
	// Header is sent with each request to the host of the URL, and to no other one that
	// it redirects to.
	Header http.Header
	// Cache is the most memory for what was read, and is fetched ahead, in bytes; 0 means
	// defaultCache. What is being read at the moment comes on top.
	Cache int64
	// Attempts, Pause, Stall and Patience are what the defaults of these names say; 0 means
	// those.
	Attempts int
	Pause    time.Duration
	Stall    time.Duration
	Patience time.Duration
	// Again, when set, is called before a request is made again, with what was wrong with
	// the one before; by several goroutines at once.
	Again func(err error)
	// Transport makes the requests; nil means one like Go's own, with the system's
	// certificates and the proxies that the environment names.
	Transport http.RoundTripper
}

// A Source is a file behind a URL. All its methods may be called by several goroutines
// at once.
type Source struct {
	// ctx ends all transfers: io.ReaderAt has no room for one.
	ctx    context.Context
	cancel context.CancelCauseFunc
	opt    Options
	client *http.Client
	url    *url.URL
	// place is where the URL redirects to, nil if it does not.
	place   atomic.Pointer[url.URL]
	secrets []string
	object  object
	opened  bool // the server has answered, and object is known
	cache   *cache
	ahead   ahead
	running sync.WaitGroup

	transferred atomic.Int64
	round       atomic.Pointer[round]

	siblings siblings.List[*Source]
}

// A round ends when what could not be had is asked for again. What was asked for in one
// and fails later says nothing of the next.
type round struct {
	failure atomic.Pointer[physmem.SourceError]
}

// An object is what a server says of a file, the same for all its ranges.
type object struct {
	size     int64
	etag     string // empty if there is none
	modified string // as the server writes it, empty if it says none
}

var errClosed = errors.New("the file is closed")

// IsURL reports whether a name is a URL that is read here: it begins with http:// or
// https://.
func IsURL(name string) bool {
	scheme, _, found := strings.Cut(name, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// Open asks the server for the first bytes of the file. The context is that of all
// reads: when it is over, they end with its cause.
//
// The errors are a [*physmem.SourceError] of what the network or the server says, and a
// [*NoRangesError]. All of them are without secrets.
func Open(ctx context.Context, rawURL string, opt Options) (*Source, error) {
	s, err := newSource(ctx, rawURL, opt)
	if err != nil {
		return nil, err
	}
	if err := s.probe(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// newSource is a source that has asked for nothing yet.
func newSource(ctx context.Context, rawURL string, opt Options) (*Source, error) {
	// What is wrong with a URL is not said: it may be in what is secret.
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || !IsURL(rawURL) {
		return nil, &physmem.SourceError{Err: errors.New("this is no URL that can be read")}
	}
	if err := checkHeader(opt.Header); err != nil {
		return nil, err
	}
	opt = opt.withDefaults()
	s := &Source{opt: opt, url: u, secrets: secretsOf(u, opt.Header), cache: newCache(opt.Cache)}
	s.round.Store(new(round))
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.client = &http.Client{Transport: opt.Transport, CheckRedirect: s.redirect}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Cache <= 0 {
		o.Cache = defaultCache
	}
	if o.Attempts <= 0 {
		o.Attempts = defaultAttempts
	}
	if o.Pause <= 0 {
		o.Pause = defaultPause
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.Transport == nil {
		o.Transport = sharedTransport()
	}
	return o
}

// connections is how many are kept open to a server while nothing is asked of it.
const connections = 32

// sharedTransport is one for all sources, so that they share connections.
var sharedTransport = sync.OnceValue(func() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections
	t.DisableCompression = true
	return t
})

// Size implements [physmem.Source].
func (s *Source) Size() int64 { return s.object.size }

// Name implements [physmem.Source]: it is the last part of the URL's path.
func (s *Source) Name() string { return Name(s.url.String()) }

// ModTime implements [physmem.Dated].
func (s *Source) ModTime() time.Time {
	t, err := http.ParseTime(s.object.modified)
	if err != nil {
		return time.Time{}
	}
	return t
}

// Transferred is how many bytes of files the server has sent, of siblings too.
func (s *Source) Transferred() int64 {
	n := s.transferred.Load()
	for _, x := range s.siblings.All() {
		n += x.Transferred()
	}
	return n
}

// Failure is why nothing more can be read, nil if that is not so: that of a sibling,
// too. Once a range could not be had, with all attempts, none is asked for again.
func (s *Source) Failure() error {
	if e := s.round.Load().failure.Load(); e != nil {
		return e
	}
	for _, x := range s.siblings.All() {
		if err := x.Failure(); err != nil {
			return err
		}
	}
	return nil
}

// Retry implements [physmem.Retrier]: what could not be had is asked for again, of siblings
// too.
func (s *Source) Retry() {
	s.round.Store(new(round))
	for _, x := range s.siblings.All() {
		x.Retry()
	}
}

// OpenSibling implements [physmem.Source]: it is the file of that name beside this one
// on the server. One that the server does not show counts as one that is not there.
func (s *Source) OpenSibling(name string) (physmem.Source, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	u := *s.url
	u.Path = path.Join(path.Dir(u.Path), name)
	u.RawPath = ""
	sibling, err := Open(s.ctx, u.String(), s.opt)
	var status *statusError
	if errors.As(err, &status) && (status.hidden() || status.Code == http.StatusNotFound) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	s.siblings.Add(sibling)
	return sibling, nil
}

// Close ends all transfers, and those of siblings. Reads fail afterwards.
func (s *Source) Close() error {
	s.cancel(errClosed)
	s.running.Wait()
	return s.siblings.Close()
}

// readPiece is the most that one read waits for at a time, in bytes: it bounds the
// memory of a read of any size.
const readPiece = 4 << 20

// ReadAt implements io.ReaderAt. The errors are a [*physmem.SourceError], and the cause
// of the context where that is over.
func (s *Source) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, fmt.Errorf("file offset %d is negative", off)
	case off >= s.object.size:
		return 0, io.EOF
	}
	n := min(int64(len(p)), s.object.size-off)
	for done := int64(0); done < n; {
		piece := min(n-done, readPiece)
		if err := s.read(p[done:done+piece], off+done); err != nil {
			return int(done), err
		}
		done += piece
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// read fills p, which lies in the file, from blocks.
func (s *Source) read(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	first, end := off/blockSize, (off+int64(len(p))-1)/blockSize+1
	list := s.fetch(first, end)
	s.readAhead(first, end)
	err := s.await(list, p, off)
	if err != nil && s.ctx.Err() == nil && s.round.Load().failure.Load() == nil {
		// It was asked for before the last Retry.
		list = s.fetch(first, end)
		err = s.await(list, p, off)
	}
	if err == nil {
		s.cache.used(list)
	}
	return err
}

// fetch returns the blocks [first, end), and asks for those that nobody fetches yet.
func (s *Source) fetch(first, end int64) []*block {
	list, missing := s.cache.take(first, end)
	for _, r := range requests(missing) {
		s.running.Go(func() { s.fill(r) })
	}
	return list
}

// await fills p, which lies at off, from blocks as they come.
func (s *Source) await(list []*block, p []byte, off int64) error {
	for _, b := range list {
		select {
		case <-b.ready:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
		if b.err != nil {
			return b.err
		}
		at := b.index * blockSize
		from := max(off, at)
		copy(p[from-off:], b.data[from-at:])
	}
	return nil
}

// fail keeps the first failure of a round that no further attempt mends. The end of the
// context is none.
func (s *Source) fail(of *round, err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	e := &physmem.SourceError{Err: err}
	if !of.failure.CompareAndSwap(nil, e) {
		return of.failure.Load()
	}
	return e
}

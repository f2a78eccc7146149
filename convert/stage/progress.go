package stage

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// progressEvery is the least time between two reports of bytes.
const progressEvery = 100 * time.Millisecond

// Progress is how far a run is.
type Progress struct {
	Stage Stage
	// Done and Total count the stage's bytes: of the packed file, of the memory
	// that is searched, of the output, of the files that a check reads. Both are
	// 0 where none are counted.
	Done, Total int64
}

// Enter reports that a stage begins, if anybody listens.
func Enter(report func(Progress), s Stage) {
	if report != nil {
		report(Progress{Stage: s})
	}
}

// Meter counts a stage's bytes and reports them now and then.
type Meter struct {
	stage       Stage
	done, total atomic.Int64
	report      func(Progress)
	mu          sync.Mutex
	last        time.Time
}

// NewMeter begins a stage of total bytes, of which start are done.
func NewMeter(stage Stage, total, start int64, report func(Progress)) *Meter {
	m := &Meter{stage: stage, report: report}
	m.total.Store(total)
	m.done.Store(start)
	m.say()
	return m
}

// Grow adds n bytes to those that there are to do.
func (m *Meter) Grow(n int64) { m.total.Add(n) }

// Add counts n bytes; the report is made by whichever worker comes first when
// it is due, and nobody waits for it.
func (m *Meter) Add(n int) {
	m.done.Add(int64(n))
	if m.report == nil || !m.mu.TryLock() {
		return
	}
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.last) >= progressEvery {
		m.last = now
		m.say()
	}
}

// Skip counts n bytes that took no time, without a report.
func (m *Meter) Skip(n int64) { m.done.Add(n) }

// Finish makes the last report.
func (m *Meter) Finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.say()
}

func (m *Meter) say() {
	if m.report == nil {
		return
	}
	total := m.total.Load()
	m.report(Progress{Stage: m.stage, Done: min(m.done.Load(), total), Total: total}) // what is read twice counts twice
}

// Reader counts what is read through it.
func (m *Meter) Reader(r io.ReaderAt) io.ReaderAt { return &meteredReader{m, r} }

type meteredReader struct {
	m *Meter
	r io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (r *meteredReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.r.ReadAt(p, off)
	r.m.Add(n)
	return n, err
}

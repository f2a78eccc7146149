package identity

import (
	"cmp"
	"fmt"
	"time"

	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/winhdr"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/problem"
)

// products are the values of NtProductType (ntdef.h, NT_PRODUCT_TYPE).
var products = map[uint32]string{1: "workstation", 2: "domain controller", 3: "server"}

// buildNames are marketing names by build, client and server (Microsoft's
// release information pages).
var buildNames = []struct {
	build          uint32
	client, server string
}{
	{2600, "Windows XP", ""},
	{3790, "Windows XP x64", "Windows Server 2003"},
	{6000, "Windows Vista", ""},
	{6001, "Windows Vista SP1", "Windows Server 2008"},
	{6002, "Windows Vista SP2", "Windows Server 2008 SP2"},
	{7600, "Windows 7", "Windows Server 2008 R2"},
	{7601, "Windows 7 SP1", "Windows Server 2008 R2 SP1"},
	{9200, "Windows 8", "Windows Server 2012"},
	{9600, "Windows 8.1", "Windows Server 2012 R2"},
	{10240, "Windows 10 1507", ""},
	{10586, "Windows 10 1511", ""},
	{14393, "Windows 10 1607", "Windows Server 2016"},
	{15063, "Windows 10 1703", ""},
	{16299, "Windows 10 1709", "Windows Server 1709"},
	{17134, "Windows 10 1803", "Windows Server 1803"},
	{17763, "Windows 10 1809", "Windows Server 2019"},
	{18362, "Windows 10 1903", "Windows Server 1903"},
	{18363, "Windows 10 1909", "Windows Server 1909"},
	{19041, "Windows 10 2004", "Windows Server 2004"},
	{19042, "Windows 10 20H2", "Windows Server 20H2"},
	{19043, "Windows 10 21H1", ""},
	{19044, "Windows 10 21H2", ""},
	{19045, "Windows 10 22H2", ""},
	{20348, "", "Windows Server 2022"},
	{22000, "Windows 11 21H2", ""},
	{22621, "Windows 11 22H2", ""},
	{22631, "Windows 11 23H2", ""},
	{25398, "", "Windows Server 23H2"},
	{26100, "Windows 11 24H2", "Windows Server 2025"},
	{26200, "Windows 11 25H2", ""},
}

// systemName is the marketing name, empty for a build that is not in the list.
func systemName(build, product uint32) string {
	for _, n := range buildNames {
		if n.build != build {
			continue
		}
		if product == 2 || product == 3 {
			return n.server
		}
		return n.client
	}
	return ""
}

// System says what is known of the guest's Windows; nil when there is no
// header.
func System(g *guest.Guest) *report.System {
	h := g.Header()
	if h == nil {
		return nil
	}
	s := &report.System{Machine: g.Machine().Name(), Build: h.MinorVersion, Processors: h.NumberProcessors, DirectoryTableBase: report.Hex(h.DirectoryTableBase)}
	product := unfilled(h.ProductType)
	s.SuiteMask = report.Hex(unfilled(h.SuiteMask))
	systemTime, upTime := h.SystemTime, h.SystemUpTime
	if k := g.SharedUserData(); k != nil {
		if _, build := k.Build(); h.Format().Builds(build) {
			s.Build = build
		}
		s.Version = fmt.Sprintf("%d.%d", k.NtMajorVersion, k.NtMinorVersion)
		s.SystemRoot = k.NtSystemRoot
		product, s.SuiteMask = k.NtProductType, report.Hex(k.SuiteMask)
		systemTime, upTime = cmp.Or(k.SystemTime, systemTime), cmp.Or(k.InterruptTime, upTime)
	}
	s.Product = products[product]
	s.Name = systemName(s.Build, product)
	if t, err := winhdr.Time(systemTime); err == nil {
		s.SystemTime = t.Format(time.RFC3339)
	}
	if upTime != problem.Fill64 {
		s.UpTime = float64(upTime) / winhdr.TicksPerSecond
	}
	if k := g.Kernel(); k != nil {
		s.KDBG, s.PagingLevels = report.Hex(k.VA), len(k.Space.Mode.Levels)
		if lab, err := k.BuildLab(); err == nil {
			s.BuildLab = lab
		}
	}
	return s
}

// unfilled is 0 for a field that Windows never set.
func unfilled(v uint32) uint32 {
	if v == problem.Fill {
		return 0
	}
	return v
}

// BugCheck explains the bug check: that of a dump's header, which is what a
// debugger shows, else that of the guest's memory; nil when neither is known.
func BugCheck(g *guest.Guest) *report.BugCheckDetail {
	var code, pad uint32
	var parameters [4]uint64
	source := "memory"
	h, bc := g.Header(), g.BugCheck()
	switch {
	case h != nil && g.Origin().Dump:
		code, pad, parameters, source = h.BugCheckCode, h.BugCheckCodePad, h.BugCheckParameters, "header"
	case bc != nil:
		code, pad, parameters = bc.Code, bc.CodeHigh, bc.Parameters
	default:
		return nil
	}
	if code == 0 { // what else stands there is nothing of a bug check
		parameters = [4]uint64{}
	}
	d := &report.BugCheckDetail{Code: report.Hex(bugcheck.Word(code, pad)), Source: source, Crashed: code != 0 && code != bugcheck.LiveSystemDump}
	d.Name = bugcheck.Name(code)
	m, _ := bugcheck.MeaningOf(code)
	d.Summary = m.Summary
	for i, v := range parameters {
		d.Parameters = append(d.Parameters, report.BugCheckParameter{Value: report.Hex(v), Meaning: m.Parameters[i]})
	}
	return d
}

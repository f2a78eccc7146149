/*
 * What differs between builds of 32-bit Windows, from Volatility's profiles: 2600 is XP,
 * 3790 Server 2003, 6002 Vista, 7601 Windows 7, 19041 Windows 10.
 */
#include "guest.h"

static const struct build builds[] = {
	{
		.number = 7601, .product = 1, .kdbg_size = 0x340, .major = 6, .minor = 1,
		.lab = "7601.17514.x86fre.win7sp1_rtm.101119-1850",
		.state = 0x18, .prcb_number = 0x3cc, .context = 0x3618,
		.prcb_size = 0x3628, .pcr_size = 0x3748, .apc_process = 0x50,
		.pid = 0xb4, .parent = 0x140, .name = 0x16c, .peb = 0x1a8, .process_size = 0x2c0,
	},
	{
		.number = 19041, .product = 1, .kdbg_size = 0x380, .major = 10, .minor = 0,
		.lab = "19041.1.x86fre.vb_release.191206-1406",
		.state = 0x18, .prcb_number = 0x3cc, .context = 0x4168,
		.prcb_size = 0x5f00, .pcr_size = 0x6020, .apc_process = 0x80,
		.pid = 0xe4, .parent = 0x170, .name = 0x1ac, .peb = 0x17c, .process_size = 0x4c0,
	},
	{
		.number = 6002, .product = 1, .kdbg_size = 0x330, .major = 6, .minor = 0,
		.lab = "6002.18005.x86fre.lh_sp2rtm.090410-1830",
		.state = 0x1c, .prcb_number = 0x10,
		.prcb_size = 0x2008, .pcr_size = 0x2128, .apc_process = 0x48,
		.pid = 0x9c, .parent = 0x124, .name = 0x14c, .peb = 0x188, .process_size = 0x270,
	},
	{
		.number = 3790, .product = 3, .kdbg_size = 0x318, .major = 5, .minor = 2,
		.lab = "3790.srv03_sp2_rtm.070216-1710",
		.state = 0x1c, .prcb_number = 0x10,
		.prcb_size = 0xec0, .pcr_size = 0xfe0, .apc_process = 0x38,
		.pid = 0x94, .parent = 0x138, .name = 0x164, .peb = 0x1a0, .process_size = 0x278,
	},
	{
		.number = 2600, .product = 1, .kdbg_size = 0x290, .major = 5, .minor = 1,
		.lab = "2600.xpsp.080413-2111",
		.state = 0x1c, .prcb_number = 0x10,
		.prcb_size = 0xc50, .pcr_size = 0xd70, .apc_process = 0x44,
		.pid = 0x84, .parent = 0x14c, .name = 0x174, .peb = 0x1b0, .process_size = 0x260,
	},
};

const struct build *build;

void build_choose(void)
{
	for (u32 i = 0; i < COUNT(builds); i++)
		if (opt.build == NOT_GIVEN || opt.build == builds[i].number) {
			build = &builds[i];
			return;
		}
	die("build=N: unknown");
}

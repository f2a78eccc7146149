/* "gizmo.sys": where the thread begins, with a frame of more than two pages. */
#include "images.h"

__declspec(dllimport) void SprocketRequest(addr a, addr b, addr c, addr d, addr e, addr f);

/* A function that has come and gone by the time of the crash. */
static FRAME addr gizmo_warm_up(addr n)
{
	addr sum;

	ENTER();
	sum = n < 2 ? n : gizmo_warm_up(n - 1) + gizmo_warm_up(n - 2);
	LEAVE();
	return sum;
}

static FRAME void gizmo_big(addr argument)
{
	volatile u8 buffer[0x2340];

	ENTER();
	for (u32 i = 0; i < sizeof buffer; i += 0x111)
		buffer[i] = (u8)(i + argument);
	SprocketRequest(argument, buffer[0], buffer[0x111], 4, 5, 6);
	buffer[1] = buffer[2];
	LEAVE();
}

/* The entry point. */
__declspec(dllexport) void GizmoThread(addr argument)
{
	ENTER();
	ExRunCallback(gizmo_big, argument + gizmo_warm_up(5));
	LEAVE();
}

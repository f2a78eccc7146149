/* "sprocket.sys": what crashes. */
#include "images.h"

void sprocket_outer(routine *call, addr argument);	/* sprocket64.S, sprocket32.S */
void sprocket_split(addr argument);
void sprocket_touch(addr address);
void sprocket_places(void);
routine sprocket_deep;

/* The end of the road. */
static FRAME void sprocket_last(addr argument)
{
	static addr good;

	ENTER();
	if (GuestStart.crash == 0xe2)
		KeBugCheckEx(0xe2, 0x11, 0x22, 0x33, argument);
	if (GuestStart.at)
		sprocket_places();
	sprocket_touch(GuestStart.at ? (addr)&good : BAD_ADDRESS);
	LEAVE();
}

FRAME void sprocket_deep(addr argument)
{
	ENTER();
	if (argument & 7)
		sprocket_deep(argument - 1);
	else
		sprocket_last(argument);
	LEAVE();
}

/* Everything that a caller keeps is used, and so saved. */
__declspec(dllexport) FRAME void SprocketRequest(addr a, addr b, addr c, addr d, addr e, addr f)
{
	volatile double x = (double)a, y = (double)b;
	double u = x * 3, v = y * 5, w = u + v;

	ENTER();
	sprocket_outer(sprocket_split, a + 2);
	x = u * 7 + v * w;
	GuestEnter(a + b + c, d + e + f + (addr)x);
	GuestLeave();
	LEAVE();
}

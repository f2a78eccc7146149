/* frameslib.dll: a second image on the stack. Built as frames.c says. */
typedef int (*callback)(int depth, void *data);

/* padded keeps some registers and some of the stack busy. */
int padded(callback f, int depth, void *data)
{
	volatile char room[300];
	room[depth & 255] = (char)depth;
	int n = f(depth, data);
	return n + room[depth & 255];
}

/* call_back calls f behind depth frames of its own. */
int call_back(callback f, int depth, void *data)
{
	if (depth == 0)
		return f(depth, data);
	int n = depth & 1 ? padded(f, depth - 1, data) : call_back(f, depth - 1, data);
	return n * 3 + depth;
}

int counter = 7;

int __stdcall DllMainCRTStartup(void *instance, unsigned reason, void *reserved)
{
	(void)instance, (void)reason, (void)reserved;
	return 1;
}

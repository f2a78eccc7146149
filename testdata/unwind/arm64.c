/*
 * Functions with frames of many kinds, built by clang for aarch64-pc-windows-msvc:
 * nothing runs them. A test steps through their prologues and epilogues and holds what
 * their unwind data says against what the instructions do (kdbg/unwind).
 */

#define NOINLINE __attribute__((noinline))
#define EXPORT __declspec(dllexport)

typedef unsigned long long u64;

volatile u64 sink;
volatile double floats[16];

NOINLINE u64 leaf(u64 a, u64 b) { return a * b + 3; }
NOINLINE void use(void *p) { sink = *(volatile unsigned char *)p; }
__attribute__((noinline, noreturn)) void stop(u64 code)
{
	sink = code;
	for (;;)
		;
}

/* One call: the chain of frames alone. */
EXPORT NOINLINE u64 one(u64 a) { return leaf(a, sink) + 1; }

/* Registers that are kept over calls: odd and even numbers of them. */
EXPORT NOINLINE u64 two(u64 a, u64 b) { return leaf(a, b) + leaf(b, a) + a; }
EXPORT NOINLINE u64 three(u64 a, u64 b, u64 c) { return leaf(a, b) + leaf(b, c) + leaf(c, a) + a + b + c; }

EXPORT NOINLINE u64 many(const u64 *p)
{
	u64 a = p[0], b = p[1], c = p[2], d = p[3], e = p[4], f = p[5], g = p[6], h = p[7], i = p[8], j = p[9];
	for (int n = 0; n < 3; n++) {
		a += leaf(b, c), b += leaf(c, d), c += leaf(d, e), d += leaf(e, f), e += leaf(f, g);
		f += leaf(g, h), g += leaf(h, i), h += leaf(i, j), i += leaf(j, a), j += leaf(a, b);
	}
	return a + b + c + d + e + f + g + h + i + j;
}

/* Floating-point registers that are kept. */
EXPORT NOINLINE double real(double a, double b, double c)
{
	leaf(1, 2);
	return a * floats[0] + b * floats[1] + c;
}

EXPORT NOINLINE double reals(u64 x, u64 y)
{
	double a = floats[0], b = floats[1], c = floats[2], d = floats[3], e = floats[4], f = floats[5], g = floats[6], h = floats[7];
	x += leaf(x, y), y += leaf(y, x);
	return a + b * c + d * e + f * g + h + (double)x + (double)y;
}

/* Room on the stack: a little, more than an instruction takes, more than a page. */
EXPORT NOINLINE u64 some(u64 n)
{
	unsigned char room[200];
	use(room + n);
	return room[n];
}

EXPORT NOINLINE u64 more(u64 n)
{
	unsigned char room[2000];
	use(room + n);
	return room[n] + leaf(n, n);
}

EXPORT NOINLINE u64 pages(u64 n)
{
	unsigned char room[70000];
	use(room + n);
	return room[n] + leaf(n, n);
}

EXPORT NOINLINE u64 dynamic(u64 n, u64 m)
{
	unsigned char *room = __builtin_alloca(n);
	use(room + m);
	return room[m] + leaf(n, m);
}

/* Parameters that are put on the stack, as a function with an ellipsis does. */
EXPORT NOINLINE u64 any(u64 n, ...)
{
	__builtin_va_list list;
	u64 sum = 0;
	__builtin_va_start(list, n);
	while (n--)
		sum += leaf(__builtin_va_arg(list, u64), n);
	__builtin_va_end(list);
	return sum;
}

/* Several ends: returns, a call of a function that does not return, tail calls. */
EXPORT NOINLINE u64 ends(u64 n, u64 m)
{
	if (leaf(n, m) == 7)
		return leaf(m, n) + n;
	if (n == 12)
		stop(m);
	if (m == 13) {
		sink = n;
		return leaf(n, 5) + m + two(n, m);
	}
	sink = m;
	return three(n, m, sink);
}

EXPORT NOINLINE u64 never(u64 n, u64 m)
{
	if (leaf(n, m) == 3)
		return 4 + leaf(m, n);
	stop(leaf(n, m));
}

/* A handler: the record has its address behind the codes. */
int __C_specific_handler(void) { return 1; }

EXPORT NOINLINE u64 guarded(u64 n)
{
	__try {
		use((void *)n);
		return leaf(n, 1);
	} __except (1) {
		return 2;
	}
}

void __chkstk(void) {}
int _fltused;

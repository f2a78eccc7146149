/* What frames.c and frames.s share. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdint.h>

/* snap records the state of its caller's frame: registers, stack, and the frames that
 * RtlVirtualUnwind finds. */
void snap(const char *name);

/* Functions of frames.s; each calls touch, but for those that say otherwise. */
extern void f_push(int), f_framed(int), f_framed_r13(int), f_saved(int), f_far(int), f_tail(int), f_tail_indirect(int);
extern void f_chained(int), f_version2(int), f_indirect(int), f_leaf(int);
extern void f_interrupted(int), f_interrupted_error(int), f_interrupted_user(int); /* call snap */
extern void f_null(void), f_fault(void);                                           /* fault */
/* run_stepped calls f(1) with the trap flag set. */
extern void run_stepped(void (*f)(int));

extern char code_begin[], code_end[], after_fault[];

#endif

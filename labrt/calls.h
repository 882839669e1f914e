/* A program of system calls, as labrt/calls.py encodes it: the container's side of a recipe. */
#include <stddef.h>

/* Descriptors whose numbers in the program are another process's: `theirs[i]` is our `ours[i]`. */
struct descriptors {
    const int *theirs, *ours;
    int count;
};

/* Return our number of the descriptor that is `theirs` there; the same where it isn't one of them. */
int descriptor_here(const struct descriptors *descriptors, int theirs);

/* Return the number of a system call on this machine, -1 where it has none of that name. */
long call_number(const char *name);

/* Perform a part of a program, one step's calls; return 0, or the kernel's errno with the index of
 * the call in *at. */
int perform_part(char *part, const struct descriptors *descriptors, unsigned *at);

/* Perform a whole program, whose last part executes another; report by `report`; never return. */
_Noreturn void perform_program(char *program, const struct descriptors *descriptors, int report);

/*
 * The cloner: a process so small that to clone it costs next to nothing. A launcher (launcher.py)
 * has one, and has it make each container's first process (clone.c).
 *
 * That process never held the launcher's memory or its descriptors, only those that it is given. It
 * is the launcher's child nevertheless, by CLONE_PARENT. This program runs from a copy in memory
 * that nobody can write (cloning.py), since it is what a container's process is before execve(2).
 *
 * Descriptor 3 is the way to the launcher (unix(7), SOCK_SEQPACKET); its end is the cloner's.
 */
#include "clone.h"

int main(void)
{
    while (clone_once(3) == CLONED)
        ;
    return 0;
}

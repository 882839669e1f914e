/* The lab's demand: asks for more memory and more CPU than an instance may have.
 *
 *     demand MEBIBYTES PROCESSES
 *
 * First a child touches so many MiB, page by page; it offers itself to the out-of-memory killer
 * (oom_score_adj, proc(5)), so that nothing else is its victim. Then so many children compute until
 * the instance ends. How much of the CPU they get, the host reads from the instance's cgroup.
 *
 *     lab:said memory OUTCOME BYTES    killed, refused (mmap(2) failed) or had (all of it); and how
 *                                      many bytes it had touched by then
 *     lab:done                         the computing has begun
 *
 * Instance side. Man pages: mmap(2), fork(2), waitpid(2), prctl(2).
 */
#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNK = 1 << 20, REFUSED = 1 };

static void offer_itself(void)
{
    FILE *file = fopen("/proc/self/oom_score_adj", "we");
    if (!file || fputs("1000", file) < 0 || fclose(file))
        err(2, "/proc/self/oom_score_adj");
}

static void touch(long mebibytes, volatile long *touched)
{
    offer_itself();
    for (long chunk = 0; chunk < mebibytes; chunk++) {
        char *pages = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (pages == MAP_FAILED)
            _exit(REFUSED);
        for (long at = 0; at < CHUNK; at += PAGE, *touched += PAGE)
            pages[at] = 1;
    }
    _exit(0);
}

static void memory(long mebibytes)
{
    int status;
    volatile long *touched = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (touched == MAP_FAILED)
        err(1, "mmap");
    pid_t child = fork();
    if (child == 0)
        touch(mebibytes, touched);
    if (child < 0 || waitpid(child, &status, 0) != child)
        err(1, "fork");
    if (WIFEXITED(status) && WEXITSTATUS(status) > REFUSED)
        errx(1, "the child failed");
    const char *outcome = WIFSIGNALED(status) ? "killed" : WEXITSTATUS(status) ? "refused" : "had";
    printf("lab:said memory %s %ld\n", outcome, *touched);
}

static void compute(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (volatile unsigned long i = 0;; i++)
        ;
}

static void stop(int signal)
{
    (void)signal;
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        errx(2, "usage: demand MEBIBYTES PROCESSES");
    signal(SIGTERM, stop); /* process 1 of a pid namespace gets only signals that it handles */
    setlinebuf(stdout);
    puts("lab:init\nlab:ready");
    memory(atol(argv[1]));
    for (int left = atoi(argv[2]); left > 0; left--) {
        pid_t child = fork();
        if (child == 0)
            compute();
        if (child < 0)
            err(1, "fork");
    }
    puts("lab:done");
    for (;;)
        pause();
}

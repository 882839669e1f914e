/* The lab's meter: fixed amounts of work, the same static program in every kind of instance.
 *
 *     meter PART...    does each part in turn, then waits until it is told to stop
 *
 * It takes no time itself: before and after each part it writes a line, which the host stamps as
 * it arrives. So a guest's clock, which its hypervisor gives it, is in no number.
 *
 *     lab:begin PART
 *     lab:end PART COUNT    how many units of work were done in between
 *     lab:said KEY VALUE    what came out, to see that all have done the same
 *     lab:done
 *
 * Instance side. Man pages: getppid(2), pipe(2), mmap(2), fork(2), sched_setaffinity(2).
 */
#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "meter.h"

enum {
    PAGE = 4096,
    COLLATZ = 200000,   /* numbers */
    MATRIX = 192,       /* rows and columns */
    PRODUCTS = 16,
    ARRAY = 2 << 20,    /* doubles in each of three arrays: 16 MiB, more than most caches hold */
    PASSES = 8,
    CALLS = 200000,
    TRIPS = 10000,
    FAULTS = 16384,
    CHILDREN = 200,
};

void begin(const char *part) { printf("lab:begin %s\n", part); }

void end(const char *part, long count) { printf("lab:end %s %ld\n", part, count); }

/* How many steps the numbers below COLLATZ take down to 1: integers, branches, no memory. */
static void integers(void)
{
    long steps = 0;
    begin("integers");
    for (uint64_t first = 1; first < COLLATZ; first++)
        for (uint64_t n = first; n != 1; steps++)
            n = n & 1 ? 3 * n + 1 : n / 2;
    end("integers", steps);
    printf("lab:said integers %ld\n", steps);
}

/* Products of two matrices: floating point, all in the cache. */
static void floats(void)
{
    static double a[MATRIX][MATRIX], b[MATRIX][MATRIX], c[MATRIX][MATRIX];
    double trace = 0;
    for (int i = 0; i < MATRIX; i++)
        for (int j = 0; j < MATRIX; j++)
            a[i][j] = i + j, b[i][j] = i + 2 * j + 1;
    begin("floats");
    for (int product = 0; product < PRODUCTS; product++)
        for (int i = 0; i < MATRIX; i++)
            for (int k = 0; k < MATRIX; k++)
                for (int j = 0; j < MATRIX; j++)
                    c[i][j] += a[i][k] * b[k][j];
    end("floats", 2L * MATRIX * MATRIX * MATRIX * PRODUCTS);
    for (int i = 0; i < MATRIX; i++)
        trace += c[i][i];
    printf("lab:said floats %.0f\n", trace);
}

/* McCalpin's triad (STREAM): a = b + s * c. Counts the bytes that it reads and writes. */
static void triad(void)
{
    double *a = calloc(ARRAY, sizeof *a), *b = calloc(ARRAY, sizeof *b), *c = calloc(ARRAY, sizeof *c);
    if (!a || !b || !c)
        err(1, "allocate three arrays");
    for (long i = 0; i < ARRAY; i++)
        a[i] = 0, b[i] = i, c[i] = 1; /* every page is there before the clock starts */
    begin("triad");
    for (int pass = 0; pass < PASSES; pass++)
        for (long i = 0; i < ARRAY; i++)
            a[i] = b[i] + (pass + 3.0) * c[i];
    end("triad", 3L * sizeof(double) * ARRAY * PASSES);
    printf("lab:said triad %.0f\n", a[ARRAY - 1]);
    free(a), free(b), free(c);
}

/* The cheapest system call: into the kernel and back. */
static void syscalls(void)
{
    begin("syscall");
    for (int i = 0; i < CALLS; i++)
        syscall(SYS_getppid);
    end("syscall", CALLS);
}

/* A byte to another process and back, both on one CPU: two context switches a trip. */
static void switches(void)
{
    int there[2], back[2], status;
    char byte = 0;
    cpu_set_t one, before;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    if (pipe(there) || pipe(back))
        err(1, "pipe");
    pid_t child = fork();
    if (child == 0) {
        while (read(there[0], &byte, 1) == 1 && byte == 0)
            if (write(back[1], &byte, 1) != 1)
                _exit(1);
        _exit(0);
    }
    begin("switch");
    for (int i = 0; i < TRIPS; i++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            err(1, "pipe");
    end("switch", 2 * TRIPS);
    byte = 1;
    if (write(there[1], &byte, 1) != 1 || waitpid(child, &status, 0) != child || status)
        errx(1, "the other process failed");
    sched_setaffinity(0, sizeof before, &before);
}

/* The first touch of a page: the kernel (and a hypervisor below it) finds memory for it. */
static void faults(void)
{
    char *pages = mmap(NULL, (size_t)FAULTS * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || madvise(pages, (size_t)FAULTS * PAGE, MADV_NOHUGEPAGE))
        err(1, "mmap");
    begin("fault");
    for (long i = 0; i < FAULTS; i++)
        pages[i * PAGE] = 1;
    end("fault", FAULTS);
    munmap(pages, (size_t)FAULTS * PAGE);
}

/* A process made, ended and waited for. */
static void forks(void)
{
    begin("fork");
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child < 0 || waitpid(child, NULL, 0) != child)
            err(1, "fork");
    }
    end("fork", CHILDREN);
}

static const struct {
    const char *name;
    void (*work)(void);
} PARTS[] = {
    {"integers", integers}, {"floats", floats}, {"triad", triad}, {"syscall", syscalls},
    {"switch", switches},   {"fault", faults},  {"fork", forks},
};

static void work(const char *name)
{
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
        if (!strcmp(PARTS[i].name, name)) {
            PARTS[i].work();
            return;
        }
    if (!network(name))
        errx(2, "no part %s", name);
}

static void stop(int signal)
{
    (void)signal;
    _exit(0);
}

int main(int argc, char **argv)
{
    signal(SIGTERM, stop); /* process 1 of a pid namespace gets only signals that it handles */
    setlinebuf(stdout);
    puts("lab:init\nlab:ready");
    for (int i = 1; i < argc; i++)
        work(argv[i]);
    puts("lab:done");
    for (;;)
        pause();
}

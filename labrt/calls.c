/*
 * Performs system calls that labrt/calls.py has put into a row: the child of a start does its steps
 * by this, without Python. A forked Python would copy each page on which it counts a reference.
 *
 * Container side. It runs in two places, the same code in both: in a child of the cloner
 * (clone.c), and, as a library, in a forked child of a lab that has none.
 *
 * Man pages: syscall(2), and those of the steps.
 */
#define _GNU_SOURCE
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENTS = 6, BRANCHES = 4, RESULTS = 16, ANY = 0, NOWHERE = -1 };
enum operand { VALUE, DATA, RESULT, SCRATCH, DESCRIPTOR, PATH }; /* calls.py: the same order */
enum { REPORT = 0 }; /* the result that is where a failure is told; a call may replace it */
enum { EXPECT = -1, REFUSE = -2, LEAVE = -3, OPEN_POINT = -4 };  /* no calls of the kernel's */

struct call {
    int32_t number;
    uint32_t kinds; /* of each argument, four bits */
    int64_t argument[ARGUMENTS];
    int16_t result;  /* where to keep what it returns, NOWHERE for nowhere */
    uint16_t onward; /* how many calls are left out after a success */
    struct {
        uint16_t error, onward;
    } branch[BRANCHES]; /* the same for an errno; without one, the step has failed */
    uint16_t branches, unused[5];
};

struct part {
    uint32_t size; /* of all of it, with its head */
    uint16_t calls, pointers;
};

struct pointer { /* what an array in the data points to, by offsets */
    uint32_t at, to;
};

long results[RESULTS] = {[0 ... RESULTS - 1] = NOWHERE};
static char scratch[8192]; /* what calls write, and the next read */

#define EACH_CALL(with)                                                                             \
    with(setsid) with(openat) with(read) with(write) with(close) with(unshare)        \
    with(mount) with(umount2) with(chdir) with(fchdir) with(chroot) with(pivot_root) with(prctl)    \
    with(setgroups) with(setresgid) with(setresuid) with(sethostname) with(setdomainname)           \
    with(mkdirat) with(fchmodat) with(faccessat) with(symlinkat) with(statx) with(mount_setattr)    \
    with(open_tree) with(move_mount) with(socket) with(ioctl)           \
    with(umask) with(getcwd) with(capset) with(rt_sigaction) with(fcntl) with(dup3)                 \
    with(close_range) with(seccomp) with(execve) with(mknodat) with(fchownat) with(unlinkat)        \
    with(personality) with(keyctl) with(prlimit64)

#define NUMBER(call) {#call, SYS_##call},

long call_number(const char *name)
{
    static const struct {
        const char *name;
        long number;
    } numbers[] = {EACH_CALL(NUMBER)};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].name, name) == 0)
            return numbers[i].number;
    return -1;
}

int descriptor_here(const struct descriptors *descriptors, int theirs)
{
    for (int i = 0; i < descriptors->count; i++)
        if (descriptors->theirs[i] == theirs)
            return descriptors->ours[i];
    return theirs;
}

/* `path` has room for the one such argument that a call may have. */
static long operand(enum operand kind, int64_t value, char *data, char path[],
                    const struct descriptors *descriptors)
{
    switch (kind) {
    case DATA:
        return (long)(data + value);
    case RESULT:
        return results[value];
    case SCRATCH:
        return (long)(scratch + value);
    case DESCRIPTOR:
        return descriptor_here(descriptors, value);
    case PATH: /* the file that an earlier call has opened, or one below it */
        snprintf(path, 64, "/proc/self/fd/%ld%s", results[value % RESULTS], data + value / RESULTS);
        return (long)path;
    default:
        return value;
    }
}

/* `mask`: the bits that count, NULL for all. */
static int equal(const char *found, const char *wanted, long size, const char *mask)
{
    for (long i = 0; i < size; i++)
        if ((found[i] ^ wanted[i]) & (mask ? mask[i] : -1))
            return 0;
    return 1;
}

static int make(int parent, const char *name, int folder)
{
    if (folder) /* whatever the user's umask */
        return mkdirat(parent, name, 0755) < 0 ? -1 : fchmodat(parent, name, 0755, 0);
    int made = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    return made < 0 ? -1 : close(made);
}

/* Open an absolute path, made where it is missing; no link is followed (openat2(2)). */
static int open_point(const char *path, int folder)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    char parent[PATH_MAX];
    int opened = syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
    if (opened >= 0 || errno != ENOENT || strlen(path) >= sizeof parent)
        return opened;
    strcpy(parent, path);
    char *name = strrchr(parent, '/');
    *name++ = 0;
    int above = open_point(*parent ? parent : "/", 1);
    if (above < 0)
        return -1;
    int made = make(above, name, folder), error = errno;
    close(above);
    errno = error;
    return made < 0 ? -1 : (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static long do_call(const struct call *call, char *data, const struct descriptors *descriptors)
{
    char path[64];
    long a[ARGUMENTS];
    for (int i = 0; i < ARGUMENTS; i++)
        a[i] = operand(call->kinds >> 4 * i & 15, call->argument[i], data, path, descriptors);
    switch (call->number) {
    case EXPECT:
        errno = EBADMSG;
        return equal((char *)a[0], (char *)a[1], a[2], (char *)a[3]) ? 0 : -1;
    case REFUSE:
        errno = a[0];
        return -1;
    case LEAVE:
        _exit(1);
    case OPEN_POINT:
        return open_point((char *)a[0], a[1]);
    default:
        return syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
}

/* Return how many calls to leave out after an error, -1 where the step has failed by it. */
static int branch(const struct call *call, int error)
{
    for (int i = 0; i < call->branches; i++)
        if (call->branch[i].error == error || call->branch[i].error == ANY)
            return call->branch[i].onward;
    return -1;
}

int perform_part(char *bytes, const struct descriptors *descriptors, unsigned *at)
{
    const struct part *part = (const struct part *)bytes;
    const struct call *calls = (const struct call *)(part + 1);
    const struct pointer *pointers = (const struct pointer *)(calls + part->calls);
    char *data = (char *)(pointers + part->pointers);

    for (unsigned i = 0; i < part->pointers; i++)
        *(char **)(data + pointers[i].at) = data + pointers[i].to;
    for (*at = 0; *at < part->calls;) {
        const struct call *call = &calls[*at];
        long result = do_call(call, data, descriptors);
        int onward = result == -1 ? branch(call, errno) : call->onward;
        if (onward < 0)
            return errno;
        if (call->result != NOWHERE)
            results[call->result] = result;
        *at += 1 + onward;
    }
    return 0;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void tell(int report, const void *text, size_t size)
{
    if (write(report, text, size) < 0)
        _exit(1); /* nobody listens any more */
}

/* labrt/perform.py reads it: "exec:", the begin and duration of each step so far, in ns. */
static void tell_times(int report, const int64_t *times, unsigned steps)
{
    static const char EXEC[5] = "exec:";
    size_t size = steps * 2 * sizeof *times;
    char text[sizeof EXEC + size];
    memcpy(text, EXEC, sizeof EXEC);
    memcpy(text + sizeof EXEC, times, size);
    tell(report, text, sizeof text);
}

static void tell_failure(int report, unsigned step, unsigned call, int error)
{
    char text[128];
    int size = snprintf(text, sizeof text, "failed:{\"failed\": %u, \"call\": %u, \"errno\": %d}", step,
                        call, error);
    tell(report, text, size);
}

_Noreturn void perform_program(char *program, const struct descriptors *descriptors, int report)
{
    uint32_t steps = ((const uint32_t *)program)[0];
    uint32_t parting = ((const uint32_t *)program)[1];
    int64_t times[2 * steps];
    char *part = program + 8;
    results[REPORT] = report;
    for (uint32_t step = 0; step < steps; step++) {
        unsigned at;
        if (step == parting)
            tell_times(report, times, step);
        times[2 * step] = now();
        int error = perform_part(part, descriptors, &at);
        if (error) {
            tell_failure(results[REPORT], step, at, error);
            break;
        }
        times[2 * step + 1] = now() - times[2 * step];
        part += ((const struct part *)part)->size;
    }
    _exit(1); /* the last part doesn't return, but by a failure */
}

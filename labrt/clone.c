/*
 * Clones on request (cloning.py): makes a container's first process, whose steps calls.c then performs.
 *
 *     → struct request, the numbers of its descriptors with who asks, the program; the descriptors
 *     ← struct answer; the pidfd
 *
 * Man pages: clone3(2), cmsg(3), unix(7).
 */
#define _GNU_SOURCE
#include "clone.h"

#include "calls.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 64, MESSAGE = 1 << 17 }; /* cloning.py: the same */

struct request {
    uint64_t flags;
    int32_t report, cgroup; /* numbers in the launcher; no cgroup: -1 */
    uint32_t count, unused;
};

struct answer {
    int32_t pid, error;
};

static char message[MESSAGE] __attribute__((aligned(8)));
static int theirs[MOST], ours[MOST];
static struct descriptors received = {theirs, ours, 0};

/* Take the next request and its descriptors into `message`; return its size, 0 at the end, or where
 * it makes no sense. */
static ssize_t take(int way)
{
    char control[CMSG_SPACE(sizeof ours)];
    struct iovec part = {message, sizeof message};
    struct msghdr taken = {.msg_iov = &part, .msg_iovlen = 1};
    struct request *request = (struct request *)message;
    taken.msg_control = control;
    taken.msg_controllen = sizeof control;
    ssize_t length = recvmsg(way, &taken, MSG_CMSG_CLOEXEC);
    if (length < (ssize_t)sizeof *request)
        return length;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&taken);
    size_t size = request->count * sizeof *ours;
    if (rights == NULL || request->count > MOST || rights->cmsg_len != CMSG_LEN(size))
        return 0;
    received.count = request->count;
    memcpy(ours, CMSG_DATA(rights), size);
    memcpy(theirs, request + 1, size);
    return length;
}

static int answer(int way, struct answer told, int pidfd)
{
    char control[CMSG_SPACE(sizeof pidfd)] = {0};
    struct iovec part = {&told, sizeof told};
    struct msghdr sent = {.msg_iov = &part, .msg_iovlen = 1};
    if (told.pid > 0) {
        sent.msg_control = control;
        sent.msg_controllen = sizeof control;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&sent);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof pidfd);
        memcpy(CMSG_DATA(rights), &pidfd, sizeof pidfd);
    }
    return sendmsg(way, &sent, MSG_NOSIGNAL) > 0;
}

/* Return the child's pid, -1 where there is none; in the child, which doesn't return, perform. */
static pid_t clone_child(int way, const struct request *request, int *pidfd)
{
    int cgroup = request->cgroup < 0 ? -1 : descriptor_here(&received, request->cgroup);
    char *program = (char *)(request + 1) + (request->count + 1) / 2 * 2 * sizeof *theirs;
    struct clone_args how = {.flags = request->flags | CLONE_PIDFD, .pidfd = (uintptr_t)pidfd};
    how.exit_signal = request->flags & CLONE_PARENT ? 0 : SIGCHLD; /* a sibling has its parent's */
    if (cgroup >= 0) {
        how.flags |= CLONE_INTO_CGROUP;
        how.cgroup = cgroup;
    }
    pid_t pid = syscall(SYS_clone3, &how, sizeof how);
    if (pid == 0) {
        close(way);
        perform_program(program, &received, descriptor_here(&received, request->report));
    }
    return pid;
}

int clone_once(int way)
{
    int pidfd = -1;
    struct request *request = (struct request *)message;
    ssize_t length = take(way);
    if (length < (ssize_t)sizeof *request)
        return length > 0 ? DO_IT_YOURSELF : END;
    pid_t pid = clone_child(way, request, &pidfd);
    int told = answer(way, (struct answer){pid, pid < 0 ? errno : 0}, pidfd);
    if (pid > 0)
        close(pidfd);
    for (int i = 0; i < received.count; i++)
        close(ours[i]);
    return told ? CLONED : END;
}

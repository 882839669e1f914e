/*
 * The cloner: a process so small that to clone it costs next to nothing. A launcher (launcher.py)
 * has one, and has it make each container's first process, whose steps calls.c then performs.
 *
 * That process never held the launcher's memory or its descriptors, only those that it is given. It
 * is the launcher's child nevertheless, by CLONE_PARENT. This program runs from a copy in memory
 * that nobody can write (cloning.py), since it is what a container's process is before execve(2).
 *
 * Descriptor 3 is the way to the launcher (unix(7), SOCK_SEQPACKET); its end is the cloner's.
 *
 *     → struct request, the numbers of its descriptors in the launcher, the program; the descriptors
 *     ← struct answer; the pidfd
 *
 * Man pages: clone3(2), cmsg(3), unix(7).
 */
#define _GNU_SOURCE
#include "calls.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WAY = 3, MOST = 64, MESSAGE = 1 << 17 }; /* cloning.py: the same */

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

static int here(int number)
{
    for (int i = 0; i < received.count; i++)
        if (theirs[i] == number)
            return ours[i];
    return -1;
}

/* Take the next request and its descriptors; end where the launcher has ended. */
static struct request *take(void)
{
    char control[CMSG_SPACE(sizeof ours)];
    struct iovec part = {message, sizeof message};
    struct msghdr taken = {.msg_iov = &part, .msg_iovlen = 1};
    struct request *request = (struct request *)message;
    taken.msg_control = control;
    taken.msg_controllen = sizeof control;
    if (recvmsg(WAY, &taken, MSG_CMSG_CLOEXEC) < (ssize_t)sizeof *request)
        exit(0);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&taken);
    if (rights == NULL || request->count > MOST || rights->cmsg_len != CMSG_LEN(request->count * sizeof *ours))
        exit(1);
    received.count = request->count;
    memcpy(ours, CMSG_DATA(rights), request->count * sizeof *ours);
    memcpy(theirs, request + 1, request->count * sizeof *theirs);
    return request;
}

static void answer(struct answer told, int pidfd)
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
    if (sendmsg(WAY, &sent, MSG_NOSIGNAL) < 0)
        exit(1);
}

static void clone_one(struct request *request)
{
    int pidfd = -1;
    int cgroup = request->cgroup < 0 ? -1 : here(request->cgroup);
    char *program = (char *)(request + 1) + (request->count + 1) / 2 * 2 * sizeof *theirs;
    struct clone_args how = {.flags = request->flags | CLONE_PARENT | CLONE_PIDFD,
                             .pidfd = (uintptr_t)&pidfd};
    if (cgroup >= 0) {
        how.flags |= CLONE_INTO_CGROUP;
        how.cgroup = cgroup;
    }
    long pid = syscall(SYS_clone3, &how, sizeof how);
    if (pid == 0) {
        close(WAY);
        perform_program(program, &received, here(request->report));
    }
    answer((struct answer){pid, pid < 0 ? errno : 0}, pidfd);
    if (pid > 0)
        close(pidfd);
    for (int i = 0; i < received.count; i++)
        close(ours[i]);
}

int main(void)
{
    for (;;)
        clone_one(take());
}

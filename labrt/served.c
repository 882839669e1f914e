/*
 * Has the lab's fork server (labrt/forkserver.py) do this command, where one runs.
 *
 * It reads from /proc what this process was called with; all it is sent are the standard streams
 * and, since nobody else can ask for it, the session keyring. While it works, signals that come
 * here are passed on.
 *
 * Man pages: unix(7), signalfd(2), KEYCTL_GET_KEYRING_ID(2const).
 */
#define _GNU_SOURCE
#include "served.h"

#include <limits.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { LOST = 125, MESSAGE = 4096 };

/* Write the run folder, as labrt/paths.py has it. */
static void find_run_folder(char folder[PATH_MAX])
{
    const char *given = getenv("LAB_RUN"), *runtime = getenv("XDG_RUNTIME_DIR");
    if (given != NULL && *given)
        snprintf(folder, PATH_MAX, "%s", given);
    else if (geteuid() == 0)
        snprintf(folder, PATH_MAX, "/run/lab");
    else if (runtime != NULL && *runtime)
        snprintf(folder, PATH_MAX, "%s/lab", runtime);
    else
        snprintf(folder, PATH_MAX, "/tmp/lab-%u", geteuid());
}

/* Write the server's address, as labrt/launcher.py has it; return whether there is room for it. */
static int find_address(const char *root, char *path, size_t size)
{
    char folder[PATH_MAX];
    struct stat lab;
    find_run_folder(folder);
    return stat(root, &lab) == 0 &&
           (size_t)snprintf(path, size, "%s/forkserver-%lu", folder, lab.st_ino) < size;
}

/* Return a connection to this user's server, -1 where there is none: a folder in /tmp may be
 * somebody else's. */
static int connect_to_server(const char *root)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred server;
    socklen_t size = sizeof server;
    if (!find_address(root, address.sun_path, sizeof address.sun_path))
        return -1;
    int way = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (way >= 0 && connect(way, (struct sockaddr *)&address, sizeof address) == 0 &&
        getsockopt(way, SOL_SOCKET, SO_PEERCRED, &server, &size) == 0 && server.uid == geteuid())
        return way;
    if (way >= 0)
        close(way);
    return -1;
}

static int ask(int way)
{
    char text[64], control[CMSG_SPACE(3 * sizeof(int))] = {0};
    long keyring = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
    int streams[] = {0, 1, 2};
    struct iovec part = {text, snprintf(text, sizeof text, "{\"command\": %ld}", keyring)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof streams);
    memcpy(CMSG_DATA(header), streams, sizeof streams);
    return sendmsg(way, &message, MSG_NOSIGNAL) > 0;
}

static void pass_on(int way, int number)
{
    char text[32];
    int length = snprintf(text, sizeof text, "{\"signal\": %d}", number);
    send(way, text, length, MSG_NOSIGNAL);
}

/* Ctrl-Z: both stand still, and both go on. */
static void stop_together(int way)
{
    pass_on(way, SIGSTOP);
    raise(SIGSTOP);
    pass_on(way, SIGCONT);
}

/* Return the next message's length; 0 at the end. */
static ssize_t receive(int way, char message[MESSAGE])
{
    ssize_t length = recv(way, message, MESSAGE - 1, 0);
    message[length < 0 ? 0 : length] = 0;
    return length < 0 ? 0 : length;
}

/* Pass on signals until the command has ended; return its exit status. */
static int attend(int way, int signals)
{
    static const char ENDED[] = "{\"exited\": ";
    char message[MESSAGE];
    struct pollfd either[] = {{way, POLLIN, 0}, {signals, POLLIN, 0}};
    for (;;) {
        struct signalfd_siginfo came;
        poll(either, 2, -1);
        if (either[1].revents && read(signals, &came, sizeof came) == sizeof came) {
            if (came.ssi_signo == SIGTSTP)
                stop_together(way);
            else
                pass_on(way, came.ssi_signo);
        }
        if (!either[0].revents)
            continue;
        if (receive(way, message) == 0) {
            fprintf(stderr, "labrt: the fork server has ended. Remedy: call it again\n");
            return LOST;
        }
        if (strncmp(message, ENDED, sizeof ENDED - 1) == 0)
            return atoi(message + sizeof ENDED - 1);
    }
}

int served(const char *root)
{
    static const int PASSED_ON[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                    SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP};
    static const char STARTED[] = "{\"started\"";
    char message[MESSAGE];
    sigset_t set;
    int way = connect_to_server(root);
    if (way < 0)
        return -1;
    if (!ask(way) || receive(way, message) == 0 || strncmp(message, STARTED, sizeof STARTED - 1)) {
        close(way);
        return -1;
    }
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof PASSED_ON / sizeof *PASSED_ON; i++)
        sigaddset(&set, PASSED_ON[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    return attend(way, signals);
}

/*
 * Has the lab's fork server (labrt/forkserver.py) do this command, where one runs.
 *
 * It reads from /proc what this process was called with; all it is sent are the standard streams, a
 * way to have this process clone (clone.c), for an engine's monitor awaits the end of what its
 * runtime makes as that of a descendant, and, since nobody else can ask for it, the session keyring.
 * While it works, signals that come here are passed on.
 *
 * Man pages: unix(7), signalfd(2), KEYCTL_GET_KEYRING_ID(2const).
 */
#define _GNU_SOURCE
#include "served.h"

#include "clone.h"

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

int is_served(const char *root)
{
    struct sockaddr_un address;
    return find_address(root, address.sun_path, sizeof address.sun_path) &&
           access(address.sun_path, F_OK) == 0;
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

/* `cloning`: -1 where this process doesn't clone. */
static int ask(int way, int cloning)
{
    char text[64], control[CMSG_SPACE(4 * sizeof(int))] = {0};
    long keyring = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
    int given[] = {0, 1, 2, cloning};
    size_t size = sizeof given - (cloning < 0 ? sizeof cloning : 0);
    struct iovec part = {text, snprintf(text, sizeof text, "{\"command\": %ld}", keyring)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(size);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), given, size);
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

static void take_signal(int way, int signals)
{
    struct signalfd_siginfo came;
    if (read(signals, &came, sizeof came) != sizeof came)
        return;
    if (came.ssi_signo == SIGTSTP)
        stop_together(way);
    else
        pass_on(way, came.ssi_signo);
}

/* Pass on signals and clone until the command has ended; return its exit status, -1 where this
 * process must do it itself. */
static int attend(int way, int signals, int cloning)
{
    static const char ENDED[] = "{\"exited\": ";
    char message[MESSAGE];
    int cloned = CLONED;
    struct pollfd any[] = {{way, POLLIN, 0}, {signals, POLLIN, 0}, {cloning, POLLIN, 0}};
    for (;;) {
        poll(any, 3, -1);
        if (any[1].revents)
            take_signal(way, signals);
        if (any[2].revents && (cloned = clone_once(cloning)) != CLONED)
            any[2].fd = -1; /* which poll(2) passes over */
        if (!any[0].revents)
            continue;
        if (receive(way, message) == 0) {
            fprintf(stderr, "labrt: the fork server has ended. Remedy: call it again\n");
            return LOST;
        }
        if (strncmp(message, ENDED, sizeof ENDED - 1) == 0)
            return cloned == DO_IT_YOURSELF ? -1 : atoi(message + sizeof ENDED - 1);
    }
}

int served(const char *root, int clones)
{
    static const int PASSED_ON[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                    SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP};
    static const char STARTED[] = "{\"started\"";
    char message[MESSAGE];
    sigset_t set;
    int cloning[2] = {-1, -1}, way = connect_to_server(root);
    if (way < 0)
        return -1;
    if (clones && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, cloning) < 0)
        return -1;
    if (!ask(way, cloning[1]) || receive(way, message) == 0 ||
        strncmp(message, STARTED, sizeof STARTED - 1)) {
        close(way);
        return -1;
    }
    close(cloning[1]);
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof PASSED_ON / sizeof *PASSED_ON; i++)
        sigaddset(&set, PASSED_ON[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    int status = attend(way, signals, cloning[0]);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return status;
}

/* What a hostile program in a container might try. Prints one line per attempt: its name and "0",
 * or the errno's name. Harmless where it succeeds. Run by test_security.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void said(const char *name, long result)
{
    printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "0");
    fflush(stdout);
}

static long opened(const char *path, int flags) { return open(path, flags | O_CLOEXEC); }

static long cloned(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long shocker(void) /* the root folder's handle, by a file system every container has */
{
    struct { struct file_handle head; unsigned char bytes[8]; } handle = {{8, 1}, {2}};
    return syscall(SYS_open_by_handle_at, opened("/", O_RDONLY), &handle, O_RDONLY);
}

static long unshared(int flags) /* in a child, so that what follows is tried from where we are */
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(flags) < 0 ? errno : 0);
    waitpid(pid, &status, 0);
    errno = WEXITSTATUS(status);
    return errno ? -1 : 0;
}

static long clone3d(void)
{
    unsigned long args[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    long pid = syscall(SYS_clone3, args, sizeof(args));
    if (pid == 0)
        _exit(0);
    return pid;
}

#define TRY(name, ...) said(#name, syscall(SYS_##name, __VA_ARGS__))

int main(int argc, char **argv)
{
    long host_pid = argc > 1 ? atol(argv[1]) : 1 << 22;
    char buffer[512] = "";
    struct timeval now = {0};
    gettimeofday(&now, NULL);
    printf("euid %d\n", geteuid());

    said("mount", mount("none", "/tmp", "tmpfs", 0, ""));
    TRY(umount2, "/proc/sys", MNT_DETACH);
    TRY(pivot_root, ".", ".");
    TRY(fsopen, "tmpfs", 0);
    TRY(open_tree, AT_FDCWD, "/", 1);
    said("unshare-mount", unshared(CLONE_NEWNS));
    said("unshare-user", unshared(CLONE_NEWUSER));
    said("clone-user", cloned(CLONE_NEWUSER));
    said("clone-plain", cloned(0));
    said("clone3", clone3d());
    TRY(setns, opened("/proc/self/ns/net", O_RDONLY), 0);
    TRY(sethostname, "evil", 4);

    said("ptrace-host", ptrace(PTRACE_ATTACH, host_pid, 0, 0));
    said("kill-host", kill(host_pid, 0));
    TRY(process_vm_readv, getpid(), 0, 0, 0, 0, 0);
    TRY(pidfd_getfd, -1, 0, 0);
    TRY(kcmp, 1, 1, 0, 0, 0);

    TRY(add_key, "user", "k", "v", 1, -4);
    TRY(keyctl, 0, -3, 0);
    TRY(request_key, "user", "k", 0, -4);
    TRY(bpf, 0, buffer, sizeof(buffer));
    TRY(perf_event_open, buffer, -1, 0, -1, 0);
    TRY(userfaultfd, 0);
    TRY(io_uring_setup, 1, buffer);

    TRY(init_module, buffer, 0, "");
    TRY(finit_module, 0, "", 0);
    TRY(delete_module, "loop", O_NONBLOCK);
    TRY(reboot, 0xfee1dead, 672274793, 0 /* CAD off */, 0);
    TRY(kexec_load, 0, 0, 0, 0);
    TRY(settimeofday, &now, 0);
    TRY(syslog, 3, buffer, sizeof(buffer));
    TRY(swapon, "/tmp/none", 0);
    TRY(acct, "/tmp/none");
#ifdef SYS_iopl
    TRY(iopl, 3);
#endif

    said("open_by_handle_at", shocker());
    said("mknod-disk", mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0)));
    said("mknod-kmsg", mknod("/tmp/kmsg", S_IFCHR | 0600, makedev(1, 11)));
    said("write-sysctl", opened("/proc/sys/kernel/core_pattern", O_WRONLY));
    said("write-sysrq", opened("/proc/sysrq-trigger", O_WRONLY));
    said("write-sysfs", opened("/sys/kernel/uevent_helper", O_WRONLY | O_CREAT));
    said("socket-vsock", socket(40, SOCK_STREAM, 0));
    said("socket-inet", socket(AF_INET, SOCK_STREAM, 0));
    said("terminal-input", ioctl(0, TIOCSTI, "x"));
    said("terminal-steal", ioctl(0, TIOCSCTTY, 1));
    said("unknown", syscall(9999));
    return 0;
}

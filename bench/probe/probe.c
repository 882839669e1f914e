/* The lab's probe: what an instance sees of its host, and what it may do there.
 *
 *     probe TOKEN FILE    answers each question once, then waits until it is told to stop
 *
 * Answers are lines "lab:said KEY VALUE". The plain process is root on a real machine, so every
 * question is asked so that the kernel can refuse or agree without anything being changed:
 *
 *     processes     /proc is read; kill(2) with signal 0 asks for the permission and sends nothing
 *     devices       access(2) asks for the permission (cgroup rules included); none is opened, for
 *                   to open some is to act: a watchdog begins to count, a tape winds back
 *     settings      files of /proc/sys and sysfs are opened for writing and closed: their value
 *                   changes by write(2) alone. Neither O_CREAT nor O_TRUNC. Other file systems
 *                   below (tracefs, debugfs, cgroup) aren't entered: some of theirs act when opened
 *     module        init_module(2) with 64 bytes that are no ELF: ENOEXEC from who may, else EPERM
 *     clock         adjtimex(2) with an impossible tick: EINVAL from who may, else EPERM.
 *                   (clock_settime(2) checks its time before the permission, so it can't tell.)
 *     mount         mount(2) without a type: EINVAL from who may, else EPERM
 *     user_ns       unshare(2) in a child, with which the namespace ends at once
 *     kernel_log    syslog(2): asks for the buffer's size alone
 *     system calls  each in a child, every argument -1: no such descriptor, address, process, flag.
 *                   Left out are those that act all the same (LEFT_OUT)
 *     sibling       an abstract Unix socket (unix(7)), which ends with the process
 *
 * Instance side. Man pages: those named, capabilities(7), seccomp(2), proc(5).
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum {
    LINE = 3000,     /* bytes of an answer: the host keeps no longer lines */
    CALLS = 471,     /* numbers of system calls that are tried */
    PATIENCE = 2000, /* milliseconds a call may take before its child is ended */
    HUNG = -1,
    DIED = -2,
    UNTRIED = -3,
};

/* Words joined by spaces, as many as fit into an answer. */
struct words {
    char text[LINE];
    size_t length;
    int count;
};

static void add(struct words *words, const char *format, ...)
{
    char word[256];
    va_list arguments;
    va_start(arguments, format);
    size_t length = (size_t)vsnprintf(word, sizeof word, format, arguments);
    va_end(arguments);
    words->count++;
    if (length >= sizeof word || words->length + length + 2 > sizeof words->text)
        return;
    words->length += (size_t)sprintf(words->text + words->length, "%s%s",
                                     words->length ? " " : "", word);
}

static void say(const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("lab:said %s ", key);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

/* "3 a b c": how many, and those that fit. */
static void say_words(const char *key, const struct words *words)
{
    say(key, "%d %s", words->count, words->text);
}

/* The answer to an attempt: 0, or the error's number. */
static void say_try(const char *key, long answer) { say(key, "%d", answer < 0 ? errno : 0); }

/* The first line of a file, or "" */
static const char *first_line(const char *path)
{
    static char line[4096];
    FILE *file = fopen(path, "re");
    line[0] = 0;
    if (file) {
        if (fgets(line, sizeof line, file))
            line[strcspn(line, "\n")] = 0;
        fclose(file);
    }
    return line;
}

/* ---------------------------------------------------------------- the kernel, and who it is */

static void kernel(void)
{
    struct utsname name;
    uname(&name);
    say("release", "%s", name.release);
    say("host_name", "%s", name.nodename);
    say("boot_id", "%s", first_line("/proc/sys/kernel/random/boot_id"));
#if defined(__x86_64__)
    unsigned a, b, c, d;
    char vendor[13] = "";
    if (__get_cpuid(1, &a, &b, &c, &d) && c & 1u << 31) { /* Intel SDM; a hypervisor sets it */
        __cpuid(0x40000000, a, b, c, d);
        memcpy(vendor, &b, 4), memcpy(vendor + 4, &c, 4), memcpy(vendor + 8, &d, 4);
        say("hypervisor", "1 %s", vendor);
    } else
        say("hypervisor", "0 none");
#endif
}

static void namespaces(void)
{
    static const char *KINDS[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    struct words found = {0};
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        char path[64], target[64];
        snprintf(path, sizeof path, "/proc/self/ns/%s", KINDS[i]);
        ssize_t length = readlink(path, target, sizeof target - 1);
        if (length > 0) {
            target[length] = 0;
            add(&found, "%s", target);
        }
    }
    say_words("namespaces", &found);
}

static void identity(void)
{
    static const char *FIELDS[] = {"CapEff", "CapBnd", "NoNewPrivs", "Seccomp"};
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    say("uid", "%d", (int)getuid());
    while (status && fgets(line, sizeof line, status))
        for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
            size_t length = strlen(FIELDS[i]);
            if (!strncmp(line, FIELDS[i], length) && line[length] == ':')
                printf("lab:said %s %s", FIELDS[i], line + length + 2);
        }
    if (status)
        fclose(status);
}

/* ---------------------------------------------------------------- what it sees */

/* Other processes, and among them by their names (proc_pid_comm(5)) the host's and a sibling. */
static void processes(const char *sentinel, const char *sibling)
{
    int count = 0, siblings = 0, seen = 0, allowed = 0;
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        pid_t pid = atoi(entry->d_name);
        if (!isdigit((unsigned char)entry->d_name[0]) || pid == getpid())
            continue;
        char path[300];
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        const char *name = first_line(path);
        count++;
        siblings += !strcmp(name, sibling);
        if (!strcmp(name, sentinel)) {
            seen = 1;
            allowed = kill(pid, 0) == 0;
        }
    }
    if (folder)
        closedir(folder);
    say("processes", "%d", count);
    say("sentinel", "%d", seen);
    say("sentinel_signal", "%d", allowed);
    say("sibling", "%d", siblings > 0);
}

/* Is a sibling's socket in reach? Then be there for the next one. */
static void sibling_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(address.sun_path + 1, name, length); /* after a zero: abstract */
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
    int there = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int here = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    say("sibling_socket", "%d", connect(there, (struct sockaddr *)&address, size) == 0);
    close(there);
    if (bind(here, (struct sockaddr *)&address, size) == 0)
        listen(here, 8); /* stays open */
}

static void interfaces(void)
{
    struct words found = {0};
    struct if_nameindex *all = if_nameindex();
    for (struct if_nameindex *each = all; each && each->if_index; each++)
        add(&found, "%s", each->if_name);
    if (all)
        if_freenameindex(all);
    say_words("interfaces", &found);
}

/* The file systems that are mounted, "0:21=proc", each once (proc_pid_mountinfo(5)). */
static void mounts(void)
{
    struct words found = {0};
    char line[4096];
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        char device[32], type[64], word[100];
        char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*s %*s %31s", device) != 1 || sscanf(rest, " - %63s", type) != 1)
            continue;
        snprintf(word, sizeof word, " %s=%s ", device, type);
        if (!strstr(found.text, word))
            add(&found, "%s", word);
    }
    if (file)
        fclose(file);
    say_words("mounts", &found);
}

static void host_file(const char *path, const char *token)
{
    say("host_file", "%d", strcmp(first_line(path), token) == 0);
}

/* ---------------------------------------------------------------- what it may open */

static int openable(const FTSENT *entry)
{
    struct statvfs mount;
    return access(entry->fts_accpath, R_OK) == 0 &&
           statvfs(entry->fts_accpath, &mount) == 0 && !(mount.f_flag & ST_NODEV);
}

static void devices(void)
{
    struct words characters = {0}, blocks = {0};
    char *const folder[] = {"/dev", NULL};
    FTS *walk = fts_open(folder, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; walk && (entry = fts_read(walk));) {
        mode_t mode = entry->fts_info == FTS_DEFAULT ? entry->fts_statp->st_mode : 0;
        if (S_ISCHR(mode) && openable(entry))
            add(&characters, "%s", entry->fts_path + 5);
        else if (S_ISBLK(mode) && openable(entry))
            add(&blocks, "%s", entry->fts_path + 5);
    }
    if (walk)
        fts_close(walk);
    say_words("devices", &characters);
    say_words("disks", &blocks);
}

/* Opens for writing and closes; see above why that changes nothing. */
static void settings(const char *key, char *folder)
{
    int count = 0;
    char *const folders[] = {folder, NULL};
    FTS *walk = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    for (FTSENT *entry; walk && (entry = fts_read(walk));) {
        if (entry->fts_info != FTS_F || !(entry->fts_statp->st_mode & 0222))
            continue;
        int file = open(entry->fts_accpath, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (file >= 0) {
            close(file);
            count++;
        }
    }
    if (walk)
        fts_close(walk);
    say(key, "%d", count);
}

/* ---------------------------------------------------------------- what it may do */

static void attempts(void)
{
    static char garbage[64] = "no module";
    struct timex clock = {.modes = ADJ_TICK, .tick = 0};
    int status = 0;
    say_try("module", syscall(SYS_init_module, garbage, sizeof garbage, ""));
    say_try("clock", adjtimex(&clock));
    say_try("mount", mount("none", "/", NULL, 0, NULL));
    say_try("kernel_log", klogctl(10, NULL, 0)); /* SYSLOG_ACTION_SIZE_BUFFER */
    pid_t child = fork();
    if (child == 0)
        _exit(unshare(CLONE_NEWUSER) ? errno : 0);
    if (child < 0 || waitpid(child, &status, 0) != child)
        err(1, "fork");
    say("user_ns", "%d", WIFEXITED(status) ? WEXITSTATUS(status) : EPERM);
}

/* Calls that do something whatever their arguments are, or from whose trial nothing is learnt. */
static const int LEFT_OUT[] = {
    SYS_exit, SYS_exit_group, /* end the child that would tell */
    SYS_rt_sigreturn,         /* takes the stack for a signal's frame */
    SYS_clone,                /* makes a child that would go on here */
    SYS_kill,                 /* process -1 is all of them */
    SYS_vhangup,              /* no arguments: hangs up the terminal */
    SYS_sync,                 /* no arguments: writes all disks */
    SYS_msgget, SYS_shmget,   /* flags -1 ask to create what outlives the process */
    SYS_reboot, SYS_kexec_load, SYS_kexec_file_load, /* one mistake here is one too many */
    SYS_init_module,          /* has a question of its own */
#ifdef SYS_fork
    SYS_fork, SYS_vfork, /* as clone */
    SYS_pause,           /* no arguments: waits for ever */
#endif
#if defined(__x86_64__)
    /* Not there since long, or never on this machine: ENOSYS for everybody. */
    SYS__sysctl, SYS_create_module, SYS_get_kernel_syms, SYS_query_module, SYS_nfsservctl,
    SYS_getpmsg, SYS_putpmsg, SYS_afs_syscall, SYS_tuxcall, SYS_security, SYS_vserver,
    SYS_epoll_ctl_old, SYS_epoll_wait_old, SYS_set_thread_area, SYS_get_thread_area, SYS_uselib,
    SYS_lookup_dcookie,
#endif
};

static int left_out(int number)
{
#if defined(__x86_64__)
    if (number > SYS_rseq && number < 424) /* uretprobe and uprobe, SIGILL for all but the kernel's */
        return 1;                          /* own code; the others were never given out */
#endif
    for (size_t i = 0; i < sizeof LEFT_OUT / sizeof *LEFT_OUT; i++)
        if (LEFT_OUT[i] == number)
            return 1;
    return 0;
}

/* Two say ENOSYS to an operation that they don't know, so they get one that they know. */
static long try_call(int number)
{
    if (number == SYS_futex)
        return syscall(number, -1L, 1L, -1L, -1L, -1L, -1L); /* FUTEX_WAKE at no address */
#ifdef SYS_modify_ldt
    if (number == SYS_modify_ldt)
        return syscall(number, 0L, -1L, -1L); /* read to no address */
#endif
    return syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
}

/* Shared with the child: which call it is in, and what each has answered. */
struct trial {
    volatile int at, answers[CALLS];
};

static void try_all(struct trial *trial)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0); /* a filter that kills must not leave a core on the host */
    for (; trial->at < CALLS; trial->at++)
        if (!left_out(trial->at))
            trial->answers[trial->at] = try_call(trial->at) < 0 ? errno : 0;
    _exit(0);
}

/* Wait for the child's end; end it where it gets no further. Returns whether it went through. */
static int watch(struct trial *trial, pid_t child)
{
    int before = -1, waited = 0, status;
    for (;;) {
        if (waitpid(child, &status, WNOHANG) == child) {
            if (trial->at < CALLS)
                trial->answers[trial->at] = DIED;
            return trial->at >= CALLS;
        }
        waited = before == trial->at ? waited + 1 : 0;
        before = trial->at;
        if (waited > PATIENCE) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            trial->answers[trial->at] = HUNG;
            return 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void calls(void)
{
    struct words refused = {0};
    int answered = 0;
    struct trial *trial = mmap(NULL, sizeof *trial, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (trial == MAP_FAILED)
        err(1, "mmap");
    for (int i = 0; i < CALLS; i++)
        trial->answers[i] = UNTRIED;
    while (trial->at < CALLS) {
        pid_t child = fork();
        if (child == 0)
            try_all(trial);
        if (child < 0)
            err(1, "fork");
        if (!watch(trial, child))
            trial->at++;
    }
    for (int i = 0; i < CALLS; i++) {
        int answer = trial->answers[i];
        if (answer == EPERM || answer == ENOSYS || answer == DIED)
            add(&refused, "%d%s", i, answer == EPERM ? "" : answer == ENOSYS ? "n" : "k");
        else if (answer != UNTRIED)
            answered++;
    }
    say("calls_answered", "%d", answered);
    say_words("calls_refused", &refused);
    munmap(trial, sizeof *trial);
}

static void stop(int signal)
{
    (void)signal;
    _exit(0);
}

int main(int argc, char **argv)
{
    char sentinel[16], mine[16];
    if (argc != 3)
        errx(2, "usage: probe TOKEN FILE");
    snprintf(sentinel, sizeof sentinel, "sentinel-%s", argv[1]);
    snprintf(mine, sizeof mine, "probe-%s", argv[1]);
    signal(SIGTERM, stop); /* process 1 of a pid namespace gets only signals that it handles */
    setlinebuf(stdout);
    prctl(PR_SET_NAME, mine);
    puts("lab:init\nlab:ready");
    kernel();
    namespaces();
    identity();
    processes(sentinel, mine);
    sibling_socket(mine);
    interfaces();
    mounts();
    host_file(argv[2], argv[1]);
    devices();
    settings("proc_settings", "/proc/sys");
    settings("sys_settings", "/sys");
    attempts();
    calls();
    puts("lab:done");
    for (;;)
        pause();
}

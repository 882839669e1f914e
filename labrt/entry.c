/*
 * labrt, labrt-oci: have the fork server do the command (served.c), or become the lab's Python and
 * do it: labrt-oci as a program that no container can overwrite.
 *
 * A container whose root is the host's could write the program that started it, by /proc/PID/exe
 * (CVE-2019-5736; labrt/interpreter.py tells the whole). So verbs that start processes run a Python
 * that nobody can write: seen through an overlay that has no upper layer and is mounted nowhere, or,
 * where the kernel gives none, a copy in memory that is sealed. Done here, before Python starts, it
 * takes a fifth of a millisecond; done by Python, as labrt does it, it takes a second start of
 * Python, and the copy.
 *
 * Man pages: fsopen(2), fsconfig(2), fsmount(2), memfd_create(2), F_ADD_SEALS(2const), execveat(2).
 *
 * It finds the lab by its own place, .venv/bin. PYTHON (FOLDER "/" FILE_NAME) and PACKAGES, a folder
 * below the lab, are set when it is compiled (setup/oci.sh).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "served.h"

static const char START_LABRT[] = "import sys; sys.path[:0] = [sys.argv.pop(1)]\n"
                                  "from labrt.cli import start; start()";
static const char START[] =
    "import sys; root = sys.argv.pop(1); sys.path[:0] = [root]\n"
    "sys.path.append(root + '/" PACKAGES "')\n"
    "from labrt.oci.lean import start; start()";

/* Whether this is the sealed copy; then `file` is not where it was copied from. */
static int find_self(char file[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", file, PATH_MAX - 1);
    file[length < 0 ? 0 : length] = 0;
    return strncmp(file, "/memfd:", strlen("/memfd:")) == 0;
}

/* Write the lab's folder into `root` and this program's name into `name`; return 0 where it isn't in
 * the lab. `called`: the sealed copy's path is told by what it is called. */
static int find_root(char root[PATH_MAX], char name[PATH_MAX], const char *called)
{
    char module[PATH_MAX + 32];
    if (find_self(root))
        snprintf(root, PATH_MAX, "%s", called);
    strcpy(name, strrchr(root, '/') ? strrchr(root, '/') + 1 : "");
    for (int up = 0; up < 3; up++) {
        char *last = strrchr(root, '/');
        if (last == NULL)
            return 0;
        *last = 0;
    }
    snprintf(module, sizeof module, "%s/labrt/oci/lean.py", root);
    return access(module, R_OK) == 0;
}

static int is_among(const char *verb, int count, char **words)
{
    for (int i = 1; i < count; i++)
        if (!strcmp(words[i], verb))
            return 1;
    return 0;
}

static int starts_processes(int count, char **words)
{
    return is_among("create", count, words) || is_among("run", count, words) ||
           is_among("exec", count, words);
}

/* Return a descriptor of Python in an overlay that nobody can write, -1 where there is none. */
static int in_overlay(const char *root)
{
    int python = -1;
    char layers[PATH_MAX + sizeof FOLDER + 32]; /* an overlay takes no single layer */
    snprintf(layers, sizeof layers, "%s:%s/labrt/oci/verbs", FOLDER, root);
    int context = syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    if (context < 0)
        return -1;
    if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "lowerdir", layers, 0) == 0 &&
        syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
        int attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
        int mount = syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
        if (mount >= 0) {
            python = openat(mount, FILE_NAME, O_PATH | O_NOFOLLOW | O_CLOEXEC);
            close(mount);
        }
    }
    close(context);
    return python;
}

/* Return a descriptor of a copy in memory that nobody can write, -1 where there is none. */
static int in_memory(const char *file)
{
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct stat found;
    int copy = memfd_create(strrchr(file, '/') + 1, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int program = open(file, O_RDONLY | O_CLOEXEC);
    if (copy < 0 || program < 0 || fstat(program, &found) < 0)
        return -1;
    for (off_t left = found.st_size; left > 0;) {
        ssize_t copied = sendfile(copy, program, NULL, left);
        if (copied <= 0)
            return -1;
        left -= copied;
    }
    close(program);
    return fcntl(copy, F_ADD_SEALS, seals) < 0 ? -1 : copy;
}

static int be_labrt(const char *root, int count, char **words)
{
    char python[PATH_MAX + 32];
    const char *before[] = {python, "-I", "-c", START_LABRT, root};
    const char *arguments[count + 5];
    snprintf(python, sizeof python, "%s/.venv/bin/python", root);
    memcpy(arguments, before, sizeof before);
    for (int i = 1; i <= count; i++)
        arguments[i + 4] = words[i];
    execv(python, (char **)arguments);
    fprintf(stderr, "labrt: execute %s: %s. Remedy: ./lab setup\n", python, strerror(errno));
    return 125;
}

static int be_labrt_oci(const char *root, int count, char **words)
{
    extern char **environ;
    /* -I -S: nothing of the caller's environment, no site packages but those named. */
    const char *before[] = {PYTHON, "-I", "-S", "-c", START, root};
    const char *arguments[count + 6];
    memcpy(arguments, before, sizeof before);
    for (int i = 1; i <= count; i++)
        arguments[i + 5] = words[i];

    if (access(PYTHON, W_OK) == 0 && starts_processes(count, words)) {
        int python = in_overlay(root);
        if (python < 0)
            python = in_memory(PYTHON);
        if (python < 0) {
            fprintf(stderr, "labrt-oci: protect %s from the container: %s\n", PYTHON, strerror(errno));
            return 1;
        }
        execveat(python, "", (char **)arguments, environ, AT_EMPTY_PATH);
    } else {
        execv(PYTHON, (char **)arguments);
    }
    fprintf(stderr, "labrt-oci: execute %s: %s. Remedy: ./lab setup\n", PYTHON, strerror(errno));
    return 1;
}

/* Whether this process may become a container's first (served.c): its root can't write this file. Where
 * it could, begin anew from a sealed copy, for the one verb that is served so. */
static int is_sealed(const char *root, int count, char **words)
{
    static char file[PATH_MAX];
    extern char **environ;
    if (find_self(file) || access(file, W_OK) != 0)
        return 1;
    int copy = is_served(root) && is_among("create", count, words) ? in_memory(file) : -1;
    if (copy >= 0) {
        words[0] = file;
        execveat(copy, "", words, environ, AT_EMPTY_PATH);
    }
    return 0;
}

/* A standard stream that is closed would be the next descriptor that is opened, whatever for. */
static void open_streams(void)
{
    int stream;
    do
        stream = open("/dev/null", O_RDWR);
    while (stream >= 0 && stream <= 2);
    if (stream >= 0)
        close(stream);
}

int main(int count, char **words)
{
    char root[PATH_MAX], name[PATH_MAX];
    open_streams();
    if (!find_root(root, name, words[0])) {
        fprintf(stderr, "%s: find the lab: this program isn't in its .venv/bin. Remedy: ./lab setup\n",
                name);
        return 1;
    }
    int is_oci = strcmp(name, "labrt-oci") == 0;
    int status = served(root, is_oci && is_sealed(root, count, words));
    if (status >= 0)
        return status;
    return is_oci ? be_labrt_oci(root, count, words) : be_labrt(root, count, words);
}

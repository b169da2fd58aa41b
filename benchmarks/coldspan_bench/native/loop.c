#define _GNU_SOURCE
#include "loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform.h"
#include "telemetry.h"

enum { CONNECTIONS = 64, LISTENERS = 4 };

static struct connection connections[CONNECTIONS];

void prepare_loop(void)
{
    for (int place = 0; place < CONNECTIONS; place++)
        connections[place].fd = -1;
}

static void add_connection(int fd, enum role role)
{
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    for (int place = 0; place < CONNECTIONS; place++)
        if (connections[place].fd < 0) {
            free(connections[place].bytes);
            connections[place] = (struct connection){.fd = fd, .role = role, .opened_ns = now_ns()};
            return;
        }
    die("more than %d connections", CONNECTIONS);
}

static void add_push(int fd)
{
    add_connection(fd, PUSH);
}

static void read_connection(struct connection *connection)
{
    struct message message;
    if (!receive(connection)) {
        close(connection->fd);
        connection->fd = -1;
        return;
    }
    while (message_begin(connection, &message)) {
        take(connection, &message);
        message_end(connection, &message);
    }
}

static void accept_on(int listening, enum role role)
{
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        add_connection(fd, role);
}

static void ended(struct process *process, const char *name, int number)
{
    mark(name, number, now_ns());
    close(process->pidfd);
    *process = (struct process){.pidfd = -1};
    if (!platform.stopping)
        die("%s %d before its time", name, number);
}

/* Pushes the batch if it is due. Gives how long that takes yet, if it is less than `wait_ns`. */
static int64_t push_if_due(int64_t wait_ns)
{
    if (platform.measuring || !batch_due_ns())
        return wait_ns;
    int64_t left_ns = batch_due_ns() - now_ns();
    if (left_ns > 0)
        return left_ns < wait_ns ? left_ns : wait_ns;
    platform.pushes += push_batch(add_push);
    return wait_ns;
}

/* Serves what there is, after waiting for at most `wait_ns`. */
static void serve_once(int64_t wait_ns)
{
    struct pollfd watched[LISTENERS + CONNECTIONS + 1 + EXTENSIONS];
    const int listeners[LISTENERS] = {platform.spec.api, platform.spec.collector, platform.spec.datagrams, launcher()};
    int count = 0;
    wait_ns = push_if_due(wait_ns);
    for (int place = 0; place < LISTENERS; place++)
        watched[count++] = (struct pollfd){.fd = listeners[place], .events = POLLIN};
    for (int place = 0; place < CONNECTIONS; place++)
        watched[count++] = (struct pollfd){.fd = connections[place].fd, .events = POLLIN};
    watched[count++] = (struct pollfd){.fd = platform.runtime.pidfd, .events = POLLIN};
    for (int number = 0; number < platform.extension_count; number++)
        watched[count++] = (struct pollfd){.fd = platform.extensions[number].process.pidfd, .events = POLLIN};
    struct timespec limit = {wait_ns / SECOND, wait_ns % SECOND};
    if (ppoll(watched, count, &limit, NULL) <= 0)
        return;
    const struct pollfd *place = watched + LISTENERS;
    for (int number = 0; number < CONNECTIONS; number++, place++)
        if (place->revents)
            read_connection(&connections[number]);
    if (watched[0].revents)
        accept_on(listeners[0], API);
    if (watched[1].revents)
        accept_on(listeners[1], COLLECTOR);
    if (watched[2].revents)
        take_datagram();
    if (place++->revents)
        ended(&platform.runtime, "runtime-ended", 0);
    for (int number = 0; place < watched + count; number++, place++)
        if (place->revents)
            ended(&platform.extensions[number].process, "extension-ended", number);
    if (watched[3].revents)
        note_started();
}

int until(int (*reached)(void), int64_t patience_ns)
{
    int64_t end_ns = now_ns() + patience_ns, left_ns;
    while (!reached()) {
        if ((left_ns = end_ns - now_ns()) <= 0)
            return 0;
        serve_once(left_ns);
    }
    return 1;
}

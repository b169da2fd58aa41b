#include "http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 65536, MAX_SIZE = 64 << 20 };

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int receive(struct connection *connection)
{
    if (connection->capacity - connection->size < READ_SIZE + 1) {
        connection->capacity = connection->capacity * 2 + READ_SIZE + 1;
        if (connection->capacity > MAX_SIZE || !(connection->bytes = realloc(connection->bytes, connection->capacity)))
            die("a message of more than %d bytes", MAX_SIZE);
    }
    ssize_t size = recv(connection->fd, connection->bytes + connection->size, READ_SIZE, 0);
    if (size <= 0)
        return size < 0 && errno == EINTR;
    connection->size += size;
    connection->bytes[connection->size] = 0;
    return 1;
}

/* Puts a chunked body together, in its place. Returns 0 while it is incomplete. */
static int join_chunks(struct connection *connection, struct message *message)
{
    char *end = connection->bytes + connection->size;
    size_t total = 0;
    for (int pass = 0; pass < 2; pass++) { /* the first only looks whether it is all there */
        char *from = message->body, *to = message->body;
        for (;;) {
            char *line = strstr(from, "\r\n");
            if (!line)
                return 0;
            size_t size = strtoul(from, NULL, 16);
            if ((size_t)(end - line) < size + 4)
                return 0;
            if (pass)
                memmove(to, line + 2, size);
            to += size;
            from = line + 2 + size + 2;
            if (!size)
                break;
        }
        total = to - message->body;
        message->whole = from - connection->bytes;
    }
    message->length = total;
    return 1;
}

int message_begin(struct connection *connection, struct message *message)
{
    char *end = connection->size ? strstr(connection->bytes, "\r\n\r\n") : NULL;
    char value[64];
    if (!end)
        return 0;
    message->start = connection->bytes;
    message->head = end + 4 - connection->bytes;
    message->body = end + 4;
    header(message, "Transfer-Encoding", value, sizeof value);
    if (!strcasecmp(value, "chunked"))
        return join_chunks(connection, message);
    header(message, "Content-Length", value, sizeof value);
    message->length = strtoul(value, NULL, 10);
    message->whole = message->head + message->length;
    if (connection->size >= message->whole)
        return 1;
    header(message, "Expect", value, sizeof value);
    if (*value && connection->size == message->head)
        send_all(connection->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return 0;
}

void message_end(struct connection *connection, const struct message *message)
{
    connection->size -= message->whole;
    memmove(connection->bytes, connection->bytes + message->whole, connection->size);
    connection->bytes[connection->size] = 0;
}

void header(const struct message *message, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    const char *end = message->start + message->head;
    *value = 0;
    for (const char *line = message->start; line < end; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, name, length) || line[length] != ':')
            continue;
        line += length + 1;
        line += strspn(line, " ");
        snprintf(value, size, "%.*s", (int)strcspn(line, "\r"), line);
        return;
    }
}

int send_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0)
            return 0;
        bytes += sent;
        size -= sent;
    }
    return 1;
}

int send_message(int fd, const char *start, const char *headers, const char *body, size_t length)
{
    static char whole[1 << 20]; /* one write, so that a peer is woken once */
    int head = snprintf(whole, sizeof whole, "%s\r\n%sContent-Length: %zu\r\n\r\n", start, headers, length);
    if (head + length > sizeof whole)
        die("a message of %zu bytes to send", length);
    memcpy(whole + head, body, length);
    return send_all(fd, whole, head + length);
}

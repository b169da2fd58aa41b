/* HTTP/1.1 as far as the APIs of Lambda, an OTLP collector and a telemetry push need it. */
#ifndef COLDSPAN_HTTP_H
#define COLDSPAN_HTTP_H

#include <stddef.h>
#include <stdint.h>

enum role { API, COLLECTOR, PUSH };

/* One connection and the bytes that came over it. fd is -1 where the place is free. */
struct connection {
    int fd;
    enum role role;
    int64_t opened_ns;
    char *bytes;
    size_t size, capacity;
};

/* A whole message inside a connection's bytes: valid until message_end. */
struct message {
    char *start;    /* the first line, without its end; what follows up to `body` are the headers */
    size_t head;    /* bytes up to the body */
    size_t whole;   /* bytes up to the next message */
    char *body;     /* decoded, if it came in chunks */
    size_t length;
};

int64_t now_ns(void);

/* Reads what is there. Returns 0 at the end of the connection. */
int receive(struct connection *connection);

/* Whether a whole message is there. A message that is none of HTTP ends the program. */
int message_begin(struct connection *connection, struct message *message);

/* Forgets the message. */
void message_end(struct connection *connection, const struct message *message);

/* A header's value up to the end of its line, copied into `value`; "" where there is none. */
void header(const struct message *message, const char *name, char *value, size_t size);

/* Writes the whole of it. Returns 0 where the peer has gone. */
int send_all(int fd, const char *bytes, size_t size);

/* A reply, or a request, from its first line, further header lines (each with its CRLF) and a body. */
int send_message(int fd, const char *start, const char *headers, const char *body, size_t length);

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif

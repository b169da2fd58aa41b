/* The state of the one environment, as the processes' calls have it, and what answers them. */
#ifndef COLDSPAN_PLATFORM_H
#define COLDSPAN_PLATFORM_H

#include <stdint.h>
#include <sys/types.h>

#include "http.h"
#include "sandbox.h"

#define SECOND 1000000000LL
#define MS 1000000LL
#define JSON "Content-Type: application/json\r\n"

enum { EXTENSIONS = 16 };

struct extension {
    char name[128];
    struct process process; /* of an internal extension: none, it is part of the runtime */
    int registered, invoked;
    int waiting; /* the descriptor on which it waits for its next event, or -1 */
};

struct platform {
    struct spec spec;
    struct extension extensions[EXTENSIONS]; /* those that were started come first */
    int extension_count, started_count;
    struct process runtime;
    int runtime_waiting; /* the descriptor on which it waits for its next event, or -1 */
    int responded;
    int64_t response_ns;
    int measuring; /* while it is set, no telemetry is pushed */
    int stopping;  /* from here on, a process may end */
    int pushes;    /* that were not answered yet */
};

extern struct platform platform;

/* A line of the output, printed at the end. */
void mark(const char *name, int number, int64_t value);
void print_marks(void);

int reply(int fd, const char *status, const char *headers, const char *body);

/* A place for an extension that is started, or that has registered from inside the runtime. */
struct extension *add_extension(const char *name);

/* Answers a request to the environment's APIs, to the collector, or takes the reply to a push. */
void take(struct connection *from, const struct message *message);

/* Takes a datagram that was sent to the collector. */
void take_datagram(void);

/* Where what the collector takes is written to. */
void open_bodies(void);
void close_bodies(void);

#endif

/* Platform events for the subscribers of the Telemetry API. */
#ifndef COLDSPAN_TELEMETRY_H
#define COLDSPAN_TELEMETRY_H

#include <stdint.h>

/* Adds {"time":now,"type":type,"record":{...}} to the batch; `record` is the inside of the braces. */
void emit(const char *type, const char *record, ...) __attribute__((format(printf, 2, 3)));

/* A new subscriber, on that port of loopback. */
void subscribe(int port);

/* When the batch is due, 25 ms after its first event; 0 where nobody waits for anything. */
int64_t batch_due_ns(void);

/* Posts the batch to every subscriber, without waiting for the replies; `opened` is told each new connection. Gives how
   many replies there will be. */
int push_batch(void (*opened)(int fd));

#endif

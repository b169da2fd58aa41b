/* Waiting: one poll() over everything that can happen. */
#ifndef COLDSPAN_LOOP_H
#define COLDSPAN_LOOP_H

#include <stdint.h>

void prepare_loop(void);

/* Serves until it is reached, for at most that long. Gives whether it was. */
int until(int (*reached)(void), int64_t patience_ns);

#endif

/* The environment's processes: where they live, how they are started, what they have used. */
#ifndef COLDSPAN_SANDBOX_H
#define COLDSPAN_SANDBOX_H

#include <stdint.h>
#include <sys/types.h>

enum { MOST = 256 };

/* What the harness asks for: one "key value" a line. */
struct spec {
    int api, collector, datagrams; /* bound sockets that were inherited, listening; -1 without one */
    const char *cgroups[8];        /* files that take a process's id */
    const char *quota, *init_quota, *invoke_quota; /* a file, and what is written to it when */
    const char *usage, *usage_key, *throttled;     /* files to sample */
    const char *freezer, *freeze, *thaw;           /* a file, and what is written to it; none: never frozen */
    const char *frozen, *frozen_text;              /* a file, and what it says when everything has stopped */
    const char *outside;                           /* as cgroups: where the launcher goes, so that it is not frozen */
    const char *extensions[8];
    const char *runtime[16];
    const char *directory;         /* the runtime's */
    const char *extension_environment[MOST], *runtime_environment[MOST];
    const char *output;            /* a folder: log, bodies, memory maps */
    int invocations, memory_mb, maps;
};

void read_spec(const char *path, struct spec *spec);

/* Forks the process that starts the others inside the cgroups. Must be called before any time is taken. */
void prepare_launcher(const struct spec *spec);

/* A process of the environment, in a group of its own. Until it has started, pid is 0 and pidfd -1. */
struct process {
    pid_t pid;
    int pidfd;
};

/* Has extension number `which` started, or the runtime where that is -1. To wait for it would keep everybody else from
   being served: it has started when launcher() can be read and note_started() has noted it. */
void start_process(int which, struct process *process);
int launcher(void);
void note_started(void);

/* CPU time of a process's threads, those that ended included, in ns; 0 without the process. */
int64_t cpu_ns(pid_t pid);

/* A number from a file such as cpu.stat: the one behind `key`, or the first. -1 without file or key. */
int64_t number_in(const char *file, const char *key);

void write_text(const char *file, const char *text);

/* Stops the environment's processes, wherever they are, and returns when they have stopped. */
void freeze(void);
void thaw(void);

#endif

#define _GNU_SOURCE
#include "sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "http.h"

static const struct spec *the_spec;
static int requests = -1;
static pid_t launcher_pid;

static void append(const char **list, size_t most, const char *value)
{
    size_t count = 0;
    while (list[count])
        count++;
    if (count + 1 >= most)
        die("the specification has more than %zu of: %s", most - 1, value);
    list[count] = value;
}

#define LIST(name, field) if (!strcmp(key, name)) append(spec->field, sizeof spec->field / sizeof *spec->field, value)
#define TEXT(name, field) if (!strcmp(key, name)) spec->field = value
#define NUMBER(name, field) if (!strcmp(key, name)) spec->field = atoi(value)

void read_spec(const char *path, struct spec *spec)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    if (!file)
        die("%s cannot be read", path);
    *spec = (struct spec){.api = -1, .collector = -1, .datagrams = -1, .usage_key = ""};
    while (getline(&line, &capacity, file) > 0) {
        char *copy = strdup(line), *value = strchr(copy, ' ');
        const char *key = copy;
        if (!value)
            die("%s: no value: %s", path, line);
        *value++ = 0;
        value[strcspn(value, "\n")] = 0;
        NUMBER("api", api);
        else NUMBER("collector", collector);
        else NUMBER("datagrams", datagrams);
        else LIST("cgroup", cgroups);
        else TEXT("quota", quota);
        else TEXT("init-quota", init_quota);
        else TEXT("invoke-quota", invoke_quota);
        else TEXT("usage", usage);
        else TEXT("usage-key", usage_key);
        else TEXT("throttled", throttled);
        else TEXT("freezer", freezer);
        else TEXT("freeze", freeze);
        else TEXT("thaw", thaw);
        else TEXT("frozen", frozen);
        else TEXT("frozen-text", frozen_text);
        else TEXT("outside", outside);
        else LIST("extension", extensions);
        else LIST("runtime", runtime);
        else TEXT("directory", directory);
        else LIST("extension-variable", extension_environment);
        else LIST("runtime-variable", runtime_environment);
        else TEXT("output", output);
        else NUMBER("invocations", invocations);
        else NUMBER("memory-mb", memory_mb);
        else NUMBER("maps", maps);
        else die("%s: unknown key %s", path, key);
    }
    free(line);
    fclose(file);
}

static pid_t spawn(int which)
{
    const char *const extension[] = {which >= 0 ? the_spec->extensions[which] : NULL, NULL};
    char *const *command = (char *const *)(which >= 0 ? extension : the_spec->runtime);
    char *const *environment =
        (char *const *)(which >= 0 ? the_spec->extension_environment : the_spec->runtime_environment);
    char log[4096];
    snprintf(log, sizeof log, "%s/log", the_spec->output);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawn_file_actions_addchdir_np(&actions, which >= 0 ? "/" : the_spec->directory);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    pid_t pid;
    int failure = posix_spawn(&pid, command[0], &actions, &attributes, command, environment);
    return failure ? -failure : pid;
}

/* What goes to the launcher and comes back with the id of the process, or -errno. */
struct request {
    int which;
    struct process *process;
    pid_t pid;
};

/* The launcher. It ends with the service, and takes what it started along. */
static void serve(int service)
{
    pid_t started[MOST];
    int count = 0;
    struct request request;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGCHLD, SIG_IGN);
    for (const char *const *file = the_spec->cgroups; *file; file++)
        write_text(*file, "0");
    if (write(service, "", 1) != 1)
        _exit(1);
    while (read(service, &request, sizeof request) == sizeof request) {
        started[count++] = request.pid = spawn(request.which);
        if (write(service, &request, sizeof request) != sizeof request)
            break;
    }
    for (int number = 0; number < count; number++)
        if (started[number] > 0)
            kill(-started[number], SIGKILL);
    thaw(); /* what is frozen does not die */
    _exit(0);
}

void prepare_launcher(const struct spec *spec)
{
    int ends[2];
    char ready;
    the_spec = spec;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        die("no socket pair");
    requests = ends[0];
    pid_t pid = fork();
    if (pid < 0)
        die("fork failed");
    if (!pid) {
        close(ends[0]);
        serve(ends[1]);
    }
    launcher_pid = pid;
    close(ends[1]);
    if (read(requests, &ready, 1) != 1)
        die("the launcher could not enter its cgroups");
}

void start_process(int which, struct process *process)
{
    struct request request = {which, process, 0};
    if (write(requests, &request, sizeof request) != sizeof request)
        die("the launcher has ended");
}

int launcher(void)
{
    return requests;
}

void note_started(void)
{
    struct request request;
    if (read(requests, &request, sizeof request) != sizeof request)
        die("the launcher has ended");
    if (request.pid < 0)
        die("%s: %s", request.which >= 0 ? the_spec->extensions[request.which] : the_spec->runtime[0],
            strerror(-request.pid));
    request.process->pid = request.pid;
    request.process->pidfd = syscall(SYS_pidfd_open, request.pid, 0);
}

int64_t cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used))
        return 0;
    return used.tv_sec * 1000000000LL + used.tv_nsec;
}

int64_t number_in(const char *file, const char *key)
{
    char text[4096] = "";
    FILE *opened = file ? fopen(file, "r") : NULL;
    if (!opened)
        return -1;
    text[fread(text, 1, sizeof text - 1, opened)] = 0;
    fclose(opened);
    char *found = strstr(text, key);
    return found ? strtoll(found + strlen(key), NULL, 10) : -1;
}

void write_text(const char *file, const char *text)
{
    int descriptor = file ? open(file, O_WRONLY | O_CLOEXEC) : -1;
    if (descriptor < 0 || write(descriptor, text, strlen(text)) < 0)
        die("%s does not take %s", file ? file : "(no file)", text);
    close(descriptor);
}

void freeze(void)
{
    static int left; /* the launcher has nothing to start any more */
    char text[4096], pid[32];
    if (!left++) {
        snprintf(pid, sizeof pid, "%d", launcher_pid);
        write_text(the_spec->outside, pid);
    }
    write_text(the_spec->freezer, the_spec->freeze);
    do {
        int file = open(the_spec->frozen, O_RDONLY | O_CLOEXEC);
        ssize_t size = read(file, text, sizeof text - 1);
        text[size > 0 ? size : 0] = 0;
        close(file);
    } while (!strstr(text, the_spec->frozen_text));
}

void thaw(void)
{
    if (the_spec->freezer)
        write_text(the_spec->freezer, the_spec->thaw);
}

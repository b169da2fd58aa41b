/* The least Lambda service that real runtimes and extensions live on: one environment, from its start to its shutdown.

   What is measured shares the machine with what measures it, so this is one process that sleeps in poll() and answers
   with a handful of system calls. The order of things is Lambda's: extensions are started, then, when all of them have
   registered, the runtime; init ends when runtime and extensions have asked for their next event; an invocation ends
   when they have asked again; at the end SIGTERM to the runtime, SHUTDOWN to the extensions when it is gone.

   A latency runs from before the event is written to the runtime until its whole response has been read. While one is
   running, and during init, no telemetry is pushed: in Lambda, too, the first batch comes after the first event. Where
   the environment is to be frozen between invocations, what comes due meanwhile is pushed after the next response.

   Usage: service SPECIFICATION (sandbox.h). Prints "name number value" lines, times in ns of CLOCK_MONOTONIC. */

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "loop.h"
#include "platform.h"
#include "telemetry.h"

static const int64_t PATIENCE_NS = 60 * SECOND; /* for anything that a process has to do */
static const int64_t IDLE_NS = 75 * MS;         /* between invocations: room for telemetry, and for a quota to refill */
static const int64_t SHUTDOWN_NS = 2 * SECOND, RUNTIME_SHUTDOWN_NS = 600 * MS;

enum { BEFORE = -1, AFTER_INIT, AFTER_FIRST, AT_END, AFTERWARDS }; /* when samples are taken */
enum { AT_RESPONSE = 10 };                                         /* when only throttling is looked at */

void die(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fprintf(stderr, "service: ");
    vfprintf(stderr, format, values);
    fprintf(stderr, "\n");
    exit(1);
}

static int all_registered(void)
{
    for (int number = 0; number < platform.started_count; number++)
        if (!platform.extensions[number].registered)
            return 0;
    return 1;
}

static int extensions_ready(void)
{
    for (int number = 0; number < platform.extension_count; number++)
        if (platform.extensions[number].waiting < 0)
            return 0;
    return 1;
}

static int runtime_ready(void) { return platform.runtime_waiting >= 0; }
static int has_responded(void) { return platform.responded; }
static int is_told(void) { return !batch_due_ns() && !platform.pushes; }
static int never(void) { return 0; }
static int runtime_gone(void) { return !platform.runtime.pid; }

static int extensions_gone(void)
{
    for (int number = 0; number < platform.extension_count; number++)
        if (platform.extensions[number].process.pid)
            return 0;
    return 1;
}

static void must(int (*reached)(void), const char *what)
{
    if (!until(reached, PATIENCE_NS))
        die("waited in vain for %s", what);
}

static void copy_map(pid_t pid, const char *name, int moment)
{
    char command[4096 + 128];
    snprintf(command, sizeof command, "cat /proc/%d/smaps >%s/%s.%d", pid, platform.spec.output, name, moment);
    if (system(command))
        die("no memory map of the %s", name);
}

static void sample_throttling(int moment)
{
    mark("throttled", moment, number_in(platform.spec.throttled, "nr_throttled "));
}

/* What the processes have used by now. */
static void sample(int moment)
{
    int64_t extension_ns = 0;
    for (int number = 0; number < platform.extension_count; number++)
        extension_ns += cpu_ns(platform.extensions[number].process.pid);
    mark("cpu-extension", moment, extension_ns);
    mark("cpu-runtime", moment, cpu_ns(platform.runtime.pid));
    mark("usage", moment, number_in(platform.spec.usage, platform.spec.usage_key));
    sample_throttling(moment);
    if (!platform.spec.maps || moment < AFTER_INIT || moment > AT_END)
        return;
    copy_map(platform.runtime.pid, "runtime", moment);
    if (platform.started_count)
        copy_map(platform.extensions[0].process.pid, "extension", moment);
}

static void initialise(void)
{
    int64_t begin_ns = now_ns();
    platform.measuring = 1;
    mark("begin", 0, begin_ns);
    emit("platform.initStart",
         "\"initializationType\":\"on-demand\",\"phase\":\"init\",\"functionName\":\"bench\","
         "\"functionVersion\":\"$LATEST\",\"instanceId\":\"bench\",\"instanceMaxMemory\":%d", platform.spec.memory_mb);
    for (const char **program = platform.spec.extensions; *program; program++)
        start_process(platform.started_count++, &add_extension(strrchr(*program, '/') + 1)->process);
    must(all_registered, "the extensions to register");
    mark("runtime-started", 0, now_ns());
    start_process(-1, &platform.runtime);
    must(runtime_ready, "the runtime's first next");
    must(extensions_ready, "the extensions' first next");
    mark("init", 0, now_ns());
    emit("platform.initRuntimeDone", "\"initializationType\":\"on-demand\",\"status\":\"success\",\"phase\":\"init\"");
    for (int number = 0; number < platform.extension_count; number++)
        emit("platform.extension", "\"name\":\"%s\",\"state\":\"Ready\",\"events\":[\"INVOKE\",\"SHUTDOWN\"]",
             platform.extensions[number].name);
    emit("platform.initReport", "\"initializationType\":\"on-demand\",\"phase\":\"init\",\"status\":\"success\","
         "\"metrics\":{\"durationMs\":%.3f}", (now_ns() - begin_ns) / 1e6);
}

static void tell_extensions(const char *event)
{
    for (int number = 0; number < platform.extension_count; number++) {
        struct extension *extension = &platform.extensions[number];
        int fd = extension->waiting;
        if (fd < 0 || !(extension->invoked || platform.stopping))
            continue;
        extension->waiting = -1;
        reply(fd, "200 OK", JSON "Lambda-Extension-Event-Identifier: 00000000-0000-4000-8000-000000000000\r\n",
              event);
    }
}

static int64_t deadline_ms(int64_t in_ns)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + (now.tv_nsec + in_ns) / MS;
}

static void invoke(int number)
{
    static const char arn[] = "arn:aws:lambda:us-east-1:123456789012:function:bench";
    char id[64], trace[128], headers[1024], event[1024];
    int64_t deadline = deadline_ms(30 * SECOND);
    int fd = platform.runtime_waiting;
    snprintf(id, sizeof id, "10000000-0000-4000-8000-%012d", number);
    snprintf(trace, sizeof trace, "Root=1-5f35ae12-%024d;Parent=2be948a625588e32;Sampled=1", number);
    snprintf(headers, sizeof headers,
             JSON "Lambda-Runtime-Aws-Request-Id: %s\r\nLambda-Runtime-Deadline-Ms: %lld\r\n"
             "Lambda-Runtime-Invoked-Function-Arn: %s\r\nLambda-Runtime-Trace-Id: %s\r\n", id, (long long)deadline, arn,
             trace);
    snprintf(event, sizeof event,
             "{\"eventType\":\"INVOKE\",\"deadlineMs\":%lld,\"requestId\":\"%s\",\"invokedFunctionArn\":\"%s\","
             "\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":\"%s\"}}", (long long)deadline, id, arn, trace);
    emit("platform.start", "\"requestId\":\"%s\",\"version\":\"$LATEST\","
         "\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":\"%s\"}", id, trace);
    platform.runtime_waiting = -1;
    platform.responded = 0;
    platform.measuring = 1;
    thaw();
    int64_t sent_ns = now_ns();
    reply(fd, "200 OK", headers, "{}");
    tell_extensions(event);
    must(has_responded, "a response");
    if (!number)
        sample_throttling(AT_RESPONSE);
    mark("sent", number, sent_ns);
    mark("response", number, platform.response_ns);
    must(runtime_ready, "the runtime's next");
    int64_t ready_ns = now_ns();
    emit("platform.runtimeDone", "\"requestId\":\"%s\",\"status\":\"success\",\"metrics\":{\"durationMs\":%.3f,"
         "\"producedBytes\":2}", id, (ready_ns - sent_ns) / 1e6);
    mark("runtime-ready", number, ready_ns);
    must(extensions_ready, "the extensions' next");
    int64_t free_ns = now_ns();
    mark("free", number, free_ns);
    emit("platform.report", "\"requestId\":\"%s\",\"status\":\"success\",\"metrics\":{\"durationMs\":%.3f,"
         "\"billedDurationMs\":%.0f,\"memorySizeMB\":%d,\"maxMemoryUsedMB\":%d}", id, (free_ns - sent_ns) / 1e6,
         (free_ns - sent_ns) / 1e6 + 0.5, platform.spec.memory_mb, platform.spec.memory_mb / 2);
    if (platform.spec.freezer) {
        freeze();
        platform.measuring = 1; /* what is due is pushed after the next response */
    } else
        must(is_told, "the telemetry to be taken");
    until(never, free_ns + IDLE_NS - now_ns());
}

static void shut_down(void)
{
    char event[256];
    int64_t begin_ns = now_ns();
    platform.stopping = 1;
    platform.measuring = 0;
    thaw();
    mark("shutdown", 0, begin_ns);
    kill(-platform.runtime.pid, platform.started_count ? SIGTERM : SIGKILL);
    if (!until(runtime_gone, RUNTIME_SHUTDOWN_NS)) {
        kill(-platform.runtime.pid, SIGKILL);
        until(runtime_gone, SECOND);
    }
    snprintf(event, sizeof event, "{\"eventType\":\"SHUTDOWN\",\"deadlineMs\":%lld,\"shutdownReason\":\"spindown\"}",
             (long long)deadline_ms(begin_ns + SHUTDOWN_NS - now_ns()));
    mark("shutdown-told", 0, now_ns());
    tell_extensions(event);
    until(extensions_gone, begin_ns + SHUTDOWN_NS - now_ns());
    until(never, MS); /* a datagram, or the last byte of an export */
}

int main(int count, char **arguments)
{
    if (count != 2)
        die("usage: service SPECIFICATION");
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody waits for what we measure; the launcher ends what it started */
    read_spec(arguments[1], &platform.spec);
    const struct spec *spec = &platform.spec;
    prepare_loop();
    open_bodies();
    prepare_launcher(spec);
    if (spec->init_quota)
        write_text(spec->quota, spec->init_quota);
    sample(BEFORE);
    initialise();
    sample(AFTER_INIT);
    if (spec->invoke_quota)
        write_text(spec->quota, spec->invoke_quota);
    for (int number = 0; number < spec->invocations; number++) {
        invoke(number);
        if (!number)
            sample(AFTER_FIRST);
    }
    sample(AT_END);
    shut_down();
    sample(AFTERWARDS);
    close_bodies();
    print_marks();
    return fclose(stdout);
}

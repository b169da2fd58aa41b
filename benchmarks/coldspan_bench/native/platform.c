#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "telemetry.h"

enum { MARKS = 65536 };

struct platform platform = {.runtime_waiting = -1, .runtime.pidfd = -1};

static struct { const char *name; int number; int64_t value; } marks[MARKS];
static int mark_count;
static FILE *bodies;

void mark(const char *name, int number, int64_t value)
{
    if (mark_count == MARKS)
        die("too many marks");
    marks[mark_count].name = name;
    marks[mark_count].number = number;
    marks[mark_count++].value = value;
}

void print_marks(void)
{
    for (int number = 0; number < mark_count; number++)
        printf("%s %d %lld\n", marks[number].name, marks[number].number, (long long)marks[number].value);
}

int reply(int fd, const char *status, const char *headers, const char *body)
{
    char start[64];
    snprintf(start, sizeof start, "HTTP/1.1 %s", status);
    return send_message(fd, start, headers, body, strlen(body));
}

/* Extensions API */

struct extension *add_extension(const char *name)
{
    if (platform.extension_count == EXTENSIONS)
        die("more than %d extensions", EXTENSIONS);
    struct extension *extension = &platform.extensions[platform.extension_count++];
    snprintf(extension->name, sizeof extension->name, "%s", name);
    extension->waiting = extension->process.pidfd = -1;
    return extension;
}

static void extension_id(int number, char *id)
{
    sprintf(id, "00000000-0000-4000-8000-%012d", number);
}

static struct extension *extension_of(const struct message *message)
{
    char value[64];
    header(message, "Lambda-Extension-Identifier", value, sizeof value);
    int number = strlen(value) == 36 ? atoi(value + 24) : -1;
    return number >= 0 && number < platform.extension_count ? &platform.extensions[number] : NULL;
}

static void register_extension(struct connection *from, const struct message *message)
{
    char name[128], headers[256] = JSON "Lambda-Extension-Identifier: ";
    int number = 0;
    header(message, "Lambda-Extension-Name", name, sizeof name);
    while (number < platform.extension_count && strcmp(platform.extensions[number].name, name))
        number++;
    if (number == platform.extension_count)
        add_extension(name);
    platform.extensions[number].registered = 1;
    platform.extensions[number].invoked = !!strstr(message->body, "INVOKE");
    extension_id(number, headers + strlen(headers));
    strcat(headers, "\r\n");
    reply(from->fd, "200 OK", headers,
          "{\"functionName\":\"bench\",\"functionVersion\":\"$LATEST\",\"handler\":\"app.handler\","
          "\"accountId\":\"123456789012\"}");
    mark("registered", number, now_ns());
}

static void subscribe_extension(struct connection *from, const struct message *message)
{
    char *uri = strstr(message->body, "http://"), *port = uri ? strchr(uri + 7, ':') : NULL;
    if (!port)
        die("a subscription without a port: %.200s", message->body);
    subscribe(atoi(port + 1));
    reply(from->fd, "200 OK", JSON, "\"OK\"");
}

static int extension_call(struct connection *from, const struct message *message, const char *path)
{
    if (!strcmp(path, "POST /2020-01-01/extension/register"))
        return register_extension(from, message), 1;
    struct extension *extension = extension_of(message);
    if (!extension)
        return 0;
    if (!strcmp(path, "GET /2020-01-01/extension/event/next")) {
        extension->waiting = from->fd;
        mark("extension-next", extension - platform.extensions, now_ns());
    } else if (!strcmp(path, "PUT /2022-07-01/telemetry"))
        subscribe_extension(from, message);
    else if (strstr(path, "/error"))
        die("%s: %s: %.*s", extension->name, path, (int)message->length, message->body);
    else
        return 0;
    return 1;
}

/* Runtime API */

static int runtime_call(struct connection *from, const struct message *message, const char *path)
{
    const char *invocation = "POST /2018-06-01/runtime/invocation/";
    if (!strcmp(path, "GET /2018-06-01/runtime/invocation/next")) {
        platform.runtime_waiting = from->fd;
        mark("runtime-next", 0, now_ns());
    } else if (!strncmp(path, invocation, strlen(invocation))) {
        int64_t received_ns = now_ns();
        const char *act = strrchr(path, '/');
        if (strcmp(act, "/response"))
            die("the function failed: %.*s", (int)message->length, message->body);
        reply(from->fd, "202 Accepted", JSON, "{\"status\":\"OK\"}\n");
        platform.response_ns = received_ns;
        platform.responded = 1;
        platform.measuring = 0;
    } else if (!strcmp(path, "POST /2018-06-01/runtime/init/error"))
        die("init failed: %.*s", (int)message->length, message->body);
    else
        return 0;
    return 1;
}

/* The collector: takes everything that is posted to it, and keeps it for the harness to decode. */

static void collect(struct connection *from, const struct message *message, const char *path)
{
    char type[128], encoding[32], headers[256];
    int64_t received_ns = now_ns();
    header(message, "Content-Type", type, sizeof type);
    header(message, "Content-Encoding", encoding, sizeof encoding);
    snprintf(headers, sizeof headers, "Content-Type: %s\r\n", strstr(type, "protobuf") ? type : "application/json");
    reply(from->fd, "200 OK", headers, strstr(type, "protobuf") ? "" : "{}");
    mark("export-opened", 0, from->opened_ns);
    mark("export", 0, received_ns);
    mark("export-answered", 0, now_ns());
    fprintf(bodies, "%s\n%s\n%s\n%zu\n", path, type, encoding, message->length);
    fwrite(message->body, 1, message->length, bodies);
}

void take(struct connection *from, const struct message *message)
{
    char path[512];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(message->start, "\r"), message->start);
    char *version = strrchr(path, ' ');
    if (from->role == PUSH) {
        platform.pushes--;
        return;
    }
    if (version)
        *version = 0;
    if (from->role == COLLECTOR)
        collect(from, message, path);
    else if (!extension_call(from, message, path) && !runtime_call(from, message, path))
        reply(from->fd, "404 Not Found", "", "");
}

void take_datagram(void)
{
    static char datagram[65536];
    int64_t received_ns = now_ns();
    ssize_t size = recv(platform.spec.datagrams, datagram, sizeof datagram, 0);
    if (size <= 0)
        return;
    mark("datagram", 0, received_ns);
    fprintf(bodies, "UDP\n\n\n%zd\n", size);
    fwrite(datagram, 1, size, bodies);
}

void open_bodies(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bodies", platform.spec.output);
    if (!(bodies = fopen(path, "w")))
        die("%s cannot be written", path);
}

void close_bodies(void)
{
    if (fclose(bodies))
        die("what was collected cannot be written");
}

/* The least that an extension can be: registers, asks for the next event, and again. What it adds to a cold start is
   what having any extension at all costs. No allocation, one connection, no library beyond the C one. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char reply[65536];

/* Sends a request and reads the whole reply to it. */
static void call(int fd, const char *request)
{
    size_t size = 0, whole = 0;
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        exit(1);
    while (!whole || size < whole) {
        ssize_t got = recv(fd, reply + size, sizeof reply - 1 - size, 0);
        if (got <= 0)
            exit(1);
        reply[size += got] = 0;
        char *end = strstr(reply, "\r\n\r\n"), *length = strcasestr(reply, "\r\nContent-Length:");
        if (end && !whole)
            whole = end + 4 - reply + (length ? atoi(length + 17) : 0);
    }
}

int main(void)
{
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    char host[64], request[512];
    int port;
    if (!api || sscanf(api, "%63[^:]:%d", host, &port) != 2)
        return 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        return 1;
    const char *events = "{\"events\":[\"INVOKE\",\"SHUTDOWN\"]}";
    snprintf(request, sizeof request,
             "POST /2020-01-01/extension/register HTTP/1.1\r\nHost: %s\r\nLambda-Extension-Name: floor\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", api, strlen(events), events);
    call(fd, request);
    char *identifier = strcasestr(reply, "\r\nLambda-Extension-Identifier:");
    if (!identifier)
        return 1;
    snprintf(request, sizeof request, "GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: %s\r\n%.*s\r\n\r\n", api,
             (int)strcspn(identifier + 2, "\r"), identifier + 2);
    do
        call(fd, request);
    while (!strstr(reply, "\"SHUTDOWN\""));
    return 0;
}

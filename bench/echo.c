/* SPDX-License-Identifier: Apache-2.0 */
/* echo.c - a server that answers at once. */
#include "bench/echo.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BYTES = 1 << 16 };

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
static const char body[] = "data: {\"choices\":[{\"delta\":{\"content\":\"Ol\"}}]}\n\n"
                           "data: {\"choices\":[{\"delta\":{\"content\":\"\xC3\xA1\"}}]}\n\n"
                           "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                           "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":250,"
                           "\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

typedef struct server {
    int  listener, poll;
    char answer[sizeof head + sizeof body + 64];
} server;

static void add(int poll, int socket)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = socket };
    if (epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event) != 0) abort();
}

/* Requests come whole or in two parts, and end with the only bracket that closes the object. */
static void answer(const server *s, int socket)
{
    char          bytes[BYTES];
    const ssize_t size = recv(socket, bytes, sizeof bytes, 0);
    if (size <= 0) close(socket);
    else if (bytes[size - 1] == '}' && send(socket, s->answer, strlen(s->answer), MSG_NOSIGNAL) < 0)
        close(socket);
}

static void *serve(void *user)
{
    const server      *s = user;
    const int          one = 1;
    struct epoll_event events[EVENTS];
    for (;;) {
        const int count = epoll_wait(s->poll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd != s->listener) {
                answer(s, events[i].data.fd);
                continue;
            }
            const int socket = accept(s->listener, NULL, NULL);
            if (socket < 0) continue;
            setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            add(s->poll, socket);
        }
    }
    return NULL;
}

uint16_t echo_open(void)
{
    static server      opened;
    server            *s = &opened;
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t          size = sizeof address;
    pthread_t          thread;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    s->poll = epoll_create1(0);
    if (bind(s->listener, (struct sockaddr *)&address, size) != 0 ||
        listen(s->listener, SOMAXCONN) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &size) != 0)
        abort();
    snprintf(s->answer, sizeof s->answer, "%sContent-Length: %zu\r\n\r\n%s", head, strlen(body),
             body);
    add(s->poll, s->listener);
    if (pthread_create(&thread, NULL, serve, s) != 0) abort();
    return ntohs(address.sin_port);
}

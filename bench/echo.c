/* SPDX-License-Identifier: Apache-2.0 */
/* echo.c - a server that answers at once. */
#include "bench/echo.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
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
    int      listener, poll;
    uint32_t held, hold; /* requests that wait for an answer; until there are so many; 0: none */
    int     *sockets;    /* [hold] of these */
    char     answer[sizeof head + sizeof body + 64];
} server;

static void add(int poll, int socket)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = socket };
    if (epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event) != 0) abort();
}

static void send_answer(const server *s, int socket)
{
    if (send(socket, s->answer, strlen(s->answer), MSG_NOSIGNAL) < 0) close(socket);
}

static void hold(server *s, int socket)
{
    s->sockets[s->held++] = socket;
    if (s->held < s->hold) return;
    for (uint32_t i = 0; i < s->held; i++) send_answer(s, s->sockets[i]);
    s->hold = 0;
}

/* Requests come whole or in two parts, and end with the only bracket that closes the object. */
static void answer(server *s, int socket)
{
    char          bytes[BYTES];
    const ssize_t size = recv(socket, bytes, sizeof bytes, 0);
    if (size <= 0) close(socket);
    else if (bytes[size - 1] != '}') return;
    else if (s->hold) hold(s, socket);
    else send_answer(s, socket);
}

static void *serve(void *user)
{
    server            *s = user;
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

static uint16_t listen_at(server *s)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t          size = sizeof address;
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
    return ntohs(address.sin_port);
}

uint16_t echo_open(void)
{
    static server  opened;
    pthread_t      thread;
    const uint16_t port = listen_at(&opened);
    if (pthread_create(&thread, NULL, serve, &opened) != 0) abort();
    return port;
}

uint16_t echo_open_apart(uint32_t hold)
{
    server         s = { .hold = hold, .sockets = calloc(hold, sizeof(int)) };
    const uint16_t port = listen_at(&s);
    const pid_t    parent = getpid(), child = fork();
    if (child < 0 || (hold && !s.sockets)) abort();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) serve(&s);
        _exit(0);
    }
    close(s.listener);
    close(s.poll);
    free(s.sockets);
    return port;
}

/* The same conversation on standard input, a socket that a server like tcpserver, xinetd or socat has accepted and
   handed over: echo [--timeout MS] [--handshake-timeout MS] [--log]
   With --log its end is a line on standard error. */
#define _GNU_SOURCE
#include "conversation.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_signal(int signal) {
    (void)signal;
    told_to_stop = 1;
}

int main(int count, char **arguments) {
    struct terms terms = {30000, 10000};
    int log = -1, one = 1;
    for (int i = 1; i < count; i++) {
        const char *flag = arguments[i], *value = arguments[i + 1];
        if (!strcmp(flag, "--timeout")) terms.timeout = number(flag, value, 100, 86400000), i++;
        else if (!strcmp(flag, "--handshake-timeout"))
            terms.handshake_timeout = number(flag, value, 100, 86400000), i++;
        else if (!strcmp(flag, "--log")) log = 2;
        else return fprintf(stderr, "echo: %s is no flag: see the first lines of echo.c\n", flag), 64;
    }
    struct sockaddr_in from = {0};
    socklen_t size = sizeof from;
    if (getpeername(0, (struct sockaddr *)&from, &size)) return perror("echo: standard input is no connection"), 64;
    setsockopt(0, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    char peer[32];
    snprintf(peer, sizeof peer, "%s:%d", inet_ntoa(from.sin_addr), ntohs(from.sin_port));

    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    converse(0, (uint64_t)getpid(), peer, &terms, NULL, log);
    return 0;
}

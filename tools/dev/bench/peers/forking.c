/* A server that forks for each connection: what Lifeline's server does, in plain C.
   forking [--port N] [--timeout MS] [--handshake-timeout MS] [--max-connections N] [--backlog N] [--quiet]
   It prints "listening on 127.0.0.1:PORT", and ends its children and itself at SIGTERM or SIGINT. */
#define _GNU_SOURCE
#include "conversation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { accepts_at_once = 64, most_held = 64, grace_ms = 10000 };

/* Clients that were refused are held until they have read why, or for a second: a socket that is closed with unread
   bytes in it sends a reset, which destroys what was said. */
static struct { int fd; int64_t until; } held[most_held];
static int held_count;

static struct slot *slots;  /* shared with the children */
static uint32_t *free_slots, free_count, limit;
/* From the number of a process to its slot: chains of slots, numbered from 1. */
static uint32_t *chains, *next_in_chain, chain_mask;

static volatile sig_atomic_t child_ended;

static void on_signal(int signal) {
    if (signal == SIGCHLD) child_ended = 1; else told_to_stop++;
}

static void set_up_slots(void) {
    slots = mmap(NULL, limit * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (chain_mask = 1; chain_mask < limit; chain_mask *= 2) {}
    free_slots = calloc(limit, sizeof *free_slots);
    chains = calloc(chain_mask--, sizeof *chains);
    next_in_chain = calloc(limit + 1, sizeof *next_in_chain);
    if (slots == MAP_FAILED || !free_slots || !chains || !next_in_chain) {
        perror("forking: memory");
        exit(71);
    }
    for (free_count = 0; free_count < limit; free_count++) free_slots[free_count] = limit - 1 - free_count;
}

static void reap(int log) {
    int status;
    pid_t pid;
    child_ended = 0;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        uint32_t *link = &chains[(uint32_t)pid & chain_mask];
        while (*link && slots[*link - 1].pid != pid) link = &next_in_chain[*link];
        if (!*link) continue;
        uint32_t number = *link;
        *link = next_in_chain[number];
        if (WIFSIGNALED(status)) {
            char text[96];
            snprintf(text, sizeof text, "child died connection=%llu pid=%d signal=%d",
                     (unsigned long long)slots[number - 1].connection, pid, WTERMSIG(status));
            log_line(log, "error", text);
        }
        slots[number - 1].pid = 0;
        free_slots[free_count++] = number - 1;
    }
}

static void kill_all(int signal) {
    for (uint32_t i = 0; i < limit; i++) {
        if (slots[i].pid) kill(slots[i].pid, signal);
    }
}

static void release(int i) {
    uint8_t unread[4096];
    while (recv(held[i].fd, unread, sizeof unread, MSG_DONTWAIT) > 0) {}
    close(held[i].fd);
    held[i] = held[--held_count];
}

static void refuse(int fd, const char *text) {
    uint8_t bytes[refusal_size];
    unsigned count = refusal(bytes, BUSY, 1000 + (uint32_t)random() % 1000, text);
    send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    if (held_count == most_held) release(0);
    held[held_count].fd = fd;
    held[held_count++].until = now_ns() + 1000000000;
}

int main(int count, char **arguments) {
    const struct flags flags = read_flags("forking", count, arguments);
    const struct terms terms = flags.terms;
    const int log = flags.log;
    limit = flags.limit;
    set_up_slots();
    tzset();  /* Once for all children: else gmtime_r(3) reads /etc/localtime in each of them. */

    int listener = listen_at("forking", flags.port, flags.backlog);

    /* Signals come while ppoll(2) waits and at no other time: in the parent, and in the children, which inherit it. */
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked, open;
    sigemptyset(&blocked);
    const int heeded[] = {SIGTERM, SIGINT, SIGCHLD};
    for (int i = 0; i < 3; i++) {
        sigaction(heeded[i], &action, NULL);
        sigaddset(&blocked, heeded[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, &open);

    uint64_t connections = 0;
    int stops = 0;
    int64_t kill_at = 0;
    while (stops == 0 || free_count < limit) {
        struct pollfd entries[1 + most_held] = {{stops ? -1 : listener, POLLIN, 0}};
        int64_t until = stops ? kill_at : INT64_MAX;
        for (int i = 0; i < held_count; i++) {
            entries[1 + i] = (struct pollfd){held[i].fd, POLLIN, 0};
            if (held[i].until < until) until = held[i].until;
        }
        int64_t left = until == INT64_MAX ? 0 : until - now_ns();
        if (left < 0) left = 0;
        struct timespec wait = {left / 1000000000, left % 1000000000};
        int ready = ppoll(entries, 1 + (nfds_t)held_count, until == INT64_MAX ? NULL : &wait, &open);
        if (child_ended) reap(log < 0 ? 2 : log);
        if (told_to_stop > stops) {
            if (stops == 0) close(listener);
            kill_all(stops == 0 ? SIGTERM : SIGKILL);
            kill_at = now_ns() + grace_ms * INT64_C(1000000);
            stops = told_to_stop;
        }
        int64_t now = held_count || stops ? now_ns() : 0;
        if (stops && now >= kill_at) {
            kill_all(SIGKILL);
            kill_at = now + 1000000000;
        }
        for (int i = held_count - 1; i >= 0; i--) {
            if (held[i].until <= now || (ready > 0 && entries[1 + i].revents)) release(i);
        }
        if (stops || ready <= 0 || !entries[0].revents) continue;

        for (int accepts = 0; accepts < accepts_at_once; accepts++) {
            struct sockaddr_in from;
            socklen_t size = sizeof from;
            int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
            if (fd < 0) {
                if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) usleep(10000);
                break;
            }
            if (free_count == 0) {
                refuse(fd, "so many connections are served as may be");
                continue;
            }
            uint32_t place = free_slots[free_count - 1];
            struct slot *slot = &slots[place];
            memset(slot, 0, sizeof *slot);
            slot->connection = ++connections;
            pid_t pid = fork();
            if (pid == 0) {
                char peer[32];
                close(listener);
                for (int i = 0; i < held_count; i++) close(held[i].fd);
                snprintf(peer, sizeof peer, "%s:%d", inet_ntoa(from.sin_addr), ntohs(from.sin_port));
                converse(fd, connections, peer, &terms, slot, log);
                _exit(0);
            }
            if (pid < 0) {
                log_line(2, "error", "fork failed");
                refuse(fd, "no process can be made");
                continue;
            }
            close(fd);
            slot->pid = pid;
            free_count--;
            uint32_t *chain = &chains[(uint32_t)pid & chain_mask];
            next_in_chain[place + 1] = *chain;
            *chain = place + 1;
        }
    }
    return 0;
}

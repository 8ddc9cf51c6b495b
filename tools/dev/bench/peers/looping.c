/* A server with one event loop for all connections: one process, one thread, epoll(7).
   looping [--port N] [--timeout MS] [--handshake-timeout MS] [--max-connections N] [--backlog N] [--quiet]
   It prints "listening on 127.0.0.1:PORT", and ends at SIGTERM or SIGINT.

   A turn of a connection is one recv(2) and one send(2): the answers to all that has come go together. An idle connection
   is a `struct connection` and a socket. Its buffers are lent for a turn, and stay with it while something waits in them.
   Lines of the log go in one write(2) a turn of the loop.

   Deadlines are a heap. What a client sends moves its deadline later, and that touches nothing: the place in the heap is
   corrected when its time comes. So a connection that beats moves in the heap once in half of dead_after. */
#define _GNU_SOURCE
#include "conversation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { accepts_at_once = 64, events_at_once = 256, most_held = 64, grace_ms = 10000, log_size = 65536 };

struct connection {
    struct conversation conversation;
    int64_t timer_at;   /* the instant in the heap: never later than the deadline */
    uint32_t heap_at;   /* the place in the heap */
    uint32_t interest;  /* what epoll(7) is asked for; 0 before it is asked */
    struct sockaddr_in peer;
    struct connection *next; /* of those that are free */
};

static int poller, log_to;
static uint32_t limit, live;
static uint64_t connections;
static struct terms terms;

static volatile sig_atomic_t stops;

static void on_signal(int signal) {
    (void)signal;
    stops++;
}

/* Memory. */

struct lent { struct lent *next; };
static struct lent *free_inputs, *free_outputs;
static struct connection *free_connections;

static void *must(void *memory) {
    if (!memory) abort();
    return memory;
}

static void *lend(struct lent **list, size_t size) {
    struct lent *first = *list;
    if (!first) return must(malloc(size));
    *list = first->next;
    return first;
}

static void give_back(struct lent **list, void *memory) {
    struct lent *first = memory;
    first->next = *list;
    *list = first;
}

static struct connection *new_connection(void) {
    if (!free_connections) {
        enum { at_once = 64 };
        struct connection *some = must(calloc(at_once, sizeof *some));
        for (int i = at_once - 1; i >= 0; i--) {
            some[i].next = free_connections;
            free_connections = &some[i];
        }
    }
    struct connection *new = free_connections;
    free_connections = new->next;
    memset(new, 0, sizeof *new);
    return new;
}

/* Timers: a heap with the earliest first. The instants lie beside the pointers, so that a move touches few lines. */

static struct timer { int64_t at; struct connection *of; } *heap;
static uint32_t timers;

static void place(uint32_t at, struct timer timer) {
    heap[at] = timer;
    timer.of->heap_at = at;
}

static void sift(uint32_t at, struct timer timer) {
    while (at > 0 && heap[(at - 1) / 2].at > timer.at) {
        place(at, heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    while (2 * at + 1 < timers) {
        uint32_t child = 2 * at + 1;
        if (child + 1 < timers && heap[child + 1].at < heap[child].at) child++;
        if (heap[child].at >= timer.at) break;
        place(at, heap[child]);
        at = child;
    }
    place(at, timer);
}

static void set_timer(struct connection *of, int64_t at) {
    of->timer_at = at;
    sift(of->heap_at, (struct timer){at, of});
}

static void add_timer(struct connection *of, int64_t at) {
    of->timer_at = at;
    sift(timers++, (struct timer){at, of});
}

static void remove_timer(struct connection *of) {
    struct timer last = heap[--timers];
    if (last.of != of) sift(of->heap_at, last);
}

/* The log. */

static char lines[log_size];
static unsigned lines_size;

static void write_log(void) {
    ssize_t ignored = write(log_to, lines, lines_size);
    (void)ignored;
    lines_size = 0;
}

static void report(struct connection *of) {
    char peer[32];
    if (log_to < 0) return;
    const uint8_t *a = (const uint8_t *)&of->peer.sin_addr.s_addr;
    snprintf(peer, sizeof peer, "%d.%d.%d.%d:%d", a[0], a[1], a[2], a[3], ntohs(of->peer.sin_port));
    if (lines_size > log_size - 1024) write_log();
    lines_size += put_report(&of->conversation, peer, lines + lines_size, log_size - lines_size);
}

/* Connections. */

static void turn(struct connection *of, short ready, bool is_told_to_stop) {
    struct conversation *c = &of->conversation;
    if (!c->in) c->in = lend(&free_inputs, input_size);
    if (!c->out) c->out = lend(&free_outputs, sizeof *c->out);
    bool goes_on = take_turn(c, ready, is_told_to_stop, now_ns());
    if (!goes_on) leave(c);
    if (!goes_on || c->begin == c->end) {
        give_back(&free_inputs, c->in);
        c->in = NULL;
    }
    if (!goes_on || c->out_begin == c->out_end) {
        give_back(&free_outputs, c->out);
        c->out = NULL;
    }
    if (!goes_on) {
        report(of);
        close(c->fd);
        remove_timer(of);
        free(c->open_bytes);
        while (c->first) {
            struct waiting *next = c->first->next;
            free(c->first->bytes);
            free(c->first);
            c->first = next;
        }
        of->next = free_connections;
        free_connections = of;
        live--;
        return;
    }
    uint32_t interest = (c->has_ended ? 0 : EPOLLIN) | (c->is_blocked ? EPOLLOUT : 0) | EPOLLHUP;
    if (interest != of->interest) {
        struct epoll_event event = {interest, {.ptr = of}};
        epoll_ctl(poller, of->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &event);
        of->interest = interest;
    }
    if (c->asked < of->timer_at) set_timer(of, c->asked);
}

static struct { int fd; int64_t until; } held[most_held]; /* a ring of those that were refused, until they have read why */
static uint32_t held_first, held_count;

static void release(void) {
    uint8_t unread[4096];
    int fd = held[held_first].fd;
    while (recv(fd, unread, sizeof unread, MSG_DONTWAIT) > 0) {}
    close(fd);
    held_first = (held_first + 1) % most_held;
    held_count--;
}

static void refuse(int fd) {
    uint8_t bytes[refusal_size];
    unsigned count = refusal(bytes, BUSY, 1000 + (uint32_t)random() % 1000, "so many connections are served as may be");
    send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    if (held_count == most_held) release();
    uint32_t place = (held_first + held_count++) % most_held;
    held[place].fd = fd;
    held[place].until = now_ns() + 1000000000;
}

static void accept_some(int listener) {
    for (int accepts = 0; accepts < accepts_at_once; accepts++) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) usleep(10000);
            return;
        }
        if (live == limit) {
            refuse(fd);
            continue;
        }
        struct connection *new = new_connection();
        live++;
        new->peer = from;
        begin(&new->conversation, fd, ++connections, &terms, now_ns());
        add_timer(new, deadline(&new->conversation));
        turn(new, POLLIN, false); /* what the client sent at once is there as a rule */
    }
}

/* What is due gets a turn. What had more time since gets its true place. */
static void keep_time(void) {
    int64_t now = now_ns();
    while (timers && heap[0].at <= now) {
        struct connection *of = heap[0].of;
        struct conversation *c = &of->conversation;
        int64_t due = deadline(c);
        if (due > now) {
            set_timer(of, due);
        } else {
            /* What has come is read before a client is judged. Its turn gives it its next instant, or ends it. */
            set_timer(of, INT64_MAX);
            turn(of, c->has_ended ? 0 : POLLIN, false);
        }
    }
}

int main(int count, char **arguments) {
    const struct flags flags = read_flags("looping", count, arguments);
    limit = flags.limit;
    terms = flags.terms;
    log_to = flags.log;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < limit + most_held + 8) limit = (uint32_t)files.rlim_cur - most_held - 8;
    heap = must(calloc(limit, sizeof *heap));
    int listener = listen_at("looping", flags.port, flags.backlog);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event arrival = {EPOLLIN, {.ptr = NULL}};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &arrival);

    /* Signals come while epoll_pwait2(2) waits and at no other time. */
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked, open;
    sigemptyset(&blocked);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &open);

    static struct epoll_event events[events_at_once];
    int64_t give_up_at = INT64_MAX;
    while (give_up_at == INT64_MAX || live > 0) {
        int64_t until = timers && heap[0].at < give_up_at ? heap[0].at : give_up_at;
        if (held_count && held[held_first].until < until) until = held[held_first].until;
        struct timespec wait = {0, 0};
        if (until != INT64_MAX) {
            int64_t left = until - now_ns();
            if (left < 0) left = 0;
            wait = (struct timespec){left / 1000000000, left % 1000000000};
        }
        int ready = epoll_pwait2(poller, events, events_at_once, until == INT64_MAX ? NULL : &wait, &open);
        bool has_come = false;
        for (int i = 0; i < ready; i++) {
            struct connection *of = events[i].data.ptr;
            if (of) turn(of, (short)events[i].events, false);
            else has_come = true;
        }
        if (has_come && give_up_at == INT64_MAX) accept_some(listener);
        keep_time();
        while (held_count && held[held_first].until <= now_ns()) release();
        if (stops && give_up_at == INT64_MAX) {
            close(listener);
            give_up_at = now_ns() + grace_ms * INT64_C(1000000);
            uint32_t told = timers;
            struct timer *all = must(malloc((told + 1) * sizeof *all));
            memcpy(all, heap, told * sizeof *all);
            for (uint32_t i = 0; i < told; i++) turn(all[i].of, 0, true);
            free(all);
        } else if (stops > 1 || now_ns() >= give_up_at) {
            break;
        }
        if (lines_size) write_log();
    }
    if (lines_size) write_log();
    return 0;
}

/* Many clients of one server in one process, one thread and one epoll(7): the load of tools/dev/bench/topics.
   subscribers [--timeout MS]
   It reads commands, a line each, and answers each with a line of JSON. Times in the answers are microseconds.

   connect PORT N PREFIX [BYTES]   N long connections named PREFIX-0 and so on; BYTES: of their receive buffers
   push PATH                       a connection to the publish socket
   ask VIA TEXT                    one request, through `push` or through the connection of this number; its answer
   echo INDEX N PAUSE SECONDS      N requests of 64 bytes one after another, each answered with the same bytes, PAUSE us
                                   between them; fewer when SECONDS are over
   send VIA INDEX N PAUSE SECONDS  N messages to this connection, one after another; through a connection it asks for
                                   `topic send`, and through `push` for `send`
   fill VIA INDEX N SIZE           N messages to this connection, whether it reads them or not
   receivers FROM TO               who has to get what is published: from this connection up to the one before TO
   stall INDEX, resume INDEX       this connection reads nothing, or reads again
   broadcast VIA SECONDS SIZE WINDOW [PER_SECOND]
                                   publishes to the topic `room`. The next is due when fewer than WINDOW have not
                                   reached every receiver, and not earlier than PER_SECOND says (0: as fast as it goes)
   sums FROM TO                    what connections have got since the last `receivers`
   open PORT SECONDS AT_ONCE       opens long connections and ends each behind its WELCOME, AT_ONCE at a time
   beat FROM TO                    a PING on each of these connections
   patience MS                     what takes longer from now on counts as missing
   quit

   Every message has a number and the time at which it was sent. So a message that is lost, comes twice or comes out of
   order is seen at the connection that it is for. What does not come within --timeout (10 s) counts as missing. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    ping = 3, pong = 4, request = 5, response = 6, message = 7, failure = 9, closing = 11,
    header_size = 12, preface_size = 8, events_at_once = 512, input_size = 65536, connecting_at_once = 128,
    most_window = 1024, stamp_size = 25, least_size = stamp_size, most_size = 8192,
    sub_buckets = 256, most_buckets = 64 * sub_buckets,
};

#define SECOND INT64_C(1000000000)

struct client {
    int fd;
    bool is_welcome, is_brief, is_stalled, has_preface;
    uint32_t request_id, kept, room;
    uint8_t *rest; /* the beginning of a frame whose end has not come */
    uint64_t last, got, missed, repeated, filled;
    char name[24];
};

struct histogram { uint64_t count, largest, buckets[most_buckets]; };

static int poller;
static int64_t patience = 10 * SECOND;
static struct client *clients, push_client;
static uint32_t client_count, from, to; /* receivers: [from, to) */
static uint8_t input[input_size];

/* What is waited for. */
static uint32_t welcomes, opened_now, opened, refused, live, broken;
static bool is_answered, has_failed;
static char answer[4096];
static int64_t answered_at;
static uint64_t awaited_probe;
static int64_t probe_came;
static struct { uint64_t number; uint32_t left; } window[most_window];
static uint64_t published, completed, deliveries, unexpected;
static uint32_t unanswered, failures;
static uint64_t reached;
static struct histogram latencies, spreads;
static bool is_broadcasting;

static void fail(const char *text) {
    fprintf(stderr, "subscribers: %s: %s\n", text, strerror(errno));
    exit(71);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

/* Histograms: off by less than half a percent. */

static void add(struct histogram *all, int64_t time) {
    uint64_t value = time < 1 ? 1 : (uint64_t)time;
    uint32_t bit = 63 - (uint32_t)__builtin_clzll(value);
    uint32_t sub = bit < 8 ? (uint32_t)(value << (8 - bit)) & 255 : (uint32_t)(value >> (bit - 8)) & 255;
    all->buckets[bit * sub_buckets + sub]++;
    all->count++;
    if (value > all->largest) all->largest = value;
}

static double percentile(const struct histogram *all, double share) {
    uint64_t before = 0, wanted = (uint64_t)(share * (double)all->count);
    if (wanted >= all->count && all->count) wanted = all->count - 1;
    for (uint32_t i = 0; i < most_buckets; i++) {
        before += all->buckets[i];
        if (before > wanted) {
            double low = (double)(UINT64_C(1) << (i / sub_buckets));
            return low * (1 + (i % sub_buckets + 0.5) / sub_buckets) / 1000;
        }
    }
    return 0;
}

static void print_times(const struct histogram *all, const char *name) {
    printf("\"%sp50\": %.2f, \"%sp99\": %.2f, \"%smax\": %.2f", name, percentile(all, 0.5), name, percentile(all, 0.99),
           name, (double)all->largest / 1000);
}

/* Bytes. */

static void put32(uint8_t *bytes, uint32_t value) {
    value = htonl(value);
    memcpy(bytes, &value, 4);
}

static uint32_t get32(const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, 4);
    return ntohl(value);
}

static void put_header(uint8_t *bytes, uint32_t length, uint8_t type, uint32_t id) {
    put32(bytes, length);
    bytes[4] = type;
    bytes[5] = bytes[6] = bytes[7] = 0;
    put32(bytes + 8, id);
}

/* All that a client says is short, and the server reads: it fits the buffer of the socket. */
static bool say(struct client *client, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(client->fd, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) { usleep(100); continue; }
        if (sent < 0) return false;
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

static void ask(struct client *client, const char *text, size_t length) {
    static uint8_t frame[header_size + most_size + 256];
    put_header(frame, (uint32_t)length, request, ++client->request_id);
    memcpy(frame + header_size, text, length);
    if (!say(client, frame, header_size + length)) broken++;
}

/* A kind, the number in 8 digits, the time in 16, and x up to the size. */
static void stamp(char *bytes, uint32_t size, char kind, uint64_t number) {
    char text[stamp_size + 1];
    snprintf(text, sizeof text, "%c%08llx%016llx", kind, (unsigned long long)number, (unsigned long long)now());
    memcpy(bytes, text, stamp_size);
    memset(bytes + stamp_size, 'x', size - stamp_size);
}

static uint64_t hexadecimal(const uint8_t *bytes, int digits) {
    uint64_t value = 0;
    for (int i = 0; i < digits; i++) value = value << 4 | (bytes[i] <= '9' ? bytes[i] - '0' : bytes[i] - 'a' + 10);
    return value;
}

/* Connections. */

static void watch(struct client *client, bool is_new) {
    struct epoll_event event = {.events = client->is_stalled ? 0 : EPOLLIN, .data.ptr = client};
    if (epoll_ctl(poller, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, client->fd, &event)) fail("epoll_ctl");
}

static bool greet(struct client *client) {
    uint8_t hello[preface_size + header_size + 24 + 64] = "LIFELINE";
    size_t length = strlen(client->name);
    uint8_t *body = hello + preface_size + header_size;
    put_header(hello + preface_size, (uint32_t)(length ? 24 + length : 20), 1, 0);
    /* Version 1.1: the server keeps to the send window. It chooses the times. */
    memcpy(body, (uint8_t[]){1, 1, 0, 0}, 4);
    memset(body + 4, 0, 8);
    put32(body + 12, 16384);
    put32(body + 16, 1 << 20);
    if (length) {
        memcpy(body + 20, (uint8_t[]){0, 2, 0, (uint8_t)length}, 4);
        memcpy(body + 24, client->name, length);
    }
    return say(client, hello, (size_t)(body - hello) + (length ? 24 + length : 20));
}

static bool open_client(struct client *client, uint16_t port, int buffer) {
    static uint32_t source;
    struct sockaddr_in here = {.sin_family = AF_INET}, there = {.sin_family = AF_INET, .sin_port = htons(port)};
    here.sin_addr.s_addr = htonl(0x7f000001 + source++ % 32);
    there.sin_addr.s_addr = htonl(0x7f000001);
    int one = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0) fail("socket");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (buffer) setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(client->fd, (struct sockaddr *)&here, sizeof here)
        || connect(client->fd, (struct sockaddr *)&there, sizeof there)) {
        close(client->fd);
        client->fd = -1;
        return false;
    }
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    live++;
    watch(client, true);
    return greet(client);
}

static void forget(struct client *client) {
    close(client->fd); /* and epoll(7) with it */
    client->fd = -1;
    free(client->rest);
    client->rest = NULL;
    client->kept = client->room = 0;
    live--;
}

/* What comes. */

static void got_broadcast(struct client *client, const uint8_t *body) {
    uint64_t number = hexadecimal(body + 1, 8);
    int64_t took = now() - (int64_t)hexadecimal(body + 9, 16);
    if (number <= client->last) { client->repeated++; return; }
    /* What was published before the connection was there, or before the last `receivers`, is not missed. */
    client->missed += number - client->last - 1;
    client->last = number;
    client->got++;
    uint32_t index = (uint32_t)(client - clients);
    if (client == &push_client || index < from || index >= to || client->is_stalled) return;
    deliveries++;
    if (!is_broadcasting) return;
    add(&latencies, took);
    if (window[number % most_window].number != number) return;
    if (--window[number % most_window].left == 0) {
        completed++;
        add(&spreads, took);
        window[number % most_window].number = 0;
    }
}

static void got(struct client *client, uint8_t type, bool has_more, const uint8_t *body, uint32_t length) {
    static const uint8_t bye[header_size + 12] = {0, 0, 0, 12, closing};
    uint8_t frame[header_size + 20] = {0};
    switch (type) {
    case 2:
        client->is_welcome = true;
        if (client->is_brief) opened_now++, say(client, bye, sizeof bye);
        else welcomes++;
        break;
    case ping:
        put_header(frame, 20, pong, 0);
        memcpy(frame + header_size, body, 8);
        say(client, frame, sizeof frame);
        break;
    case message:
        if (length >= stamp_size && *body == 'B') got_broadcast(client, body);
        else if (length >= stamp_size && *body == 'P') {
            if (hexadecimal(body + 1, 8) == awaited_probe) probe_came = now(), awaited_probe = 0;
            else unexpected++;
        } else if (length >= stamp_size && *body == 'F') client->filled++;
        else unexpected++;
        break;
    case response:
    case failure:
        if (has_more) break; /* of a long answer the last part is kept */
        answered_at = now();
        if (type == failure) has_failed = true, body += 8, length -= 8;
        if (is_broadcasting) {
            char digits[24] = "";
            memcpy(digits, body, length < 20 ? length : 20);
            unanswered--;
            reached += strtoull(digits, NULL, 10);
            if (type == failure && failures++ == 0) fprintf(stderr, "subscribers: FAILURE: %.*s\n", (int)length, body);
            break;
        }
        is_answered = true;
        length = length < sizeof answer - 1 ? length : sizeof answer - 1;
        memcpy(answer, body, length);
        answer[length] = 0;
        break;
    case closing:
        if (!client->is_brief) broken++, fprintf(stderr, "subscribers: CLOSE: %.*s\n", (int)length - 12, body + 12);
        else if (!client->is_welcome) refused++;
        break;
    default: break;
    }
}

/* Returns how many bytes of whole frames there were. */
static uint32_t take(struct client *client, const uint8_t *bytes, uint32_t count) {
    uint32_t done = 0;
    if (!client->has_preface) {
        if (count < preface_size) return 0;
        client->has_preface = true;
        done = preface_size;
    }
    while (count - done >= header_size) {
        uint32_t length = get32(bytes + done);
        if (length > 1 << 16) fprintf(stderr, "subscribers: a frame of %u bytes\n", length), exit(76);
        if (count - done - header_size < length) break;
        got(client, bytes[done + 4], bytes[done + 5] & 1, bytes + done + header_size, length);
        done += header_size + length;
    }
    return done;
}

static void read_from(struct client *client) {
    uint32_t kept = client->kept;
    if (kept) memcpy(input, client->rest, kept);
    ssize_t count = recv(client->fd, input + kept, sizeof input - kept, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) {
        if (client->is_brief) opened += client->is_welcome;
        else broken++;
        forget(client);
        return;
    }
    count += kept;
    uint32_t done = take(client, input, (uint32_t)count), left = (uint32_t)count - done;
    if (left > client->room) {
        client->rest = realloc(client->rest, left);
        client->room = left;
        if (!client->rest) fail("realloc");
    }
    if (left) memcpy(client->rest, input + done, left);
    client->kept = left;
}

/* One turn of the loop. Returns whether a command can be read. */
static bool turn(int64_t until) {
    struct epoll_event events[events_at_once];
    int64_t left = until - now();
    struct timespec wait = {left > 0 ? left / SECOND : 0, left > 0 ? left % SECOND : 0};
    int count = epoll_pwait2(poller, events, events_at_once, &wait, NULL);
    if (count < 0 && errno != EINTR) fail("epoll_pwait2");
    bool has_command = false;
    for (int i = 0; i < count; i++) {
        if (!events[i].data.ptr) { has_command = true; continue; }
        struct client *client = events[i].data.ptr;
        if (client->fd >= 0 && !client->is_stalled) read_from(client);
    }
    return has_command;
}

#define WAIT_UNTIL(condition) \
    do { \
        int64_t until_ = now() + patience; \
        while (!(condition) && now() < until_) turn(until_); \
    } while (0)

static void rest_until(int64_t until) {
    while (now() < until) turn(until);
}

static struct client *through(const char *via) {
    if (!strcmp(via, "push")) return &push_client;
    uint32_t index = (uint32_t)atoi(via);
    if (index >= client_count) errno = EINVAL, fail("no such connection");
    return &clients[index];
}

/* Commands. */

static void connect_many(uint16_t port, uint32_t count, const char *prefix, int buffer) {
    int64_t began = now(), patient_until;
    uint32_t first = client_count;
    for (uint32_t i = first; i < client_count + count; i++) clients[i] = (struct client){.fd = -1};
    welcomes = 0;
    uint32_t asked = 0, failed = 0;
    patient_until = began + patience;
    uint32_t seen = 0;
    while (welcomes < count && now() < patient_until) {
        while (asked < count && asked - welcomes < connecting_at_once) {
            struct client *client = &clients[first + asked];
            snprintf(client->name, sizeof client->name, "%.12s-%u", prefix, asked);
            failed += !open_client(client, port, buffer);
            asked++;
        }
        turn(now() + SECOND / 10);
        if (welcomes != seen) seen = welcomes, patient_until = now() + patience;
    }
    client_count += count;
    printf("{\"connected\": %u, \"failed\": %u, \"first\": %u, \"seconds\": %.3f}\n", welcomes, failed, first,
           (double)(now() - began) / SECOND);
}

static void connect_push(const char *path) {
    struct sockaddr_un there = {.sun_family = AF_UNIX};
    snprintf(there.sun_path, sizeof there.sun_path, "%s", path);
    push_client = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (push_client.fd < 0 || connect(push_client.fd, (struct sockaddr *)&there, sizeof there)) fail(path);
    fcntl(push_client.fd, F_SETFL, O_NONBLOCK);
    live++;
    watch(&push_client, true);
    greet(&push_client);
    WAIT_UNTIL(push_client.is_welcome);
    printf("{\"connected\": %d}\n", push_client.is_welcome);
}

static void ask_once(const char *via, const char *text) {
    struct client *client = through(via);
    is_answered = has_failed = false;
    ask(client, text, strlen(text));
    WAIT_UNTIL(is_answered);
    printf("{\"answered\": %s, \"failed\": %s, \"text\": \"", is_answered ? "true" : "false",
           has_failed ? "true" : "false");
    for (const char *at = is_answered ? answer : ""; *at; at++)
        if (*at == '"' || *at == '\\') printf("\\%c", *at);
        else if ((uint8_t)*at < ' ') printf("\\u%04x", *at);
        else putchar(*at);
    printf("\"}\n");
}

static void echo(const char *via, uint32_t count, int64_t pause, double seconds) {
    static struct histogram times;
    char text[64];
    uint32_t missing = 0;
    memset(&times, 0, sizeof times);
    int64_t end = now() + (int64_t)(seconds * SECOND);
    for (uint32_t i = 1; i <= count && now() < end; i++) {
        if (pause) rest_until(now() + pause);
        stamp(text, sizeof text, 'E', i);
        is_answered = has_failed = false;
        int64_t began = now();
        ask(through(via), text, sizeof text);
        WAIT_UNTIL(is_answered);
        if (is_answered && !has_failed && !memcmp(answer, text, sizeof text)) add(&times, answered_at - began);
        else missing++;
    }
    printf("{\"count\": %llu, \"missing\": %u, ", (unsigned long long)times.count, missing);
    print_times(&times, "");
    printf("}\n");
}

static void send_one_by_one(const char *via, uint32_t target, uint32_t count, int64_t pause,
                            double seconds) {
    static struct histogram times, answers;
    static uint64_t number;
    struct client *client = through(via);
    char text[256], payload[65] = "";
    uint32_t missing = 0, wrong = 0;
    memset(&times, 0, sizeof times);
    memset(&answers, 0, sizeof answers);
    int64_t end = now() + (int64_t)(seconds * SECOND);
    for (uint32_t i = 0; i < count && now() < end; i++) {
        if (pause) rest_until(now() + pause);
        stamp(payload, 64, 'P', ++number);
        const char *form = client == &push_client ? "send name:%s %s" : "topic send %s %s";
        int length = snprintf(text, sizeof text, form, clients[target].name, payload);
        awaited_probe = number;
        is_answered = has_failed = false;
        int64_t began = now();
        ask(client, text, (size_t)length);
        WAIT_UNTIL(is_answered && (has_failed || !awaited_probe));
        if (is_answered && strcmp(answer, "1")) wrong++;
        if (awaited_probe) missing++;
        else add(&times, probe_came - began), add(&answers, answered_at - began);
        awaited_probe = 0;
    }
    printf("{\"count\": %llu, \"missing\": %u, \"wrong\": %u, ", (unsigned long long)times.count, missing, wrong);
    print_times(&times, "");
    printf(", ");
    print_times(&answers, "answer_");
    printf("}\n");
}

static void fill(const char *via, uint32_t target, uint32_t count, uint32_t size) {
    struct client *client = through(via);
    static char text[64 + most_size];
    if (target >= client_count || size < least_size || size > most_size) errno = EINVAL, fail("fill");
    const char *form = client == &push_client ? "send name:%s " : "topic send %s ";
    int length = snprintf(text, 64, form, clients[target].name);
    is_broadcasting = true; /* the answers are counted alone */
    unanswered = failures = 0;
    reached = 0;
    uint32_t i = 0;
    int64_t began = now(), end = began + patience;
    for (; i < count && now() < end; i++) {
        stamp(text + length, size, 'F', i + 1);
        unanswered++;
        ask(client, text, (size_t)length + size);
        while (unanswered >= 16 && now() < end) turn(end);
    }
    WAIT_UNTIL(!unanswered);
    is_broadcasting = false;
    printf("{\"filled\": %u, \"unanswered\": %u, \"failed\": %u, \"reached\": %llu, \"seconds\": %.3f}\n", i,
           unanswered, failures, (unsigned long long)reached, (double)(now() - began) / SECOND);
}

static void set_receivers(uint32_t first, uint32_t end) {
    from = first;
    to = end < client_count ? end : client_count;
    for (uint32_t i = 0; i < client_count; i++) {
        clients[i].last = published;
        clients[i].got = clients[i].missed = clients[i].repeated = clients[i].filled = 0;
    }
    printf("{\"receivers\": %u}\n", to - from);
}

static void broadcast(const char *via, double seconds, uint32_t size, uint32_t most, double per_second) {
    struct client *client = through(via);
    static char text[64 + most_size];
    uint32_t receivers = 0;
    for (uint32_t i = from; i < to; i++) receivers += clients[i].fd >= 0 && !clients[i].is_stalled;
    if (size < least_size || size > most_size || most < 1 || most > most_window) errno = EINVAL, fail("broadcast");
    memset(&latencies, 0, sizeof latencies);
    memset(&spreads, 0, sizeof spreads);
    memset(window, 0, sizeof window);
    is_broadcasting = true;
    has_failed = false;
    completed = deliveries = reached = unanswered = failures = 0;
    uint64_t first = published, given_up = 0, last_seen = 0;
    int64_t began = now(), end = began + (int64_t)(seconds * SECOND), heard = began, due = began;
    while (receivers) {
        int64_t time = now();
        bool is_over = time >= end;
        uint64_t under_way = published - first - completed - given_up;
        if (is_over && !under_way && !unanswered) break;
        if (deliveries != last_seen) last_seen = deliveries, heard = time;
        if (under_way && time - heard > patience) {
            /* What has not come by now counts as missing. */
            given_up += under_way;
            memset(window, 0, sizeof window);
            heard = time;
            if (unanswered) { fprintf(stderr, "subscribers: %u publications were not answered\n", unanswered); break; }
            continue;
        }
        if (!is_over && under_way < most && unanswered < most && time >= due) {
            int length = snprintf(text, 64, client == &push_client ? "publish room " : "topic publish room ");
            published++;
            window[published % most_window].number = published;
            window[published % most_window].left = receivers;
            stamp(text + length, size, 'B', published);
            unanswered++;
            if (!under_way) heard = time;
            ask(client, text, (size_t)length + size);
            if (per_second > 0) due += (int64_t)(SECOND / per_second);
            continue;
        }
        int64_t until = under_way || unanswered ? time + SECOND / 5 : end;
        if (!is_over && under_way < most && due > time && due < until) until = due;
        turn(until);
    }
    double took = (double)(now() - began) / SECOND;
    is_broadcasting = false;
    uint64_t sent = published - first;
    printf("{\"receivers\": %u, \"broadcasts\": %llu, \"completed\": %llu, \"reached\": %llu, \"deliveries\": %llu, "
           "\"missing\": %lld, \"failed\": %u, \"seconds\": %.4f, ", receivers, (unsigned long long)sent,
           (unsigned long long)completed, (unsigned long long)reached, (unsigned long long)deliveries,
           (long long)(sent * receivers - deliveries), failures, took);
    print_times(&latencies, "");
    printf(", ");
    print_times(&spreads, "last_");
    printf("}\n");
}

static void print_sums(uint32_t first, uint32_t end) {
    uint64_t all = 0, missed = 0, repeated = 0, filled = 0;
    uint32_t gone = 0;
    for (uint32_t i = first; i < end && i < client_count; i++) {
        all += clients[i].got;
        missed += clients[i].missed + (published - clients[i].last);
        repeated += clients[i].repeated;
        filled += clients[i].filled;
        gone += clients[i].fd < 0;
    }
    printf("{\"got\": %llu, \"missed\": %llu, \"repeated\": %llu, \"gone\": %u, \"published\": %llu, "
           "\"unexpected\": %llu, \"filled\": %llu}\n", (unsigned long long)all, (unsigned long long)missed,
           (unsigned long long)repeated, gone, (unsigned long long)published, (unsigned long long)unexpected,
           (unsigned long long)filled);
}

static void beat(uint32_t first, uint32_t end) {
    static uint64_t nonce;
    uint8_t frame[header_size + 8] = {0};
    for (uint32_t i = first; i < end && i < client_count; i++) {
        put_header(frame, 8, ping, 0);
        nonce++;
        memcpy(frame + header_size, &nonce, 8);
        if (clients[i].fd >= 0) say(&clients[i], frame, sizeof frame);
    }
    printf("{\"beaten\": %u}\n", end - first);
}

static void set_stalled(uint32_t index, bool is_stalled) {
    if (index >= client_count) errno = EINVAL, fail("no such connection");
    struct client *client = &clients[index];
    client->is_stalled = is_stalled;
    watch(client, false);
    printf("{\"index\": %u}\n", index);
}

static void open_and_close(uint16_t port, double seconds, uint32_t most) {
    struct client *brief = calloc(most, sizeof *brief);
    int64_t began = now(), end = began + (int64_t)(seconds * SECOND);
    uint32_t failed = 0, gone = 0;
    opened_now = opened = refused = 0;
    for (uint32_t i = 0; i < most; i++) brief[i].fd = -1;
    for (;;) {
        bool is_over = now() >= end;
        gone = 0;
        for (uint32_t i = 0; i < most; i++) {
            if (brief[i].fd >= 0) continue;
            if (is_over) { gone++; continue; }
            brief[i] = (struct client){.fd = -1, .is_brief = true};
            failed += !open_client(&brief[i], port, 0);
        }
        if (gone == most || now() > end + patience) break;
        turn(now() + SECOND / 10);
    }
    double took = (double)(now() - began) / SECOND;
    for (uint32_t i = 0; i < most; i++)
        if (brief[i].fd >= 0) forget(&brief[i]), failed++;
    printf("{\"opened\": %u, \"welcomed\": %u, \"refused\": %u, \"failed\": %u, \"seconds\": %.4f, "
           "\"per_second\": %.1f}\n", opened, opened_now, refused, failed, took, opened / took);
    free(brief);
}

static void obey(char *line) {
    char word[32] = "", via[32] = "", text[256] = "";
    uint32_t a = 0, b = 0, c = 0;
    double seconds = 0, rate = 0;
    int at = 0;
    sscanf(line, "%31s", word);
    if (!strcmp(word, "connect") && sscanf(line, "%*s %u %u %31s %u", &a, &b, text, &c) >= 3)
        connect_many((uint16_t)a, b, text, (int)c);
    else if (!strcmp(word, "push") && sscanf(line, "%*s %255s", text) == 1) connect_push(text);
    else if (!strcmp(word, "ask") && sscanf(line, "%*s %31s %n", via, &at) == 1 && at) ask_once(via, line + at);
    else if (!strcmp(word, "echo") && sscanf(line, "%*s %31s %u %u %lf", via, &a, &b, &seconds) == 4)
        echo(via, a, (int64_t)b * 1000, seconds);
    else if (!strcmp(word, "send") && sscanf(line, "%*s %31s %u %u %u %lf", via, &a, &b, &c, &seconds) == 5)
        send_one_by_one(via, a, b, (int64_t)c * 1000, seconds);
    else if (!strcmp(word, "fill") && sscanf(line, "%*s %31s %u %u %u", via, &a, &b, &c) == 4) fill(via, a, b, c);
    else if (!strcmp(word, "receivers") && sscanf(line, "%*s %u %u", &a, &b) == 2) set_receivers(a, b);
    else if (!strcmp(word, "stall") && sscanf(line, "%*s %u", &a) == 1) set_stalled(a, true);
    else if (!strcmp(word, "resume") && sscanf(line, "%*s %u", &a) == 1) set_stalled(a, false);
    else if (!strcmp(word, "broadcast") && sscanf(line, "%*s %31s %lf %u %u %lf", via, &seconds, &a, &b, &rate) >= 4)
        broadcast(via, seconds, a, b, rate);
    else if (!strcmp(word, "sums") && sscanf(line, "%*s %u %u", &a, &b) == 2) print_sums(a, b);
    else if (!strcmp(word, "open") && sscanf(line, "%*s %u %lf %u", &a, &seconds, &b) == 3)
        open_and_close((uint16_t)a, seconds, b);
    else if (!strcmp(word, "beat") && sscanf(line, "%*s %u %u", &a, &b) == 2) beat(a, b);
    else if (!strcmp(word, "patience") && sscanf(line, "%*s %u", &a) == 1)
        patience = (int64_t)a * 1000000, printf("{\"patience\": %u}\n", a);
    else if (!strcmp(word, "quit")) exit(0);
    else fprintf(stderr, "subscribers: it does not know: %s\n", line), exit(64);
    fflush(stdout);
}

int main(int count, char **arguments) {
    struct rlimit files;
    static char line[16384];
    size_t length = 0;
    for (int i = 1; i < count; i++)
        if (!strcmp(arguments[i], "--timeout") && i + 1 < count) patience = atoll(arguments[++i]) * 1000000;
        else return fprintf(stderr, "subscribers: %s is no flag: see its first lines\n", arguments[i]), 64;
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files)) fail("getrlimit");
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    clients = calloc(files.rlim_max < 1000000 ? files.rlim_max : 1000000, sizeof *clients);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event commands = {.events = EPOLLIN};
    if (!clients || poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, 0, &commands)) fail("start");
    for (;;) {
        if (!turn(now() + 60 * SECOND)) continue;
        ssize_t more = read(0, line + length, sizeof line - length - 1);
        if (more <= 0) return 0;
        length += (size_t)more;
        line[length] = 0;
        for (char *end; (end = strchr(line, '\n'));) {
            *end++ = 0;
            obey(line);
            length -= (size_t)(end - line);
            memmove(line, end, length + 1);
        }
    }
}

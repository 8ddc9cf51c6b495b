/* The server's side of Protocol.md with a handler that echoes, as a value, and a loop around ppoll(2) for a process that
   has one. The numbers in comments are requirements of that document. Pages that are never touched cost nothing. */
#define _GNU_SOURCE
#include "conversation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HELLO = 1, WELCOME, PING, PONG, REQUEST, RESPONSE, MESSAGE, CANCEL, FAILURE, GOAWAY, CLOSE,
    MORE = 0x01, IGNORABLE = 0x80,
};
enum {
    NORMAL = 0, PROTOCOL_ERROR = 1, BAD_PREFACE = 2, UNSUPPORTED_VERSION = 3, FRAME_TOO_LARGE = 4,
    MESSAGE_TOO_LARGE = 5, HANDSHAKE_TIMEOUT = 6, SILENT = 7, FRAME_TIMEOUT = 8, SLOW_READER = 9, TOO_MANY_PINGS = 10,
    UNSUPPORTED_OPTION = 15, CANCELLED = 17, REFUSED = 18,
};
static const char *const code_names[] = {
    "NORMAL", "PROTOCOL_ERROR", "BAD_PREFACE", "UNSUPPORTED_VERSION", "FRAME_TOO_LARGE", "MESSAGE_TOO_LARGE",
    "HANDSHAKE_TIMEOUT", "SILENT", "FRAME_TIMEOUT", "SLOW_READER", "TOO_MANY_PINGS", "NO_ROUND_TRIP", "BUSY",
    "SHUTTING_DOWN", "UNAUTHORIZED", "UNSUPPORTED_OPTION", "HANDLER_FAILED", "CANCELLED", "REFUSED", "KICKED",
    "INTERNAL",
};
static const uint8_t preface[8] = {'L', 'I', 'F', 'E', 'L', 'I', 'N', 'E'};

volatile int told_to_stop;

/* Bytes. */

static void put16(uint8_t *at, uint16_t value) { at[0] = (uint8_t)(value >> 8); at[1] = (uint8_t)value; }
static void put32(uint8_t *at, uint32_t value) { value = __builtin_bswap32(value); memcpy(at, &value, 4); }
static void put64(uint8_t *at, uint64_t value) { value = __builtin_bswap64(value); memcpy(at, &value, 8); }
static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static uint32_t get32(const uint8_t *at) { uint32_t value; memcpy(&value, at, 4); return __builtin_bswap32(value); }
static uint64_t get64(const uint8_t *at) { uint64_t value; memcpy(&value, at, 8); return __builtin_bswap64(value); }

static void put_header(uint8_t *at, uint32_t length, uint8_t type, uint8_t flags, uint32_t id) {
    put32(at, length);
    at[4] = type;
    at[5] = flags;
    put16(at + 6, 0);
    put32(at + 8, id);
}

/* Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(const uint8_t *at, uint32_t count) {
    const uint8_t *end = at + count;
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80) continue;
        int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
        if (first < 0xC2 || first > 0xF4 || end - at < more) return false;
        uint8_t least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
        uint8_t most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        for (int i = 0; i < more; i++, at++) {
            if (*at < least || *at > most) return false;
            least = 0x80;
            most = 0xBF;
        }
    }
    return true;
}

int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* What goes. */

static uint32_t unsent(struct conversation *c) { return c->out_end - c->out_begin; }

/* Room for `count` bytes behind what is staged; what is bounded by staged_at_once fits as a rule. */
static uint8_t *stage(struct conversation *c, uint32_t count) {
    if (c->out_end + count > sizeof c->out->bytes) {
        memmove(c->out->bytes, c->out->bytes + c->out_frame, c->out_end - c->out_frame);
        c->out_begin -= c->out_frame;
        c->out_end -= c->out_frame;
        c->out_frame = 0;
    }
    if (c->out_end + count > sizeof c->out->bytes) abort();
    uint8_t *at = c->out->bytes + c->out_end;
    c->out_end += count;
    c->out_total += count;
    return at;
}

static void stage_pong(struct conversation *c, uint64_t nonce) {
    uint8_t *at = stage(c, 32);
    uint64_t longest = c->open_type == REQUEST && !c->discarding ? (uint64_t)((c->now - c->open_since) / MS) : 0;
    put_header(at, 20, PONG, 0, 0);
    put64(at + 12, nonce);
    bool incoming = c->open_type == REQUEST && !c->discarding;
    put32(at + 20, c->unsent_bytes + c->waiting_bytes + (incoming ? c->open_length : 0));
    put32(at + 24, c->unsent_count + c->waiting + incoming);
    put32(at + 28, longest > UINT32_MAX ? UINT32_MAX : (uint32_t)longest);
    c->pong_end = c->out_total;
    c->pong_waits = false;
}

/* 5.4-4: while the last PONG is on its way only the latest PING is answered. */
static void answer_ping(struct conversation *c, uint64_t nonce) {
    if (c->out_total - unsent(c) < c->pong_end) {
        c->pong_waits = true;
        c->pong_nonce = nonce;
    } else {
        stage_pong(c, nonce);
    }
}

static void send_ping(struct conversation *c) {
    uint8_t *at = stage(c, 20);
    put_header(at, 8, PING, 0, 0);
    put64(at + 12, ++c->pinged);
    c->has_asked = true;
}

static uint32_t put_close(uint8_t *at, uint32_t last_id, uint16_t code, uint32_t retry_after, const char *text) {
    uint32_t length = (uint32_t)strlen(text);
    if (length > 512) length = 512;
    put_header(at, 12 + length, CLOSE, 0, 0);
    put32(at + 12, last_id);
    put16(at + 16, code);
    put16(at + 18, 0);
    put32(at + 20, retry_after);
    memcpy(at + 24, text, length);
    return 24 + length;
}

unsigned refusal(uint8_t *out, uint16_t code, uint32_t retry_after, const char *text) {
    memcpy(out, preface, 8);
    return 8 + put_close(out + 8, 0, code, retry_after, text);
}

static void stage_close(struct conversation *c, uint16_t code, const char *text) {
    uint8_t close[24 + 512];
    uint32_t last_id = c->short_id > c->last_id ? c->short_id : c->last_id;
    uint32_t count = put_close(close, last_id, code, 0, text);
    memcpy(stage(c, count), close, count);
    c->close_staged = true;
}

static void stage_preface(struct conversation *c) {
    if (c->out_total == 0) memcpy(stage(c, 8), preface, 8);
}

/* A whole answer, or the next chunk of one: no longer than the client accepts, and than is good for heartbeats. */
static uint32_t stage_chunk(struct conversation *c, uint32_t id, const uint8_t *bytes, uint32_t length) {
    uint32_t most = c->client_frame < max_frame ? c->client_frame : max_frame;
    uint32_t count = length < most ? length : most;
    uint8_t *at = stage(c, 12 + count);
    put_header(at, count, RESPONSE, count < length ? MORE : 0, id);
    memcpy(at + 12, bytes, count);
    return count;
}

static void stage_failure(struct conversation *c, uint32_t id, uint16_t code, const char *text) {
    uint32_t length = (uint32_t)strlen(text);
    uint8_t *at = stage(c, 20 + length);
    put_header(at, 8 + length, FAILURE, 0, id);
    put16(at + 12, code);
    put16(at + 14, 0);
    put32(at + 16, 0);
    memcpy(at + 20, text, length);
}

/* 3.6-7: a request is in flight until the last byte of its ending is with the kernel. */
static void count_unsent(struct conversation *c, uint32_t bytes) {
    uint32_t place = (c->unsent_first + c->unsent_count++) % max_in_flight;
    c->out->unsent[place].end = c->out_total;
    c->out->unsent[place].bytes = bytes;
    c->unsent_bytes += bytes;
}

static void free_waiting(struct conversation *c, struct waiting *each) {
    c->waiting -= each->failure == 0;
    c->waiting_bytes -= each->length;
    c->refusals -= each->failure == REFUSED;
    free(each->bytes);
    free(each);
}

static void refill(struct conversation *c) {
    while (c->first && unsent(c) < staged_at_once) {
        struct waiting *next = c->first;
        if (next->failure) {
            stage_failure(c, next->id, next->failure, next->failure == REFUSED ? "too much is unanswered" : "");
        } else {
            next->staged += stage_chunk(c, next->id, next->bytes + next->staged, next->length - next->staged);
            if (next->staged < next->length) continue;
        }
        c->first = next->next;
        if (!c->first) c->last = NULL;
        uint32_t length = next->length;
        bool counts = next->failure == 0;
        free_waiting(c, next);
        if (counts) count_unsent(c, length);
    }
    if (c->closing && !c->first && !c->close_staged && (!c->pong_waits || c->deaf)) {
        stage_close(c, c->close_code, c->close_text);
    }
}

static void wrote(struct conversation *c, uint32_t count) {
    c->out_begin += count;
    c->bytes_out += count;
    if (count) c->blocked_since = c->now;
    uint64_t sent = c->out_total - unsent(c);
    while (c->unsent_count && c->out->unsent[c->unsent_first].end <= sent) {
        c->unsent_bytes -= c->out->unsent[c->unsent_first].bytes;
        c->unsent_first = (c->unsent_first + 1) % max_in_flight;
        c->unsent_count--;
    }
    if (c->out_begin == c->out_end) {
        c->out_frame = c->out_begin = c->out_end = 0;
    } else {
        /* Where the frame begins of which the kernel has a part. The preface is no frame. */
        if (c->out_frame == 0 && sent == c->out_begin && sent < 8) return;
        if (c->out_frame == 0 && sent == c->out_begin) c->out_frame = 8;
        while (c->out_frame < c->out_begin) {
            uint32_t next = c->out_frame + 12 + get32(c->out->bytes + c->out_frame);
            if (next > c->out_begin) break;
            c->out_frame = next;
        }
    }
    if (c->pong_waits && !c->close_staged && sent >= c->pong_end) stage_pong(c, c->pong_nonce);
}

static void lost(struct conversation *c, const char *text) {
    c->broken = c->deaf = true;
    if (c->ended_by == NULL) {
        c->ending = UINT16_MAX;
        c->ending_text = text;
        c->ended_by = "";
    }
}

static void flush(struct conversation *c) {
    c->is_blocked = false;
    for (int writes = 0; !c->broken; writes++) {
        refill(c);
        if (unsent(c) == 0) return;
        if (writes == writes_at_once) {
            c->is_blocked = true; /* ppoll(2) says at once that there is room */
            return;
        }
        /* CLOSE and the end of the stream that follows it are one segment. */
        ssize_t count = send(c->fd, c->out->bytes + c->out_begin, unsent(c),
                             MSG_DONTWAIT | MSG_NOSIGNAL | (c->close_staged ? MSG_MORE : 0));
        if (count >= 0) {
            wrote(c, (uint32_t)count);
        } else if (errno == EAGAIN) {
            if (c->blocked_since == NEVER) c->blocked_since = c->now;
            c->is_blocked = true;
            return;
        } else if (errno != EINTR) {
            lost(c, strerror(errno));
        }
    }
}

/* Ends. */

static void note_ending(struct conversation *c, uint16_t code, const char *text, const char *by) {
    if (c->ended_by) return;
    c->ending = code;
    c->ending_text = text;
    c->ended_by = by;
}

/* 7.1: what is ready is sent first. */
static void close_orderly(struct conversation *c, uint16_t code, const char *text) {
    if (c->closing) return;
    note_ending(c, code, text, "server");
    stage_preface(c);
    c->closing = true;
    c->close_code = code;
    c->close_text = text;
}

/* 7.5: what is not begun is thrown away. */
static void drop(struct conversation *c, uint16_t code, const char *text) {
    c->deaf = true;
    if (c->close_staged || c->broken) return;
    c->ended_by = NULL;
    note_ending(c, code, text, "server");
    while (c->first) {
        struct waiting *next = c->first->next;
        free_waiting(c, c->first);
        c->first = next;
    }
    c->last = NULL;
    stage_preface(c);
    uint64_t sent = c->out_total - unsent(c);
    uint32_t keep = c->out_begin;
    if (sent < 8) {
        keep = c->out_begin + (uint32_t)(8 - sent);
    } else if (c->out_frame < c->out_begin) {
        keep = c->out_frame + 12 + get32(c->out->bytes + c->out_frame);
    }
    c->out_total -= c->out_end - keep;
    c->out_end = keep;
    c->pong_waits = false;
    c->closing = true;
    stage_close(c, code, text);
    c->give_up_at = c->now + 1000 * MS;
}

static void after_ending(struct conversation *c, uint32_t id) {
    if (!c->is_short) return;
    c->short_id = id;
    close_orderly(c, NORMAL, "");
}

static void queue(struct conversation *c, uint32_t id, uint16_t failure, uint8_t *bytes, uint32_t length) {
    struct waiting *new = malloc(sizeof *new);
    if (!new) abort();
    *new = (struct waiting){.id = id, .failure = failure, .bytes = bytes, .length = length};
    if (c->last) c->last->next = new; else c->first = new;
    c->last = new;
    c->waiting += failure == 0;
    c->waiting_bytes += length;
    c->refusals += failure == REFUSED;
}

static void fail(struct conversation *c, uint32_t id, uint16_t code) {
    queue(c, id, code, NULL, 0);
    after_ending(c, id);
}

/* The handler: the same bytes back. `owned` says that `bytes` came from malloc and are given away. */
static void respond(struct conversation *c, uint32_t id, uint8_t *bytes, uint32_t length, bool owned) {
    c->last_id = id;
    c->requests++;
    if (length > c->client_message) {
        fail(c, id, MESSAGE_TOO_LARGE); /* 3.5-6 */
        if (owned) free(bytes);
        return;
    }
    uint32_t most = c->client_frame < max_frame ? c->client_frame : max_frame;
    if (!c->first && length <= most && unsent(c) >= staged_at_once && !c->is_blocked) flush(c);
    if (!c->first && length <= most && unsent(c) < staged_at_once) {
        stage_chunk(c, id, bytes, length);
        count_unsent(c, length);
        if (owned) free(bytes);
    } else {
        if (!owned && length) {
            uint8_t *copy = malloc(length);
            if (!copy) abort();
            memcpy(copy, bytes, length);
            bytes = copy;
        }
        queue(c, id, 0, length ? bytes : NULL, length);
        if (owned && !length) free(bytes);
    }
    after_ending(c, id);
}

/* What came. Each returns false where the client was dropped. */

static bool wrong(struct conversation *c, uint16_t code, const char *text) {
    if (c->closing) c->deaf = true; /* E9: only the end of the stream counts then */
    else drop(c, code, text);
    return false;
}

/* 5.10 */
static bool pay(struct conversation *c) {
    int64_t full_at = c->bucket_full_at > c->now ? c->bucket_full_at : c->now;
    if (full_at - c->now > (bucket_size - 1) * c->ping_step) {
        return wrong(c, TOO_MANY_PINGS, "too many PINGs, CANCELs and empty MESSAGEs");
    }
    c->bucket_full_at = full_at + c->ping_step;
    return true;
}

struct header {
    uint32_t length, id;
    uint8_t type, flags;
    uint16_t zero;
};

/* Section 9, H1 to H16. */
static bool judge_header(struct conversation *c, const struct header *h) {
    bool known = h->type >= HELLO && h->type <= CLOSE;
    bool message = h->type == REQUEST || h->type == MESSAGE;
    if (h->zero) return wrong(c, PROTOCOL_ERROR, "bytes 6 and 7 of a header are not 0");
    if (h->flags & ~(MORE | IGNORABLE)) return wrong(c, PROTOCOL_ERROR, "a flag that is not defined");
    if (!known && !(h->flags & IGNORABLE)) return wrong(c, PROTOCOL_ERROR, "a type that is not known");
    if (h->flags & MORE && !message && h->type != RESPONSE) return wrong(c, PROTOCOL_ERROR, "MORE on a wrong type");
    if (h->type == WELCOME || h->type == RESPONSE || h->type == FAILURE) {
        return wrong(c, PROTOCOL_ERROR, "a type that only a server sends");
    }
    if (!c->greeted && h->type != HELLO) return wrong(c, PROTOCOL_ERROR, "the first frame is not HELLO");
    if (c->greeted && h->type == HELLO) return wrong(c, PROTOCOL_ERROR, "HELLO a second time");
    if (known && (h->id != 0) != (h->type == REQUEST || h->type == CANCEL)) {
        return wrong(c, PROTOCOL_ERROR, "a wrong id");
    }
    static const struct { uint32_t least, most; } lengths[] = {
        [HELLO] = {20, 1024}, [PING] = {8, 8}, [PONG] = {20, 20}, [REQUEST] = {0, max_frame},
        [MESSAGE] = {0, max_frame}, [CANCEL] = {0, 0}, [GOAWAY] = {12, 524}, [CLOSE] = {12, 524},
    };
    if (h->length > (known ? lengths[h->type].most : max_frame)) {
        return wrong(c, FRAME_TOO_LARGE, "a frame is too long");
    }
    if (known && h->length < lengths[h->type].least) return wrong(c, PROTOCOL_ERROR, "a frame is too short");
    if (h->flags & MORE && h->length == 0) return wrong(c, PROTOCOL_ERROR, "MORE on an empty frame");
    if (message) {
        bool first = c->open_type == 0;
        if (!first && (h->type != c->open_type || h->id != c->open_id)) {
            return wrong(c, PROTOCOL_ERROR, "a frame of another message while one is open");
        }
        if (first && h->type == REQUEST && h->id <= c->highest_id) {
            return wrong(c, PROTOCOL_ERROR, "an id that is not new");
        }
        if ((uint64_t)(first ? 0 : c->open_length) + h->length > max_message) {
            return wrong(c, MESSAGE_TOO_LARGE, "a message is too long");
        }
        if (first && h->type == REQUEST && c->sent_away) return wrong(c, PROTOCOL_ERROR, "a request behind GOAWAY");
        if (c->is_short && first && h->type == REQUEST && c->highest_id) {
            return wrong(c, PROTOCOL_ERROR, "a second request on a short connection");
        }
    }
    if (c->is_short && (h->type == MESSAGE || h->type == GOAWAY)) {
        return wrong(c, PROTOCOL_ERROR, "this type has no place on a short connection");
    }
    if (h->type == CANCEL && h->id > c->highest_id) return wrong(c, PROTOCOL_ERROR, "CANCEL of what was never sent");
    return true;
}

static bool take_options(struct conversation *c, const uint8_t *at, uint32_t count) {
    uint32_t seen = 0;
    while (count > 0) {
        if (count < 4) return wrong(c, PROTOCOL_ERROR, "an option is cut off");
        uint16_t tag = get16(at), length = get16(at + 2);
        if (length > count - 4) return wrong(c, PROTOCOL_ERROR, "an option reaches beyond the end");
        const uint8_t *value = at + 4;
        if (tag >= 1 && tag <= 3) {
            if (seen & 1u << tag) return wrong(c, PROTOCOL_ERROR, "an option stands twice");
            seen |= 1u << tag;
            if ((tag == 1 && length > 256) || (tag == 2 && length > 64)) {
                return wrong(c, PROTOCOL_ERROR, "an option is too long");
            }
            if (tag != 1 && !is_utf8(value, length)) return wrong(c, PROTOCOL_ERROR, "an option is not UTF-8");
        } else if (tag & 0x8000) {
            snprintf(c->own_text, sizeof c->own_text, "the option 0x%04X is not known", tag);
            return wrong(c, UNSUPPORTED_OPTION, c->own_text);
        }
        at += 4 + length;
        count -= 4u + length;
    }
    return true;
}

static uint32_t clamp(uint32_t value, uint32_t least, uint32_t most) {
    return value < least ? least : value > most ? most : value;
}

static bool take_hello(struct conversation *c, const uint8_t *at, uint32_t length) {
    if (at[0] != 1) return wrong(c, UNSUPPORTED_VERSION, "only version 1 is spoken here");
    uint16_t flags = get16(at + 2);
    if (flags & ~1) return wrong(c, PROTOCOL_ERROR, "a flag of HELLO that is not defined");
    uint32_t ping_every = get32(at + 4), dead_after = get32(at + 8), timeout = c->terms->timeout;
    c->client_frame = get32(at + 12);
    c->client_message = get32(at + 16);
    if (c->client_frame < 256) return wrong(c, PROTOCOL_ERROR, "max_frame is under 256");
    if (!take_options(c, at + 20, length - 20)) return false;
    dead_after = dead_after ? clamp(dead_after, 100, timeout) : timeout; /* 6-1 */
    ping_every = clamp(ping_every ? ping_every : dead_after / 3, 20, dead_after / 2);
    stage_preface(c);
    uint8_t *out = stage(c, 48);
    put_header(out, 36, WELCOME, 0, 0);
    out[12] = 1;
    out[13] = 0;
    put16(out + 14, 0);
    put32(out + 16, ping_every);
    put32(out + 20, dead_after);
    put32(out + 24, max_frame);
    put32(out + 28, max_message);
    put32(out + 32, max_in_flight);
    put32(out + 36, max_queued);
    put64(out + 40, c->connection);
    c->greeted = true;
    c->is_short = flags & 1;
    c->dead_after = dead_after * MS;
    c->ping_step = ping_every * (MS / 2);
    c->bucket_full_at = c->heard_at = c->now;
    return true;
}

static bool take_part(struct conversation *c, const struct header *h, uint8_t *at) {
    bool request = h->type == REQUEST, last = !(h->flags & MORE);
    if (c->open_type == 0) {
        c->open_length = 0;
        c->discarding = false;
        if (request) {
            c->highest_id = h->id;
            uint32_t in_flight = c->unsent_count + c->waiting;
            if (in_flight >= max_in_flight && !c->is_blocked) flush(c);
            if (c->unsent_count + c->waiting >= max_in_flight) c->discarding = true;
        }
        c->open_since = c->now;
        if (request && last && !c->discarding && c->unsent_bytes + c->waiting_bytes + h->length <= max_queued) {
            respond(c, h->id, at, h->length, false); /* the usual case: one frame, and no copy but into its answer */
            return true;
        }
        if (!request && last) return h->length > 0 || pay(c); /* a MESSAGE, which an echo takes no notice of */
        c->open_type = h->type;
        c->open_id = h->id;
        if (c->discarding) {
            if (c->refusals >= most_refusals) return wrong(c, BUSY, "4096 refusals wait unread");
            fail(c, h->id, REFUSED);
        }
    }
    if (request && !c->discarding && c->unsent_bytes + c->waiting_bytes + c->open_length + h->length > max_queued) {
        if (c->refusals >= most_refusals) return wrong(c, BUSY, "4096 refusals wait unread");
        c->discarding = true;
        free(c->open_bytes);
        c->open_bytes = NULL;
        c->open_room = 0;
        fail(c, h->id, REFUSED);
    }
    if (request && !c->discarding) {
        if (c->open_length + h->length > c->open_room) {
            c->open_room = c->open_room ? 2 * c->open_room : 65536;
            if (c->open_room > max_message) c->open_room = max_message;
            c->open_bytes = realloc(c->open_bytes, c->open_room);
            if (!c->open_bytes) abort();
        }
        memcpy(c->open_bytes + c->open_length, at, h->length);
    }
    c->open_length += h->length;
    if (!last) return true;
    c->open_type = 0;
    if (request && !c->discarding) {
        uint8_t *bytes = c->open_bytes;
        c->open_bytes = NULL;
        c->open_room = 0;
        respond(c, h->id, bytes, c->open_length, true);
        if (c->sent_away) close_orderly(c, NORMAL, "");
    }
    return true;
}

static bool take_cancel(struct conversation *c, uint32_t id) {
    if (!pay(c)) return false;
    if (c->open_type != REQUEST || c->open_id != id) return true; /* it is answered: no effect */
    c->open_type = 0;
    free(c->open_bytes);
    c->open_bytes = NULL;
    c->open_room = 0;
    if (!c->discarding) fail(c, id, CANCELLED);
    if (c->sent_away) close_orderly(c, NORMAL, "");
    return true;
}

static bool take_close(struct conversation *c, const uint8_t *at, uint32_t length) {
    uint16_t code = get16(at + 4);
    if (get16(at + 6)) return wrong(c, PROTOCOL_ERROR, "bytes 6 and 7 of a CLOSE are not 0");
    if (!is_utf8(at + 12, length - 12)) return wrong(c, PROTOCOL_ERROR, "the text of a CLOSE is not UTF-8");
    c->deaf = c->has_ended = true;
    if (get32(at)) {
        close_orderly(c, PROTOCOL_ERROR, "a client's CLOSE has a last_id"); /* F9 */
    } else {
        note_ending(c, code, "", "client");
        close_orderly(c, NORMAL, "");
    }
    return true;
}

static bool take_frame(struct conversation *c, const struct header *h, uint8_t *at) {
    c->frames++;
    if (c->closing) { /* E9: a PING is answered for as long as CLOSE waits, and CLOSE ends the wait for it */
        if (h->type == PING && !c->close_staged) answer_ping(c, get64(at));
        if (h->type == CLOSE) c->deaf = c->has_ended = true;
        return true;
    }
    switch (h->type) {
    case HELLO: return take_hello(c, at, h->length);
    case PING:
        if (!pay(c)) return false;
        answer_ping(c, get64(at));
        return true;
    case PONG:
        if (get64(at) <= c->ponged || get64(at) > c->pinged) return wrong(c, PROTOCOL_ERROR, "PONG without a PING");
        c->ponged = get64(at);
        return true;
    case REQUEST: case MESSAGE: return take_part(c, h, at);
    case CANCEL: return take_cancel(c, h->id);
    case GOAWAY:
        if (get16(at + 2)) return wrong(c, PROTOCOL_ERROR, "bytes 2 and 3 of a GOAWAY are not 0");
        if (!is_utf8(at + 12, h->length - 12)) return wrong(c, PROTOCOL_ERROR, "the text of a GOAWAY is not UTF-8");
        c->sent_away = true;
        if (c->open_type != REQUEST || c->discarding) close_orderly(c, NORMAL, "");
        return true;
    case CLOSE: return take_close(c, at, h->length);
    default: return true; /* skipped */
    }
}

/* 3.2-5 */
static const char *name_protocol(struct conversation *c, const uint8_t *at, uint32_t count) {
    static const char *const methods[] = {"GET ", "POST ", "HEAD ", "PUT ", "OPTIONS ", "DELETE ", "CONNECT ", "PRI "};
    if (count >= 2 && at[0] == 0x16 && at[1] == 3) return "TLS is not spoken here";
    if (count >= 4 && memcmp(at, "SSH-", 4) == 0) return "SSH is not spoken here";
    for (uint32_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        uint32_t length = (uint32_t)strlen(methods[i]);
        if (count >= length && memcmp(at, methods[i], length) == 0) return "HTTP is not spoken here";
    }
    int length = snprintf(c->own_text, sizeof c->own_text, "not LIFELINE, but");
    for (uint32_t i = 0; i < count && i < 8; i++) length += snprintf(c->own_text + length, 4, " %02x", at[i]);
    return c->own_text;
}

static bool take_preface(struct conversation *c) {
    while (c->matched < 8 && c->begin < c->end) {
        if (c->in[c->begin] != preface[c->matched]) {
            return wrong(c, BAD_PREFACE, name_protocol(c, c->in, c->end));
        }
        c->matched++;
        c->begin++;
    }
    return c->matched == 8;
}

static void take(struct conversation *c) {
    if (!c->deaf && c->matched < 8 && !take_preface(c)) {
        if (!c->deaf) c->begin = c->end = 0;
    }
    while (!c->deaf && c->matched == 8) {
        uint32_t have = c->end - c->begin;
        uint8_t *at = c->in + c->begin;
        if (have > 0 && c->frame_timed != c->frames + 1) {
            c->frame_timed = c->frames + 1;
            c->frame_at = c->now;
        }
        if (have < 12) break;
        struct header h = {get32(at), get32(at + 8), at[4], at[5], get16(at + 6)};
        if (!judge_header(c, &h) || have < 12 + h.length || !take_frame(c, &h, at + 12)) break;
        c->begin += 12 + h.length;
    }
    if (c->deaf) c->begin = c->end;
    if (c->begin == c->end) {
        c->begin = c->end = 0;
    } else if (c->begin > 0) {
        memmove(c->in, c->in + c->begin, c->end - c->begin);
        c->end -= c->begin;
        c->begin = 0;
    }
}

/* Section 7.2. */
static void end_of_stream(struct conversation *c) {
    c->has_ended = true;
    if (c->closing) return;
    bool whole = c->begin == c->end && (c->greeted ? c->open_type == 0 : c->bytes_in == 0);
    close_orderly(c, whole ? NORMAL : PROTOCOL_ERROR, whole ? "" : "the stream ended inside a frame or a message");
}

static bool receive(struct conversation *c) {
    ssize_t count = recv(c->fd, c->in + c->end, input_size - c->end, MSG_DONTWAIT);
    if (count > 0) {
        c->bytes_in += (uint64_t)count;
        c->end += (uint32_t)count;
        c->heard_at = c->now;
        c->has_asked = false;
        take(c);
        return true;
    }
    if (count == 0 && !c->has_ended) end_of_stream(c);
    if (count == 0) c->deaf = true;
    if (count < 0 && errno != EAGAIN && errno != EINTR) lost(c, strerror(errno));
    return false;
}

/* Time. */

static int64_t frame_deadline(struct conversation *c) {
    uint32_t have = c->end - c->begin;
    if (have == 0) return NEVER;
    return c->frame_at + c->dead_after + (have >= 12 ? (int64_t)get32(c->in + c->begin) * MS : 0);
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t slow_deadline(struct conversation *c) {
    return c->is_blocked && c->greeted ? c->blocked_since + c->dead_after : NEVER;
}

int64_t deadline(struct conversation *c) {
    if (c->is_shut) return c->leave_at;
    if (c->give_up_at != NEVER) return c->give_up_at;
    if (!c->greeted) return c->accepted_at + c->terms->handshake_timeout * MS;
    if (c->has_ended || c->closing) return slow_deadline(c);
    int64_t result = earlier(frame_deadline(c), c->heard_at + c->dead_after);
    if (!c->has_asked) result = earlier(result, c->heard_at + c->dead_after / 2);
    return earlier(result, slow_deadline(c));
}

/* 5.11: who was late itself grants its peer a new dead_after. */
static void grant_if_late(struct conversation *c) {
    if (!c->greeted || c->closing || c->asked == NEVER || c->now <= c->asked + c->dead_after / 10 + 50 * MS) return;
    c->heard_at = c->frame_at = c->now;
    if (c->is_blocked) c->blocked_since = c->now;
    if (!c->has_ended) send_ping(c);
}

static void judge(struct conversation *c) {
    if (c->broken || c->is_shut || c->now < deadline(c)) return;
    if (c->give_up_at != NEVER) return lost(c, "the last words were not read");
    if (!c->greeted && c->close_staged) return lost(c, "the last words were not read");
    if (!c->greeted) return drop(c, HANDSHAKE_TIMEOUT, "the handshake was not whole in time");
    if (c->now >= slow_deadline(c)) {
        if (!c->close_staged) return drop(c, SLOW_READER, "nothing is read");
        c->ended_by = NULL;
        note_ending(c, SLOW_READER, "nothing is read", "server");
        c->broken = true;
        return;
    }
    if (c->now >= c->heard_at + c->dead_after) return drop(c, SILENT, "nothing was heard for the whole of dead_after");
    if (c->now >= frame_deadline(c)) return drop(c, FRAME_TIMEOUT, "a frame was begun and not finished in time");
    if (!c->has_asked) send_ping(c);
}

/* SIGTERM: what has come is answered, then the client is sent away. */
static void stop(struct conversation *c) {
    for (int reads = 0; reads < 64 && !c->has_ended && receive(c); reads++) {}
    const char *text = "the server is shutting down";
    if (c->closing) return;
    if (!c->greeted) return drop(c, SHUTTING_DOWN, text);
    if (!c->is_short) {
        uint8_t *at = stage(c, 24 + 27);
        put_header(at, 12 + 27, GOAWAY, 0, 0);
        put16(at + 12, SHUTTING_DOWN);
        put16(at + 14, 0);
        put32(at + 16, 0);
        put32(at + 20, 1000);
        memcpy(at + 24, text, 27);
    }
    close_orderly(c, SHUTTING_DOWN, text);
}

/* The end. */

unsigned put_log_line(char *at, unsigned size, const char *level, const char *rest) {
    static time_t second; /* of the text of the date: many lines are of one second */
    static char date[32];
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (time.tv_sec != second || !*date) {
        struct tm parts;
        gmtime_r(&time.tv_sec, &parts);
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
        second = time.tv_sec;
    }
    int count = snprintf(at, size, "%s.%03dZ %s %s\n", date, (int)(time.tv_nsec / MS), level, rest);
    return count >= (int)size ? size - 1 : (unsigned)count;
}

void log_line(int log, const char *level, const char *rest) {
    char line[1024];
    unsigned count = put_log_line(line, sizeof line, level, rest);
    ssize_t ignored = write(log, line, count);
    (void)ignored;
}

unsigned put_report(struct conversation *c, const char *peer, char *at, unsigned size) {
    char rest[768];
    bool is_lost = c->ending == UINT16_MAX;
    const char *name = is_lost ? "LOST" : c->ending < 21 ? code_names[c->ending] : "unknown";
    bool quiet = c->ending == NORMAL || c->ending == SHUTTING_DOWN;
    int64_t age = (now_ns() - c->accepted_at) / MS;
    snprintf(rest, sizeof rest,
             "closed connection=%llu pid=%d peer=%s reason=%s%s%s age=%lld.%03llds requests=%llu bytes_in=%llu "
             "bytes_out=%llu%s%s%s",
             (unsigned long long)c->connection, getpid(), peer, name, is_lost ? "" : " by=", is_lost ? "" : c->ended_by,
             (long long)(age / 1000), (long long)(age % 1000), (unsigned long long)c->requests,
             (unsigned long long)c->bytes_in, (unsigned long long)c->bytes_out, *c->ending_text ? " text=\"" : "",
             c->ending_text, *c->ending_text ? "\"" : "");
    return put_log_line(at, size, quiet ? "info" : "warning", rest);
}

static void report(struct conversation *c, const char *peer, int log) {
    char line[1024];
    unsigned count = put_report(c, peer, line, sizeof line);
    ssize_t ignored = write(log, line, count);
    (void)ignored;
}

static void show(struct conversation *c, struct slot *slot) {
    if (!slot) return;
    slot->requests = c->requests;
    slot->bytes_in = c->bytes_in;
    slot->bytes_out = c->bytes_out;
    slot->heard_at = (uint64_t)c->heard_at;
    slot->state = c->closing ? 3 : !c->greeted ? 0 : c->waiting + c->unsent_count ? 2 : 1;
}

void begin(struct conversation *c, int fd, uint64_t connection, const struct terms *terms, int64_t now) {
    c->fd = fd;
    c->connection = connection;
    c->terms = terms;
    c->now = c->accepted_at = c->heard_at = now;
    c->asked = c->blocked_since = c->give_up_at = c->leave_at = NEVER;
    c->ending_text = "";
}

static bool is_over(struct conversation *c) {
    flush(c);
    if (!c->is_blocked) c->blocked_since = NEVER;
    if (c->close_staged && unsent(c) == 0 && !c->is_shut) {
        shutdown(c->fd, SHUT_WR);
        c->is_shut = true;
        c->leave_at = c->now + 1000 * MS; /* 7.1-3 */
        c->blocked_since = NEVER;
    }
    return c->broken || (c->is_shut && (c->has_ended || c->now >= c->leave_at));
}

bool take_turn(struct conversation *c, short ready, bool is_told_to_stop, int64_t now) {
    c->now = now;
    if (ready & (POLLIN | POLLHUP | POLLERR)) {
        if (c->has_ended && ready & (POLLHUP | POLLERR)) lost(c, "the client is gone");
        else if (!c->has_ended) receive(c);
    }
    grant_if_late(c);
    if (is_told_to_stop) stop(c);
    if (c->is_blocked) flush(c); /* room is announced late: a slow reader is judged by what the kernel takes */
    judge(c);
    if (is_over(c)) return false;
    c->asked = deadline(c);
    return true;
}

void leave(struct conversation *c) {
    /* With unread bytes in it the socket would be reset, and what was just said be lost. */
    while (recv(c->fd, c->in, input_size, MSG_DONTWAIT) > 0) {}
}

void converse(int fd, uint64_t connection, const char *peer, const struct terms *terms, struct slot *slot, int log) {
    static struct {
        struct conversation conversation; /* what is touched lies together */
        struct output out;
        uint8_t in[input_size];
    } own;
    struct conversation *c = &own.conversation;
    sigset_t open;
    sigprocmask(SIG_BLOCK, NULL, &open);
    sigdelset(&open, SIGTERM);
    begin(c, fd, connection, terms, now_ns());
    c->in = own.in;
    c->out = &own.out;
    bool goes_on = take_turn(c, POLLIN, false, c->now); /* what the client sent at once is there as a rule */
    while (true) {
        show(c, slot);
        if (!goes_on) break;
        struct pollfd entry = {fd, (short)((c->has_ended ? 0 : POLLIN) | (c->is_blocked ? POLLOUT : 0)), 0};
        struct timespec wait, *until = NULL;
        if (c->asked != NEVER) {
            int64_t left = c->asked - now_ns();
            if (left < 0) left = 0;
            wait = (struct timespec){left / 1000000000, left % 1000000000};
            until = &wait;
        }
        int ready = ppoll(&entry, 1, until, &open);
        bool is_told = told_to_stop;
        told_to_stop = 0;
        goes_on = take_turn(c, ready > 0 ? entry.revents : 0, is_told, now_ns());
    }
    if (log >= 0) report(c, peer, log);
    leave(c);
}

uint32_t number(const char *flag, const char *text, uint32_t least, uint32_t most) {
    char *end;
    errno = 0;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;
    if (!text || errno || !*text || *end || *text == '-' || value < least || value > most) {
        fprintf(stderr, "%s needs a whole number from %u to %u\n", flag, least, most);
        exit(64);
    }
    return (uint32_t)value;
}

struct flags read_flags(const char *program, int count, char **arguments) {
    struct flags flags = {.backlog = 4096, .limit = 10000, .terms = {30000, 10000}, .log = 2};
    for (int i = 1; i < count; i++) {
        const char *flag = arguments[i], *value = arguments[i + 1];
        if (!strcmp(flag, "--port")) flags.port = number(flag, value, 0, 65535), i++;
        else if (!strcmp(flag, "--timeout")) flags.terms.timeout = number(flag, value, 100, 86400000), i++;
        else if (!strcmp(flag, "--handshake-timeout"))
            flags.terms.handshake_timeout = number(flag, value, 100, 86400000), i++;
        else if (!strcmp(flag, "--max-connections")) flags.limit = number(flag, value, 1, 1000000), i++;
        else if (!strcmp(flag, "--backlog")) flags.backlog = number(flag, value, 1, 65535), i++;
        else if (!strcmp(flag, "--quiet")) flags.log = -1;
        else {
            fprintf(stderr, "%s: %s is no flag: see the first lines of %s.c\n", program, flag, program);
            exit(64);
        }
    }
    return flags;
}

int listen_at(const char *program, uint32_t port, uint32_t backlog) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited by what it accepts */
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, (int)backlog)) {
        fprintf(stderr, "%s: listen: %s\n", program, strerror(errno));
        exit(69);
    }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

/* One Lifeline conversation on a connected socket, from the first byte to the last: what forking.c, echo.c and looping.c
   share. */
#ifndef CONVERSATION_H
#define CONVERSATION_H

#include <stdbool.h>
#include <stdint.h>

struct terms {
    uint32_t timeout;           /* T, in milliseconds */
    uint32_t handshake_timeout; /* in milliseconds */
};

/* What is seen of a connection from outside, in memory that parent and child share. */
struct slot {
    volatile int32_t pid; /* 0: free */
    volatile uint32_t state;
    volatile uint64_t connection, heard_at, requests, bytes_in, bytes_out;
};

#define MS INT64_C(1000000)
#define NEVER INT64_MAX

enum {
    max_frame = 16384,
    max_message = 1 << 20,
    max_in_flight = 256,
    max_queued = 4 << 20,
    most_refusals = 4096,
    staged_at_once = 16384, /* 5.4-3: a PONG waits for no more than this and one frame */
    writes_at_once = 8,     /* then the client's bytes get their turn */
    bucket_size = 20,
    input_size = 65536,
};

/* An answer that waits for the kernel to take what is before it. */
struct waiting {
    struct waiting *next;
    uint32_t id, length, staged;
    uint16_t failure; /* 0: a response */
    uint8_t *bytes;
};

/* What is staged, and the ends of the answers in it, in a ring. */
struct output {
    struct { uint64_t end; uint32_t bytes; } unsent[max_in_flight];
    uint8_t bytes[staged_at_once + 12 + max_frame + 2048];
};

/* For a process with many of them: all its own memory but what `in` and `out` point to, which may be lent for a turn.
   `in` has to stay while begin < end, and `out` while out_begin < out_end. */
struct conversation {
    int fd;
    uint64_t connection;
    const struct terms *terms;
    int64_t accepted_at, now;

    /* What came. */
    uint8_t *in; /* input_size bytes */
    uint32_t begin, end;
    uint32_t matched; /* bytes of the preface */
    bool greeted, is_short, has_ended, deaf, broken;
    uint32_t client_frame, client_message; /* the limits of the client */
    uint32_t highest_id, last_id, short_id;
    uint8_t open_type; /* of the message of which chunks are coming, or 0 */
    bool discarding, sent_away, must_close;
    uint32_t open_id, open_length, open_room;
    int64_t open_since;
    uint8_t *open_bytes;
    uint64_t requests, bytes_in, bytes_out;

    /* Time; nanoseconds. */
    int64_t dead_after, ping_step, heard_at, frame_at, bucket_full_at, asked, blocked_since;
    uint64_t frames, frame_timed; /* frames that were taken; which one frame_at is of */
    uint64_t pinged, ponged;      /* nonces of the server's PINGs: the last that was sent, that was answered */
    bool has_asked;               /* whether this silence has had its PING */

    /* What goes. */
    struct output *out;
    uint32_t out_frame, out_begin, out_end; /* the frame that is begun, the first byte that is not sent */
    uint64_t out_total;                     /* bytes staged in all; those sent are out_total - (out_end - out_begin) */
    uint64_t pong_end;                      /* where the last PONG ends, in bytes of the stream */
    bool pong_waits, is_blocked;
    uint64_t pong_nonce;
    struct waiting *first, *last;
    uint32_t waiting, waiting_bytes, refusals;
    uint32_t unsent_first, unsent_count, unsent_bytes;

    /* The end. */
    bool closing, close_staged, is_shut;
    uint16_t close_code;
    const char *close_text;
    char own_text[64]; /* of a text that is made for this connection */
    int64_t give_up_at, leave_at;
    uint16_t ending; /* for the log: a code, or 65535 where the connection was lost */
    const char *ending_text, *ended_by;
};

/* `c` is all zero. */
void begin(struct conversation *c, int fd, uint64_t connection, const struct terms *terms, int64_t now);

/* Does what poll(2) or epoll(7) says can be done, and what is due, and sends what came of it. Returns false at the end;
   else `asked` is the instant of the next turn where nothing is ready before. */
bool take_turn(struct conversation *c, short ready, bool is_told_to_stop, int64_t now);

/* The instant at which something is due. */
int64_t deadline(struct conversation *c);

/* Before the socket is closed. */
void leave(struct conversation *c);


/* SIGTERM says it: the handler of that signal sets it. */
extern volatile int told_to_stop;

/* Serves the client until the end, logs that where `log` is not negative, and returns. The signals of which the loop is
   to learn are blocked by the caller, and come while it waits. `slot` may be a null pointer. */
void converse(int fd, uint64_t connection, const char *peer, const struct terms *terms, struct slot *slot, int log);

/* Writes into `out` the preface and a CLOSE with this code and text, and returns how many bytes that is. */
enum { refusal_size = 8 + 12 + 12 + 512 };
unsigned refusal(uint8_t *out, uint16_t code, uint32_t retry_after, const char *text);

/* One line of the log, in one write: the time, the level, and the rest. */
void log_line(int log, const char *level, const char *rest);

/* The same into memory, and the line for the end of a conversation. Each returns how many bytes that is. */
unsigned put_log_line(char *at, unsigned size, const char *level, const char *rest);
unsigned put_report(struct conversation *c, const char *peer, char *at, unsigned size);

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t now_ns(void);

/* What the flags of a server say. */
struct flags {
    uint32_t port, backlog, limit;
    struct terms terms;
    int log;
};

/* Reads them, or ends with status 64 and says what was wrong. They stand in the first lines of `program`.c. */
struct flags read_flags(const char *program, int count, char **arguments);

/* Listens at 127.0.0.1, without blocking, and says where; or ends with status 69. */
int listen_at(const char *program, uint32_t port, uint32_t backlog);

/* Reads a whole number from least to most, or ends with status 64 and says what was wrong. */
uint32_t number(const char *flag, const char *text, uint32_t least, uint32_t most);

enum { BUSY = 12, SHUTTING_DOWN = 13 };

#endif

/* One Lifeline conversation on a connected socket, from the first byte to the last: what forking.c and echo.c share. */
#ifndef CONVERSATION_H
#define CONVERSATION_H

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

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t now_ns(void);

/* Reads a whole number from least to most, or ends with status 64 and says what was wrong. */
uint32_t number(const char *flag, const char *text, uint32_t least, uint32_t most);

enum { BUSY = 12, SHUTTING_DOWN = 13 };

#endif

// What Swift's view of the C library lacks: GNU calls, and macros. Plain prototypes only; _GNU_SOURCE stands in the .c
// file, because here it would change the prototypes of the socket calls that Swift sees.
#ifndef CPOSIX_H
#define CPOSIX_H

#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>

/// accept4(2) with SOCK_CLOEXEC and SOCK_NONBLOCK.
int cposix_accept(int listener, struct sockaddr *address, socklen_t *length);

/// socket(2) for a stream, with SOCK_CLOEXEC and SOCK_NONBLOCK.
int cposix_stream_socket(int family);

/// Lets a TCP listener answer no SYN any more, while handshakes that have begun still end (SO_ATTACH_FILTER in
/// socket(7)).
int cposix_drop_new_handshakes(int listener);

/// signalfd(2) with SFD_CLOEXEC and SFD_NONBLOCK.
int cposix_signalfd(const sigset_t *signals);
/// The next signal from a signalfd, or -1 with errno.
int cposix_read_signal(int descriptor);

/// eventfd(2) with EFD_CLOEXEC and EFD_NONBLOCK.
int cposix_eventfd(void);

/// One event of epoll_wait(2), without the packing that Swift does not know.
struct cposix_event {
    unsigned long long key;
    int readable;
    int writable;
};
/// epoll_create1(2) with EPOLL_CLOEXEC.
int cposix_epoll(void);
/// epoll_ctl(2) with EPOLL_CTL_ADD and with EPOLL_CTL_MOD.
int cposix_epoll_add(int epoll, int descriptor, unsigned long long key, int reading, int writing);
int cposix_epoll_change(int epoll, int descriptor, unsigned long long key, int reading, int writing);
/// epoll_wait(2) for at most CPOSIX_EVENTS events.
#define CPOSIX_EVENTS 64
int cposix_epoll_wait(int epoll, struct cposix_event *events, int timeout);

/// pthread_setname_np(3) of the calling thread.
void cposix_name_thread(const char *name);

/// The macros of wait(2): the exit status, or -1 where the process was killed; the signal, or 0 where it exited.
int cposix_exit_status(int status);
int cposix_exit_signal(int status);

/// The thread-safe strerror_r(3), its GNU form.
const char *cposix_error_text(int code, char *buffer, size_t size);
/// sigabbrev_np(3): "KILL" for 9, or NULL.
const char *cposix_signal_name(int signal);

/// 1 where AddressSanitizer or ThreadSanitizer is built in.
int cposix_is_sanitized(void);

#endif

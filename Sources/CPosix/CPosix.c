#define _GNU_SOURCE
#include "CPosix.h"

#include <errno.h>
#include <linux/filter.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

int cposix_accept(int listener, struct sockaddr *address, socklen_t *length) {
    return accept4(listener, address, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int cposix_stream_socket(int family) { return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

int cposix_drop_new_handshakes(int listener) {
    // A filter sees a segment from its TCP header on; byte 13 holds the flags, and 0x02 is SYN.
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int cposix_signalfd(const sigset_t *signals) { return signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK); }

int cposix_read_signal(int descriptor) {
    struct signalfd_siginfo info;
    ssize_t count = read(descriptor, &info, sizeof info);
    if (count == (ssize_t)sizeof info) return (int)info.ssi_signo;
    if (count >= 0) errno = EAGAIN;
    return -1;
}

int cposix_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int cposix_epoll(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int control(int epoll, int operation, int descriptor, unsigned long long key, int reading, int writing) {
    struct epoll_event event = {.events = (reading ? EPOLLIN : 0) | (writing ? EPOLLOUT : 0), .data.u64 = key};
    return epoll_ctl(epoll, operation, descriptor, &event);
}

int cposix_epoll_add(int epoll, int descriptor, unsigned long long key, int reading, int writing) {
    return control(epoll, EPOLL_CTL_ADD, descriptor, key, reading, writing);
}

int cposix_epoll_change(int epoll, int descriptor, unsigned long long key, int reading, int writing) {
    return control(epoll, EPOLL_CTL_MOD, descriptor, key, reading, writing);
}

int cposix_epoll_wait(int epoll, struct cposix_event *events, int timeout) {
    struct epoll_event ready[CPOSIX_EVENTS];
    int count = epoll_wait(epoll, ready, CPOSIX_EVENTS, timeout);
    for (int index = 0; index < count; index++) {
        events[index].key = ready[index].data.u64;
        events[index].readable = (ready[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
        events[index].writable = (ready[index].events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    }
    return count;
}

void cposix_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int cposix_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

int cposix_exit_status(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

int cposix_exit_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

int cposix_peer_user(int socket, unsigned int *user) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -1;
    *user = credentials.uid;
    return 0;
}

int cposix_window_size(int descriptor, int *rows, int *columns) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) return -1;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}

void cposix_use_one_heap(void) { mallopt(M_ARENA_MAX, 1); }

const char *cposix_error_text(int code, char *buffer, size_t size) { return strerror_r(code, buffer, size); }

const char *cposix_error_name(int code) { return strerrorname_np(code); }

const char *cposix_signal_name(int signal) { return sigabbrev_np(signal); }

#define _GNU_SOURCE
#include "CPosix.h"

#include <errno.h>
#include <linux/filter.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

int cposix_accept(int listener, struct sockaddr *address, socklen_t *length) {
    return accept4(listener, address, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int cposix_stream_socket(int family) { return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

int cposix_datagram_socket(void) { return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

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

int cposix_read_signal(int descriptor, pid_t *sender) {
    struct signalfd_siginfo info;
    ssize_t count = read(descriptor, &info, sizeof info);
    *sender = (pid_t)info.ssi_pid;
    if (count == (ssize_t)sizeof info) return (int)info.ssi_signo;
    if (count >= 0) errno = EAGAIN;
    return -1;
}

int cposix_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int cposix_resume_timer(void) {
    int timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer < 0) return -1;
    struct itimerspec never = {.it_value.tv_sec = 9000000000};  // In the year 2255.
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) == 0) return timer;
    int error = errno;
    if (error == ECANCELED) return timer;  // It is armed all the same.
    close(timer);
    errno = error;
    return -1;
}

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

int cposix_epoll_remove(int epoll, int descriptor) { return epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, NULL); }

static int translate(const struct epoll_event *ready, int count, struct cposix_event *events) {
    for (int index = 0; index < count; index++) {
        events[index].key = ready[index].data.u64;
        events[index].readable = (ready[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
        events[index].writable = (ready[index].events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    }
    return count;
}

int cposix_epoll_wait(int epoll, struct cposix_event *events, int most, int timeout) {
    struct epoll_event ready[CPOSIX_EVENTS];
    if (most > CPOSIX_EVENTS) most = CPOSIX_EVENTS;
    return translate(ready, epoll_wait(epoll, ready, most, timeout), events);
}

int cposix_epoll_wait_precisely(int epoll, struct cposix_event *events, int most, long long timeout) {
#ifdef SYS_epoll_pwait2
    static int is_missing;
    if (!is_missing) {
        struct epoll_event ready[CPOSIX_EVENTS];
        if (most > CPOSIX_EVENTS) most = CPOSIX_EVENTS;
        struct timespec wait = {.tv_sec = timeout / 1000000000, .tv_nsec = timeout % 1000000000};
        int count = (int)syscall(SYS_epoll_pwait2, epoll, ready, most, &wait, NULL, 0);
        if (count >= 0 || errno != ENOSYS) return translate(ready, count, events);
        is_missing = 1;
    }
#endif
    long long milliseconds = (timeout + 999999) / 1000000;
    return cposix_epoll_wait(epoll, events, most, milliseconds > 1000000000 ? 1000000000 : (int)milliseconds);
}

void cposix_wake_precisely(void) { prctl(PR_SET_TIMERSLACK, 1UL); }

void cposix_bind_without_port(int socket) {
    int on = 1;
    setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
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

int cposix_unacknowledged(int descriptor) {
    int count = 0;
    return ioctl(descriptor, TIOCOUTQ, &count) == 0 ? count : -1; /* SIOCOUTQ is the same number. */
}

int cposix_window_size(int descriptor, int *rows, int *columns) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) return -1;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}

// The limit is the program's as it was inherited. Where a flag has lowered it since, the lower one holds.
static void restore(const struct cposix_limit *limit) {
    struct rlimit now;
    if (getrlimit(limit->resource, &now) != 0) return;
    rlim_t soft = limit->inherited;
    if (now.rlim_cur != limit->own && now.rlim_cur < soft) soft = now.rlim_cur;
    now.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max;
    setrlimit(limit->resource, &now);
}

// What runs between vfork and exec runs in the caller's memory, while the caller waits: system calls alone, and nothing
// of the caller's is written but its errno. So starting costs the same however large the caller is.
static int become(
    pid_t parent, const char *path, char *const arguments[], char *const shell_arguments[], char *const environment[],
    const int streams[3], const struct cposix_limit limits[], size_t count) {
    // sigaction(2) without the C library, which refuses the two signals that it keeps for itself, though they may be
    // ignored here as any other: zeros are SIG_DFL, and the last argument the kernel's size of a mask.
    static const char standard[64];
    for (int signal = 1; signal < NSIG; signal++) syscall(SYS_rt_sigaction, signal, standard, NULL, 8);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
    if (getppid() != parent) _exit(0);  // It died before it could be watched.
    if (setpgid(0, 0) != 0) return errno;
    for (int number = 0; number < 3; number++) {
        if (dup2(streams[number], number) < 0) return errno;
    }
    closefrom(3);
    for (size_t index = 0; index < count; index++) restore(&limits[index]);
    cposix_block_signals(0);
    execve(path, arguments, environment);
    if (errno == ENOEXEC) execve(shell_arguments[0], shell_arguments, environment);
    return errno;
}

pid_t cposix_start(
    const char *path, char *const arguments[], char *const shell_arguments[], char *const environment[], int input,
    int output, int errors, const struct cposix_limit limits[], size_t count) {
    const int streams[3] = {input, output, errors};
    const pid_t parent = getpid();
    volatile int failure = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        failure = become(parent, path, arguments, shell_arguments, environment, streams, limits, count);
        _exit(127);
    }
    if (pid > 0 && failure != 0) {
        while (waitpid(pid, NULL, 0) == -1 && errno == EINTR) continue;
        errno = failure;
        return -1;
    }
    return pid;
}

int cposix_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1); }

pid_t cposix_ended_child(void) {
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1) {
        if (errno != EINTR) return -1;
    }
    return info.si_pid;
}

void cposix_use_one_heap(void) {
    mallopt(M_ARENA_MAX, 1);
}

void cposix_release_free_memory(void) { malloc_trim(0); }

void cposix_release_stack(void) {
    // Handlers aside, nothing in this program goes deeper. The page below this frame stays: the call uses it.
    enum { depth = 65536, page = 4096 };
    uintptr_t end = ((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)(page - 1)) - page;
    madvise((void *)(end - depth), depth, MADV_DONTNEED);
}

// Without this /proc is read before each fork: 4 % more processor time for a short connection (tools/dev/cost).
int cposix_never_had_threads(void) { return __libc_single_threaded != 0; }

void cposix_write_output_by_line(void) {
    fflush(stdout);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

void cposix_write_unfinished_output(void) {
    // Most processes print nothing. They do not even touch the stream, whose memory they share with their parent.
    if (__fpending(stdout) == 0) return;
    // A thread that is blocked in its write keeps the lock, and a reader that does not read keeps the pipe full.
    struct pollfd output = {.fd = 1, .events = POLLOUT};
    if (poll(&output, 1, 0) != 1 || ftrylockfile(stdout) != 0) return;
    fflush_unlocked(stdout);
    funlockfile(stdout);
}

// With fork(2) a short connection takes 4 % more processor time, and 20 page faults for 16 (tools/dev/cost).
int cposix_fork(void) { return _Fork(); }

// Without this a short connection takes 4 % more processor time, and 21 page faults for 16 (tools/dev/cost).
void cposix_fill_heap(void) {
    enum { largest = 120000, most = 1 << 20 };
    size_t filled = 0;
    // No hole is as large as this, and still malloc(3) takes it from the heap: it lies at the end, and marks it.
    const char *end = malloc(largest);
    for (size_t size = largest / 2; size >= 24 && filled < most; size = size > 1032 ? size / 2 : size - 16) {
        const char *piece;
        do {
            piece = malloc(size);
            filled += size;
        } while (piece && piece < end && filled < most);
    }
}

const char *cposix_error_text(int code, char *buffer, size_t size) { return strerror_r(code, buffer, size); }

const char *cposix_error_name(int code) { return strerrorname_np(code); }

const char *cposix_signal_name(int signal) { return sigabbrev_np(signal); }

int cposix_is_sanitized(void) { return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer); }

#if __has_feature(thread_sanitizer)
// The standard library is not instrumented, so ThreadSanitizer would report what some of its functions order. They are
// replaced by themselves, plus what the sanitizer has to know; so nothing is suppressed.
#include <dlfcn.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

// A lock of Synchronization.Mutex that is contended goes through the kernel. `self` is the word that it consists of.
#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

SWIFT void cposix_lock_slow(unsigned state, SELF) __asm__(LOCK);
SWIFT void cposix_unlock_slow(SELF) __asm__(UNLOCK);

SWIFT void cposix_lock_slow(unsigned state, SELF) {
    typedef SWIFT void function(unsigned, SELF);
    ((function *)dlsym(RTLD_NEXT, LOCK))(state, self);
    __tsan_acquire(self);
}

SWIFT void cposix_unlock_slow(SELF) {
    typedef SWIFT void function(SELF);
    __tsan_release(self);
    ((function *)dlsym(RTLD_NEXT, UNLOCK))(self);
}

// Who resumes a continuation releases its task, which acquires that in the executor alone: not where it was resumed
// before it waited, or just then, and goes on at once. Of the first the beginning of the wait tells, of the second this
// call at its end, with the task current.
#define ASYNC __attribute__((swiftasynccall))

__attribute__((weak)) void *swift_task_getCurrent(void);

static void acquire_task(void) {
    void *task = swift_task_getCurrent ? swift_task_getCurrent() : NULL;
    if (task) __tsan_acquire(task);
}

__attribute__((disable_sanitizer_instrumentation)) ASYNC void swift_continuation_await(void *context) {
    typedef ASYNC void function(void *);
    acquire_task();
    function *next = (function *)dlsym(RTLD_NEXT, "swift_continuation_await");
    __attribute__((musttail)) return next(context);
}

void swift_task_enterThreadLocalContext(void *context) {
    typedef void function(void *);
    acquire_task();
    ((function *)dlsym(RTLD_NEXT, "swift_task_enterThreadLocalContext"))(context);
}
#endif

// Whether a program waits for its standard input. The kernel does not tell that of a pipe, but it tells of each thread in
// which call it is blocked, and with which arguments (/proc/pid/task/tid/syscall in proc(5)).
#define _GNU_SOURCE
#include "CPosix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { most_processes = 64, most_polled = 64 };

struct pipe_of_program {
    dev_t device;
    ino_t number;
};

static ssize_t read_text(const char *path, char *text, size_t size) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    const ssize_t count = read(file, text, size - 1);
    const int error = errno;
    close(file);
    errno = error;
    text[count > 0 ? count : 0] = 0;
    return count;
}

static int is_pipe(pid_t process, unsigned long descriptor, const struct pipe_of_program *pipe) {
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/fd/%lu", process, descriptor);
    return stat(path, &status) == 0 && status.st_dev == pipe->device && status.st_ino == pipe->number;
}

// What the process keeps at `address`: up to `size` bytes.
static ssize_t read_memory(pid_t process, unsigned long address, void *bytes, size_t size) {
    const struct iovec here = {bytes, size}, there = {(void *)address, size};
    return process_vm_readv(process, &here, 1, &there, 1, 0);
}

static int polls(pid_t process, const unsigned long *arguments, const struct pipe_of_program *pipe) {
    struct pollfd entries[most_polled];
    const size_t count = arguments[1] < most_polled ? arguments[1] : most_polled;
    if (count == 0) return 0;
    const ssize_t size = read_memory(process, arguments[0], entries, count * sizeof *entries);
    for (ssize_t index = 0; index < size / (ssize_t)sizeof *entries; index++) {
        if (entries[index].fd < 0 || !(entries[index].events & (POLLIN | POLLRDNORM))) continue;
        if (is_pipe(process, (unsigned long)entries[index].fd, pipe)) return 1;
    }
    return 0;
}

static int selects(pid_t process, const unsigned long *arguments, const struct pipe_of_program *pipe) {
    unsigned long word;
    if (read_memory(process, arguments[1], &word, sizeof word) != sizeof word) return 0;
    for (unsigned long descriptor = 0; descriptor < 8 * sizeof word && descriptor < arguments[0]; descriptor++) {
        if (word >> descriptor & 1 && is_pipe(process, descriptor, pipe)) return 1;
    }
    return 0;
}

static int waits_for_events(pid_t process, unsigned long epoll, const struct pipe_of_program *pipe) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%lu", process, epoll);
    if (read_text(path, text, sizeof text) <= 0) return 0;
    for (const char *line = text; (line = strstr(line, "tfd:")); line += 4) {
        unsigned long descriptor;
        unsigned events;
        if (sscanf(line, "tfd: %lu events: %x", &descriptor, &events) == 2 && events & 1 /* EPOLLIN */
            && is_pipe(process, descriptor, pipe)) return 1;
    }
    return 0;
}

// What the kernel tells of a thread's calls, to be read again for as long as the thread lives; -1 with an errno.
static int open_calls(pid_t process, pid_t thread) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", process, thread);
    return open(path, O_RDONLY | O_CLOEXEC);
}

// Whether the thread whose `calls` were opened is blocked until `pipe` has bytes. -1 where the kernel does not tell.
static int thread_waits(pid_t process, int calls, const struct pipe_of_program *pipe) {
    char text[256];
    const ssize_t count = calls < 0 ? -1 : pread(calls, text, sizeof text - 1, 0);
    if (count <= 0) {
        const int is_gone = errno == ESRCH || (errno == ENOENT && access("/proc/self/syscall", F_OK) == 0);
        return is_gone ? 0 : -1;
    }
    text[count] = 0;
    long call;
    unsigned long arguments[6];
    const int fields = sscanf(
        text, "%ld %lx %lx %lx %lx %lx %lx", &call, arguments, arguments + 1, arguments + 2, arguments + 3,
        arguments + 4, arguments + 5);
    if (fields < 7) return 0;  // It runs, or is blocked outside of a call.
    switch (call) {
    case SYS_read:
    case SYS_readv:
    case SYS_splice:
    case SYS_tee:
        return is_pipe(process, arguments[0], pipe);
#ifdef SYS_poll
    case SYS_poll:
#endif
    case SYS_ppoll:
        return polls(process, arguments, pipe);
#ifdef SYS_select
    case SYS_select:
#endif
    case SYS_pselect6:
        return selects(process, arguments, pipe);
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
#endif
    case SYS_epoll_pwait:
        return waits_for_events(process, arguments[0], pipe);
    case SYS_io_uring_enter:     // What it waits for cannot be seen.
    case SYS_restart_syscall:    // Stopped in a wait, and continued.
        return 1;
    default:
        return 0;
    }
}

static int process_waits(pid_t process, const struct pipe_of_program *pipe, int waiter[2], int *left);

static int children_wait(
    pid_t process, pid_t thread, const struct pipe_of_program *pipe, int waiter[2], int *left) {
    char path[64], list[1024];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", process, thread);
    if (read_text(path, list, sizeof list) < 0) return access("/proc/self/task", F_OK) == 0 ? 0 : -1;
    int result = 0;
    char *rest = list;
    for (long child; (child = strtol(rest, &rest, 10)) > 0 && result != 1;) {
        const int waits = process_waits((pid_t)child, pipe, waiter, left);
        if (waits != 0) result = waits;
    }
    return result;
}

static int process_waits(pid_t process, const struct pipe_of_program *pipe, int waiter[2], int *left) {
    if (--*left < 0) return 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *threads = opendir(path);
    if (!threads) return errno == ENOENT && access("/proc/self/task", F_OK) == 0 ? 0 : -1;
    int result = 0;
    for (struct dirent *entry; result != 1 && (entry = readdir(threads));) {
        const pid_t thread = (pid_t)atoi(entry->d_name);
        if (thread <= 0) continue;
        const int calls = open_calls(process, thread);
        int waits = thread_waits(process, calls, pipe);
        if (waits == 1) {
            waiter[0] = process;
            waiter[1] = calls;
        } else {
            if (calls >= 0) close(calls);
            const int below = children_wait(process, thread, pipe, waiter, left);
            if (below != 0) waits = below;
        }
        if (waits != 0) result = waits;
    }
    closedir(threads);
    return result;
}

int cposix_waits_for_input(pid_t process, int input, int waiter[2], int thorough) {
    struct stat status;
    int unread = 0;
    // What waits in the pipe is read first. A thread that it has woken still shows the call in which it waited.
    if (fstat(input, &status) != 0 || ioctl(input, FIONREAD, &unread) != 0) return -1;
    if (unread > 0) return 0;
    const struct pipe_of_program pipe = {status.st_dev, status.st_ino};
    // As a rule it is the thread that waited last. The file is that thread's, whoever has its number by now.
    if (waiter[1] >= 0) {
        if (thread_waits(waiter[0], waiter[1], &pipe) == 1) return 1;
        if (!thorough) return 0;
        close(waiter[1]);
        waiter[1] = -1;
    }
    int left = most_processes;
    return process_waits(process, &pipe, waiter, &left);
}

int cposix_unread(int input) {
    int unread = 0;
    return ioctl(input, FIONREAD, &unread) == 0 ? unread : 0;
}

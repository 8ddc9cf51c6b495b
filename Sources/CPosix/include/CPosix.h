// What Swift's view of the C library lacks: GNU calls, and macros. Plain prototypes only; _GNU_SOURCE stands in the .c
// file, because here it would change the prototypes of the socket calls that Swift sees.
#ifndef CPOSIX_H
#define CPOSIX_H

#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/// accept4(2) with SOCK_CLOEXEC and SOCK_NONBLOCK.
int cposix_accept(int listener, struct sockaddr *address, socklen_t *length);

/// socket(2) for a stream, with SOCK_CLOEXEC and SOCK_NONBLOCK.
int cposix_stream_socket(int family);

/// Lets a TCP listener answer no SYN any more, while handshakes that have begun still end (SO_ATTACH_FILTER in
/// socket(7)).
int cposix_drop_new_handshakes(int listener);

/// socket(2) for datagrams between processes of this machine, with SOCK_CLOEXEC and SOCK_NONBLOCK.
int cposix_datagram_socket(void);

/// mmap(2) of `size` zeroed bytes that this process and those that it forks share, or NULL with errno.
void *cposix_share(size_t size);
/// mmap(2) of `size` zeroed bytes that no process has that this one forks (MADV_DONTFORK in madvise(2)), or NULL with
/// errno.
void *cposix_keep(size_t size);

/// signalfd(2) with SFD_CLOEXEC and SFD_NONBLOCK.
int cposix_signalfd(const sigset_t *signals);
/// The next signal from a signalfd and the process that it comes from, or -1 with errno.
int cposix_read_signal(int descriptor, pid_t *sender);

/// eventfd(2) with EFD_CLOEXEC and EFD_NONBLOCK.
int cposix_eventfd(void);

/// timerfd_create(2) of a timer that no loop waits for to expire, but to be cancelled: when the machine resumes, or the
/// time of day is set (TFD_TIMER_CANCEL_ON_SET). It has TFD_CLOEXEC and TFD_NONBLOCK; -1 with errno.
int cposix_resume_timer(void);

/// socketpair(2) of Unix sockets of `type`, with SOCK_CLOEXEC.
int cposix_socket_pair(int type, int ends[2]);
/// The most descriptors in one message of a channel.
#define CPOSIX_GIVEN 64
/// sendmsg(2) of `words` and copies of `count` descriptors, at most CPOSIX_GIVEN (SCM_RIGHTS in unix(7)), without blocking;
/// 0, or -1 with errno.
int cposix_send_descriptors(int channel, const int descriptors[], size_t count, const void *words, size_t length);
/// recvmsg(2) of what the other end sent, without blocking: the bytes of `words`, 0 at the end, or -1 with errno.
/// `*count` descriptors are the caller's from now on, with CLOEXEC; before the call it says how many there is room for.
ssize_t cposix_receive_descriptors(int channel, int descriptors[], size_t *count, void *words, size_t length);

/// One event of epoll_wait(2), without the packing that Swift does not know.
struct cposix_event {
    unsigned long long key;
    int readable;
    int writable;
};
/// epoll_create1(2) with EPOLL_CLOEXEC.
int cposix_epoll(void);
/// epoll_ctl(2) with EPOLL_CTL_ADD, with EPOLL_CTL_MOD and with EPOLL_CTL_DEL.
int cposix_epoll_add(int epoll, int descriptor, unsigned long long key, int reading, int writing);
int cposix_epoll_change(int epoll, int descriptor, unsigned long long key, int reading, int writing);
int cposix_epoll_remove(int epoll, int descriptor);
/// epoll_wait(2) for up to `most` events, and for no more than CPOSIX_EVENTS.
#define CPOSIX_EVENTS 512
int cposix_epoll_wait(int epoll, struct cposix_event *events, int most, int timeout);
/// epoll_wait(2) with a timeout in nanoseconds (epoll_pwait2(2)).
int cposix_epoll_wait_precisely(int epoll, struct cposix_event *events, int most, long long timeout);

/// Lets waits end within a nanosecond of their time, not within 50 us (PR_SET_TIMERSLACK in prctl(2)).
void cposix_wake_precisely(void);

/// Takes the address for connect(2) and leaves the port to it (IP_BIND_ADDRESS_NO_PORT in ip(7)).
void cposix_bind_without_port(int socket);

/// pthread_setname_np(3) of the calling thread.
void cposix_name_thread(const char *name);

/// The user at the other end of a connection of a Unix socket (SO_PEERCRED in unix(7)); 0, or -1 with errno.
int cposix_peer_user(int socket, unsigned int *user);

/// The bytes that a socket has sent and its peer has not acknowledged (SIOCOUTQ in tcp(7)); -1 with errno.
int cposix_unacknowledged(int descriptor);

/// The rows and columns of the terminal on `descriptor` (TIOCGWINSZ in ioctl_tty(2)); 0, or -1 with errno.
int cposix_window_size(int descriptor, int *rows, int *columns);

/// Switches the terminal on standard input to single bytes without echo (termios(3)). Its own mode comes back by
/// `cposix_restore_lines`, and by each signal that ends or stops the process; `wake_up` is an eventfd(2) that is written
/// to when the process goes on after a stop. For one thread, once. Returns 0, or -1 with errno.
int cposix_edit_lines(int wake_up);

/// Gives the terminal on standard input its own mode again; nothing where it has that.
void cposix_restore_lines(void);

/// Frees the memory that `ps` shows for a title: what the environment holds is copied elsewhere. `start` is the first
/// byte of the arguments (proc(5)). Returns how many bytes there are, or 0 where it is not known.
size_t cposix_take_title(char *start, size_t arguments);

/// prctl(2) with PR_SET_NO_NEW_PRIVS.
int cposix_no_new_privileges(void);

/// The macros of wait(2): the exit status, or -1 where the process was killed; the signal, or 0 where it exited.
int cposix_exit_status(int status);
int cposix_exit_signal(int status);

/// A limit that this process has changed for itself (setrlimit(2)): the soft limit that it inherited, and its own.
struct cposix_limit {
    int resource;
    unsigned long long inherited;
    unsigned long long own;
};
/// Starts the program at `path` as the leader of a process group of its own, with these three descriptors (above 2) as
/// its standard streams and no other, no signal blocked or ignored, the limits as they were inherited, and SIGKILL at the
/// death of the caller (PR_SET_PDEATHSIG in prctl(2)). It is started when this returns; -1 with errno where that failed.
///
/// A file in no format that the kernel knows is a script for /bin/sh, as in execvp(3): with `shell_arguments`.
pid_t cposix_start(
    const char *path, char *const arguments[], char *const shell_arguments[], char *const environment[], int input,
    int output, int errors, const struct cposix_limit limits[], size_t count);

/// Whether a thread of `process`, or of what it has started, is blocked until the pipe with the end `input` has bytes, and
/// has read all that was written to it; -1 where the kernel does not tell (proc(5)). `waiter` is the process of the thread
/// that did last, and a descriptor of what the kernel tells of it: 0 and -1 at first. The caller closes
/// the descriptor. Unless `thorough` is set, no other thread is looked at while that one does something else.
int cposix_waits_for_input(pid_t process, int input, int waiter[2], int thorough);
/// The bytes of a pipe that nobody has read, by either of its ends (FIONREAD in pipe(7)).
int cposix_unread(int input);

/// What a signal does (sigaction(2)): 0 its default, 1 nothing, 2 it has a handler.
int cposix_disposition(int signal);
/// Ignores a signal, or gives it its default.
void cposix_set_disposition(int signal, int is_ignored);
/// The signals that are blocked, and those that wait for that (sigprocmask(2), sigpending(2)): bit 0 is signal 1.
unsigned long long cposix_blocked_signals(void);
unsigned long long cposix_pending_signals(void);
/// Blocks these signals and no others.
void cposix_block_signals(unsigned long long mask);
/// Stops the timers of setitimer(2) and alarm(2), which execve(2) keeps. Returns 1 where one was running.
int cposix_stop_timers(void);
/// Lets waits end within the usual 50 us where they were allowed to be later (PR_SET_TIMERSLACK in prctl(2)); 1 if so.
int cposix_reset_timer_slack(void);
/// The signal at the death of the parent process, or 0 (PR_SET_PDEATHSIG in prctl(2)).
int cposix_death_signal(void);
void cposix_set_death_signal(int signal);
/// The size of the stacks of later threads (pthread_setattr_default_np(3)).
void cposix_set_thread_stack(size_t size);
/// Starts `count` threads, at most 16, and ends them again: 0, or the error of pthread_create(3).
int cposix_try_threads(int count);
/// Takes entries without a name or without `=` out of the environment, and of entries of one name all but the first, which
/// getenv(3) finds. Returns how many.
size_t cposix_clean_environment(void);

/// Makes this process the new parent of descendants whose own parent dies (PR_SET_CHILD_SUBREAPER in prctl(2)).
int cposix_adopt_orphans(void);

/// A child that has ended and is not reaped, which stays so (waitid(2), WNOWAIT): its number, 0 where all of them are
/// alive, or -1 where there is no child.
pid_t cposix_ended_child(void);

/// Memory that this process writes and those forked from it can only read (memfd_create(2), mmap(2), madvise(2)):
/// `size` bytes of zeros, for writing at `*written`, for reading at `*read`. 0, or -1 with errno.
int cposix_make_board(size_t size, void **written, const void **read);

/// Installs handlers for the signals of a crash (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS), for this
/// process and those forked from it. They send the process's notice, `length` of at most 128 bytes, and then end the
/// process as the signal would have.
void cposix_install_crash_handlers(const unsigned char *notice, size_t length);
/// Gives the calling thread a stack of its own for these handlers (sigaltstack(2)).
void cposix_add_crash_stack(void);
/// Takes that stack back: the thread is about to end.
void cposix_remove_crash_stack(void);
/// The socket that this process's notice goes to, and where a crash writes the bytes of the address space.
void cposix_bind_crash_notice(int socket, unsigned long long *size);
/// This process has no notice any more.
void cposix_forget_crash_notice(void);
/// Whether a crash sends the notice from now on, and the 32-bit big-endian number in it at `offset`.
void cposix_arm_crash_notice(int is_armed, size_t offset, unsigned int number);

/// A connection of a process with several, as a crash of the process finds it.
struct cposix_crash_entry {
    /// Where the notice goes, or -1 for nowhere.
    volatile int socket;
    /// What stands in the notice at the table's offset.
    volatile unsigned int number;
    /// Where the bytes of the address space are written if the crash is this connection's fault; NULL in an unused entry.
    unsigned long long *volatile size;
};
/// Makes a crash of this process send its notice to each entry of `table`: memory of the process that stays, zeros at first.
void cposix_use_crash_table(struct cposix_crash_entry *table, size_t count, size_t offset);
/// Lets a crash of the calling thread be the fault of an entry from now on, or of none where it is NULL.
void cposix_at_fault(struct cposix_crash_entry *entry);

/// One heap for all threads (mallopt(3), M_ARENA_MAX): a second one would reserve 64 MiB of address space.
void cposix_use_one_heap(void);
/// Gives the kernel back the pages that lie in free memory of the heap, wherever they are (malloc_trim(3)).
void cposix_release_free_memory(void);
/// Gives the kernel back the pages of the main thread's stack that lie below the caller's: the next deep call gets zeros.
void cposix_release_stack(void);
/// 1 where this process has one thread, and has always had one (__libc_single_threaded); 0 where that is not known.
int cposix_never_had_threads(void);

/// Writes what was printed on standard output until now, and from then on each line at its end (setvbuf(3)).
void cposix_write_output_by_line(void);
/// Writes what the C library keeps of what was printed on standard output, unless that would wait (fflush(3)).
void cposix_write_unfinished_output(void);

/// _Fork(3): fork(2) without handlers of pthread_atfork(3), and without the locks of the C library.
int cposix_fork(void);

/// Allocates the holes of the heap for good, so that later allocations lie together.
void cposix_fill_heap(void);

/// Lets go of the pages of the program's data that, by `map` (/proc/pid/pagemap in proc(5)), nothing was written to; they
/// are read from the file again when they are needed (MADV_DONTNEED in madvise(2)).
void cposix_forget_clean_data(int map);

/// Puts the code of the program on huge pages, as far as it fills them, or leaves it where it is. The process has one
/// thread (madvise(2), MADV_COLLAPSE; mremap(2)).
void cposix_move_code_to_huge_pages(void);

/// The thread-safe strerror_r(3), its GNU form.
const char *cposix_error_text(int code, char *buffer, size_t size);
/// strerrorname_np(3): "EAGAIN" for 11, or NULL.
const char *cposix_error_name(int code);
/// sigabbrev_np(3): "KILL" for 9, or NULL.
const char *cposix_signal_name(int signal);

/// 1 where AddressSanitizer or ThreadSanitizer is built in.
int cposix_is_sanitized(void);

#endif

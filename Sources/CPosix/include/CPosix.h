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

/// Closes the descriptors from `first` to `last` (close_range(2), or else close(2)).
void cposix_close(int first, int last);

/// eventfd(2) with EFD_CLOEXEC and EFD_NONBLOCK.
int cposix_eventfd(void);

/// socketpair(2) of Unix sockets of `type`, with SOCK_CLOEXEC.
int cposix_socket_pair(int type, int ends[2]);
/// sendmsg(2) of `words` and a copy of `descriptor` (SCM_RIGHTS in unix(7)), without blocking; 0, or -1 with errno.
int cposix_send_descriptor(int channel, int descriptor, const void *words, size_t length);
/// recvmsg(2) of what the other end sent, without blocking: the bytes of `words`, 0 at the end, or -1 with errno.
/// `*descriptor` is the caller's from now on, with CLOEXEC; -1 where none came.
ssize_t cposix_receive_descriptor(int channel, int *descriptor, void *words, size_t length);

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
/// epoll_wait(2) with a timeout in nanoseconds (epoll_pwait2(2)).
int cposix_epoll_wait_precisely(int epoll, struct cposix_event *events, long long timeout);

/// Lets waits end within a nanosecond of their time, not within 50 us (PR_SET_TIMERSLACK in prctl(2)).
void cposix_wake_precisely(void);

/// Takes the address for connect(2) and leaves the port to it (IP_BIND_ADDRESS_NO_PORT in ip(7)).
void cposix_bind_without_port(int socket);

/// pthread_setname_np(3) of the calling thread.
void cposix_name_thread(const char *name);

/// The user at the other end of a connection of a Unix socket (SO_PEERCRED in unix(7)); 0, or -1 with errno.
int cposix_peer_user(int socket, unsigned int *user);

/// The rows and columns of the terminal on `descriptor` (TIOCGWINSZ in ioctl_tty(2)); 0, or -1 with errno.
int cposix_window_size(int descriptor, int *rows, int *columns);

/// Frees the memory that `ps` shows for a title: what the environment holds is copied elsewhere. `start` is the first
/// byte of the arguments (proc(5)). Returns how many bytes there are, or 0 where it is not known.
size_t cposix_take_title(char *start, size_t arguments);

/// prctl(2) with PR_SET_NO_NEW_PRIVS.
int cposix_no_new_privileges(void);

/// The macros of wait(2): the exit status, or -1 where the process was killed; the signal, or 0 where it exited.
int cposix_exit_status(int status);
int cposix_exit_signal(int status);

/// Starts the program at `path` as the leader of a process group of its own, with these three descriptors (above 2) as
/// its standard streams and no other, no signal blocked or ignored, and SIGKILL at the death of the caller
/// (PR_SET_PDEATHSIG in prctl(2)). It is started when this returns; -1 with errno where that failed.
pid_t cposix_start(
    const char *path, char *const arguments[], char *const environment[], int input, int output, int errors);

/// Makes this process the new parent of descendants whose own parent dies (PR_SET_CHILD_SUBREAPER in prctl(2)).
int cposix_adopt_orphans(void);

/// A child that has ended and is not reaped, which stays so (waitid(2), WNOWAIT): its number, 0 where all of them are
/// alive, or -1 where there is no child.
pid_t cposix_ended_child(void);

/// How many counts a slot's histogram of round trips has.
#define CPOSIX_BUCKETS 16
/// The most bytes of a client's name.
#define CPOSIX_NAME 64

/// What a child and its parent share, in memory mapped before the fork. The child writes it without a system call, the
/// parent reads it: to show it, to know who has had its HELLO, and to count it when the child is dead. The first line
/// of the cache is written at each turn of the child's loop, the others seldom.
struct cposix_slot {
    /// When something was heard of the client last, in units of 2^30 attoseconds of the monotonic clock, or 0.
    unsigned long long heard_at;
    /// Requests that have their ending, and bytes.
    unsigned long long requests, bytes_in, bytes_out;
    /// Requests without an ending.
    unsigned int in_flight;
    /// The number of its state.
    unsigned int state;
    /// The request that the handler works on, or 0.
    unsigned int request;
    /// Whether the child came to its proper end.
    unsigned int finished;
    /// The bytes of its address space when it crashed, or 0.
    unsigned long long crash_size;
    /// One more than the number of the reason why the connection ended, or 0; and which side said it.
    unsigned int ending, ended_by;

    /// The last round trip, or 0, and the sum of all, in units of 2^30 attoseconds; each counted in its bucket.
    unsigned long long round_trip, round_trips_sum;
    /// How late a silent client was dropped, plus one; 0 where it was not.
    unsigned long long lateness;
    unsigned int round_trips[CPOSIX_BUCKETS];
    /// Whether the client has said HELLO.
    unsigned int greeted;
    /// How many bytes of `name` count.
    unsigned int name_length;
    unsigned char name[CPOSIX_NAME];
    /// Fills the last line: no two children write the same one. Swift takes no alignment above 16.
    unsigned char unused[32];
};
/// Memory that this process writes and those forked from it can only read (memfd_create(2), mmap(2), madvise(2)):
/// `size` bytes of zeros, for writing at `*written`, for reading at `*read`. 0, or -1 with errno.
int cposix_make_board(size_t size, void **written, const void **read);

/// From now on a crash (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS) of this process and of those forked
/// from it first says its last words, `length` of at most 128 bytes, then ends the process as it would have.
void cposix_watch_crashes(const unsigned char *words, size_t length);
/// The same for the calling thread, which needs a stack of its own for it (sigaltstack(2)).
void cposix_watch_crashes_of_thread(void);
/// Gives that stack back: the thread is about to end.
void cposix_forget_crashes_of_thread(void);
/// The socket that the last words of this process go to, and its slot.
void cposix_prepare_last_words(int socket, struct cposix_slot *slot);
/// This process has none any more.
void cposix_forget_last_words(void);
/// Whether the last words may be said now, and the 32-bit big-endian number in them at `offset`.
void cposix_set_last_words(int may_speak, size_t offset, unsigned int number);

/// One heap for all threads (mallopt(3), M_ARENA_MAX): a second one would reserve 64 MiB of address space.
void cposix_use_one_heap(void);
/// 1 where this process has one thread, and has always had one (__libc_single_threaded); 0 where that is not known.
int cposix_never_had_threads(void);

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

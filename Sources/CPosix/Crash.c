// What a process does while it crashes. This runs in the handler of the signal, on a stack of its own, in whatever state
// the program is: so it is C, calls only what signal-safety(7) allows, and touches nothing but this file's memory, one
// word of the caller's, and the sockets that its notices go to.
#define _GNU_SOURCE
#include "CPosix.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { stack_size = 16384, most_reads = 64 };

struct notice {
    int socket;
    unsigned char bytes[128];
    size_t length;
    volatile int is_armed;
    unsigned long long *volatile size;
};

// The one of the thread that installs the handlers first serves the whole process. It lies with what is that thread's own
// because a child writes to that page of memory in any case, and so to none besides.
static __thread struct notice own = {.socket = -1};
static struct notice *process = &(struct notice){.socket = -1};

// The connections of a process with several. They have the bytes of the process's notice, each with a number of its own.
static struct cposix_crash_entry *table;
static size_t table_count, table_offset;
static __thread struct cposix_crash_entry *at_fault;

static unsigned long long address_space(void) {
    char text[32];
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t count = file < 0 ? 0 : read(file, text, sizeof text);
    unsigned long long pages = 0;
    for (ssize_t index = 0; index < count && text[index] >= '0' && text[index] <= '9'; index++) {
        pages = pages * 10 + (unsigned long long)(text[index] - '0');
    }
    if (file >= 0) close(file);
    return pages * (unsigned long long)getpagesize();
}

static void put_number(size_t offset, unsigned int number) {
    for (int byte = 0; byte < 4; byte++) {
        process->bytes[offset + (size_t)byte] = (unsigned char)(number >> (24 - 8 * byte));
    }
}

static void send_notice(int socket) {
    send(socket, process->bytes, process->length, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(socket, SHUT_WR);
    // What has come and is not read would make the system send a reset, which destroys the notice.
    char unread[4096];
    for (int reads = 0; reads < most_reads; reads++) {
        if (recv(socket, unread, sizeof unread, MSG_DONTWAIT) <= 0) break;
    }
}

static void crashed(int signal) {
    if (process->size) *process->size = address_space();
    if (process->socket >= 0 && process->is_armed) {
        process->is_armed = 0;
        send_notice(process->socket);
    }
    // The one at fault is named before the time goes by that all others take.
    if (at_fault && at_fault->size) *at_fault->size = address_space();
    for (size_t index = 0; index < table_count; index++) {
        int socket = table[index].socket;
        if (!table[index].size || socket < 0) continue;
        put_number(table_offset, table[index].number);
        send_notice(socket);
    }
    // The handler is reset: on return the signal ends the process as if nothing had caught it.
    raise(signal);
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
static const size_t crash_count = sizeof crashes / sizeof crashes[0];

void cposix_install_crash_handlers(const unsigned char *notice, size_t length) {
    process = &own;
    if (length <= sizeof process->bytes) {
        memcpy(process->bytes, notice, length);
        process->length = length;
    }
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    for (size_t index = 0; index < crash_count; index++) sigaction(crashes[index], &action, NULL);
    static char stack[stack_size];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);
}

void cposix_add_crash_stack(void) {
    void *stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) return;
    // A fault whose signal is blocked kills at once, without a word.
    sigset_t set;
    sigemptyset(&set);
    for (size_t index = 0; index < crash_count; index++) sigaddset(&set, crashes[index]);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    stack_t alternate = {.ss_sp = stack, .ss_size = stack_size};
    sigaltstack(&alternate, NULL);
}

void cposix_remove_crash_stack(void) {
    stack_t none = {.ss_flags = SS_DISABLE}, alternate;
    if (sigaltstack(&none, &alternate) == 0 && !(alternate.ss_flags & SS_DISABLE)) {
        munmap(alternate.ss_sp, alternate.ss_size);
    }
}

void cposix_bind_crash_notice(int socket, unsigned long long *size) {
    process->size = size;
    process->socket = socket;
}

void cposix_forget_crash_notice(void) {
    process->is_armed = 0;
    process->socket = -1;
    process->size = NULL;
}

void cposix_arm_crash_notice(int is_armed, size_t offset, unsigned int number) {
    process->is_armed = 0;
    put_number(offset, number);
    process->is_armed = is_armed;
}

void cposix_use_crash_table(struct cposix_crash_entry *entries, size_t count, size_t offset) {
    table = entries;
    table_offset = offset;
    table_count = count;
}

void cposix_at_fault(struct cposix_crash_entry *entry) { at_fault = entry; }
